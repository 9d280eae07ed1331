"""The parameters of POST /v1/chat/completions.

Source: https://platform.openai.com/docs/api-reference/chat/create
"""

from gateway.endpoints import laws
from gateway.endpoints.rules_common import (
    COUNT,
    LOGIT_BIAS,
    NAME,
    PENALTY,
    REASONING_EFFORT,
    SEED,
    SHARED,
    STOP,
    STREAM_OPTIONS,
    STREAM_OPTIONS_NEED_STREAM,
    VERBOSITY,
)
from gateway.endpoints.rules_messages import MESSAGES, MESSAGES_BY_TYPE, TEXT_CONTENT
from gateway.validation import Rules
from gateway.validation_kinds import Boolean, Enum, Integer, Law, String
from gateway.validation_shapes import Array, Either, Object, Variants

_ANY_OBJECT = Object({})
_FUNCTION = Object(
    {
        "name": NAME,
        "description": String(),
        "parameters": _ANY_OBJECT,
        "strict": Boolean(),
    },
    required=("name",),
)
_NAMED = Object({"name": String()}, required=("name",))
_GRAMMAR = Object(
    {"definition": String(), "syntax": Enum(("lark", "regex"), is_open=True)},
    required=("definition", "syntax"),
)
_CUSTOM_TOOL = Object(
    {
        "name": String(),
        "description": String(),
        "format": Variants(
            "type",
            {"text": _ANY_OBJECT, "grammar": Object({"grammar": _GRAMMAR}, required=("grammar",))},
        ),
    },
    required=("name",),
)
_TOOL = Variants(
    "type",
    {
        "function": Object({"function": _FUNCTION}, required=("function",)),
        "custom": Object({"custom": _CUSTOM_TOOL}, required=("custom",)),
    },
)
_ALLOWED_TOOLS = Object(
    {"mode": Enum(("auto", "required")), "tools": Array(_ANY_OBJECT)}, required=("mode", "tools")
)
_TOOL_CHOICE = Either(
    (
        Enum(("none", "auto", "required")),
        Variants(
            "type",
            {
                "function": Object({"function": _NAMED}, required=("function",)),
                "custom": Object({"custom": _NAMED}, required=("custom",)),
                "allowed_tools": Object(
                    {"allowed_tools": _ALLOWED_TOOLS}, required=("allowed_tools",)
                ),
            },
        ),
    )
)
_JSON_SCHEMA = Object(
    {"name": NAME, "description": String(), "schema": _ANY_OBJECT, "strict": Boolean()},
    required=("name",),
)
_RESPONSE_FORMAT = Variants(
    "type",
    {
        "json_object": _ANY_OBJECT,
        "json_schema": Object({"json_schema": _JSON_SCHEMA}, required=("json_schema",)),
        "text": _ANY_OBJECT,
    },
    is_open=False,
)
_VOICE = Either((String(), Object({"id": String()}, required=("id",))))
_SPOKEN = Object(
    {
        "voice": _VOICE,
        "format": Enum(("wav", "aac", "mp3", "flac", "opus", "pcm16"), is_open=True),
    },
    required=("voice", "format"),
)
_PREDICTION = Variants(
    "type", {"content": Object({"content": TEXT_CONTENT}, required=("content",))}
)
_PLACE = Object(
    {
        "country": String(),
        "region": String(),
        "city": String(),
        "timezone": String(),
    }
)
_WEB_SEARCH = Object(
    {
        "search_context_size": Enum(("low", "medium", "high")),
        "user_location": Variants(
            "type",
            {"approximate": Object({"approximate": _PLACE}, required=("approximate",))},
        ),
    }
)

CHAT = Rules(
    body=Object(
        {
            "model": String(may_be_empty=False),
            "messages": MESSAGES,
            **SHARED,
            "audio": _SPOKEN,
            "frequency_penalty": PENALTY,
            "function_call": Either((Enum(("none", "auto")), _NAMED)),
            "functions": Array(_FUNCTION, max_length=128, may_be_empty=False),
            "logit_bias": LOGIT_BIAS,
            "logprobs": Boolean(),
            "max_completion_tokens": Integer(1),
            "max_tokens": Integer(1),
            "modalities": Array(Enum(("text", "audio"))),
            "n": COUNT,
            "parallel_tool_calls": Boolean(),
            "prediction": _PREDICTION,
            "presence_penalty": PENALTY,
            "reasoning_effort": REASONING_EFFORT,
            "response_format": _RESPONSE_FORMAT,
            "seed": SEED,
            "stop": STOP,
            "stream_options": STREAM_OPTIONS,
            "tool_choice": _TOOL_CHOICE,
            "tools": Array(_TOOL),
            "verbosity": VERBOSITY,
            "web_search_options": _WEB_SEARCH,
        },
        required=("model", "messages"),
        laws=(
            STREAM_OPTIONS_NEED_STREAM,
            Law("`top_logprobs` only with `logprobs`", laws.top_logprobs_need_logprobs),
            Law("not both `max_tokens` and `max_completion_tokens`", laws.one_token_limit),
        ),
    ),
    always=Object({"messages": MESSAGES_BY_TYPE}, required=("messages",)),
)
