"""The parameters of POST /v1/responses.

Items, parts and tools have types that OpenAI adds to every month: known ones are judged by what they cannot
do without, new ones pass. Source: https://platform.openai.com/docs/api-reference/responses/create
"""

from gateway.endpoints import laws
from gateway.endpoints.rules_common import (
    IMAGE_DETAIL,
    NAME,
    REASONING_EFFORT,
    SHARED,
    STREAM_OPTIONS,
    STREAM_OPTIONS_NEED_STREAM,
    VERBOSITY,
)
from gateway.validation import Rules
from gateway.validation_kinds import Boolean, Enum, Integer, Law, String, Url
from gateway.validation_shapes import Array, Either, Object, Variants

_ANY_OBJECT = Object({})
_TEXT = Object({"text": String()}, required=("text",))
_PART = Variants(
    "type",
    {
        "input_text": _TEXT,
        "input_image": Object({"image_url": Url(), "file_id": String(), "detail": IMAGE_DETAIL}),
        "input_file": Object(
            {"file_id": String(), "file_data": String(), "file_url": Url(), "filename": String()}
        ),
        "output_text": _TEXT,
        "refusal": Object({"refusal": String()}, required=("refusal",)),
    },
    # Those of chat completions.
    elsewhere=frozenset({"text", "image_url"}),
)
_CONTENT = Either((String(), Array(_PART)))
_MESSAGE = Object(
    {
        "role": Enum(("assistant", "system", "developer", "user")),
        "content": _CONTENT,
    },
    required=("role", "content"),
)
_UNTAGGED = Object(
    {
        "role": Enum(("assistant", "system", "developer", "user")),
        "content": _CONTENT,
        "id": String(),
    },
    laws=(Law("a message, or the `id` of an item", laws.untagged_item),),
)
_ITEM = Variants(
    "type",
    {
        "message": _MESSAGE,
        "function_call": Object(
            {"call_id": String(), "name": String(), "arguments": String()},
            required=("call_id", "name", "arguments"),
        ),
        "function_call_output": Object(
            {"call_id": String(64, may_be_empty=False), "output": _CONTENT},
            required=("call_id", "output"),
        ),
        "custom_tool_call": Object(
            {"call_id": String(), "name": String(), "input": String()},
            required=("call_id", "name", "input"),
        ),
        "custom_tool_call_output": Object(
            {"call_id": String(), "output": _CONTENT}, required=("call_id", "output")
        ),
        "reasoning": Object(
            {"summary": Array(_ANY_OBJECT), "encrypted_content": String()}, required=("summary",)
        ),
        "item_reference": Object({"id": String()}, required=("id",)),
    },
    untagged=_UNTAGGED,
)
_TOOL = Variants(
    "type",
    {
        "function": Object(
            {
                "name": NAME,
                "description": String(),
                "parameters": _ANY_OBJECT,
                "strict": Boolean(),
            },
            required=("name",),
        ),
        "custom": Object({"name": String()}, required=("name",)),
        "file_search": Object(
            {"vector_store_ids": Array(String())}, required=("vector_store_ids",)
        ),
        "mcp": Object({"server_label": String()}, required=("server_label",)),
    },
)
_NAMED = Object({"name": String()}, required=("name",))
_TOOL_CHOICE = Either(
    (
        Enum(("none", "auto", "required")),
        Variants(
            "type",
            {
                "function": _NAMED,
                "custom": _NAMED,
                "mcp": Object({"server_label": String()}, required=("server_label",)),
                "allowed_tools": Object(
                    {"mode": Enum(("auto", "required")), "tools": Array(_ANY_OBJECT)},
                    required=("mode", "tools"),
                ),
            },
        ),
    )
)
_TEXT_FORMAT = Variants(
    "type",
    {
        "json_object": _ANY_OBJECT,
        "json_schema": Object(
            {"name": NAME, "description": String(), "schema": _ANY_OBJECT, "strict": Boolean()},
            required=("name", "schema"),
        ),
        "text": _ANY_OBJECT,
    },
    is_open=False,
)
_SUMMARY = Enum(("auto", "concise", "detailed"))
_REASONING = Object(
    {
        "effort": REASONING_EFFORT,
        "summary": _SUMMARY,
        "generate_summary": _SUMMARY,
        "mode": String(),
        "context": Enum(("auto", "current_turn", "all_turns"), is_open=True),
    }
)
_PROMPT = Object({"id": String(), "version": String(), "variables": _ANY_OBJECT}, required=("id",))
_MANAGEMENT = Object({"type": String(), "compact_threshold": Integer(1000)}, required=("type",))

RESPONSES = Rules(
    body=Object(
        {
            "model": String(may_be_empty=False),
            "input": Either((String(), Array(_ITEM))),
            **SHARED,
            "background": Boolean(),
            "context_management": Array(_MANAGEMENT, may_be_empty=False),
            "conversation": Either((String(), Object({"id": String()}, required=("id",)))),
            "include": Array(String()),
            "instructions": String(),
            "max_output_tokens": Integer(16),
            "max_tool_calls": Integer(),
            "parallel_tool_calls": Boolean(),
            "previous_response_id": String(),
            "prompt": _PROMPT,
            "reasoning": _REASONING,
            "stream_options": STREAM_OPTIONS,
            "text": Object({"format": _TEXT_FORMAT, "verbosity": VERBOSITY}),
            "tool_choice": _TOOL_CHOICE,
            "tools": Array(_TOOL),
            "truncation": Enum(("auto", "disabled")),
        },
        required=("model",),
        laws=(
            STREAM_OPTIONS_NEED_STREAM,
            Law("not both `conversation` and `previous_response_id`", laws.one_conversation),
        ),
    ),
    always=Object({}),
)
