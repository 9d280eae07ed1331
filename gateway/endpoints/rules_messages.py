"""The messages of a chat: every role, every part of a content, calls and their answers.

Source: https://platform.openai.com/docs/api-reference/chat/create
"""

from gateway.endpoints import laws
from gateway.endpoints.rules_common import IMAGE_DETAIL
from gateway.validation_kinds import Enum, Law, String, Url
from gateway.validation_shapes import Array, Either, Object, Variants

TEXT = Object({"text": String()}, required=("text",))
REFUSAL = Object({"refusal": String()}, required=("refusal",))
_IMAGE_URL = Object({"url": Url(), "detail": IMAGE_DETAIL}, required=("url",))
IMAGE = Object({"image_url": _IMAGE_URL}, required=("image_url",))
_SOUND = Object({"data": String(), "format": Enum(("wav", "mp3"))}, required=("data", "format"))
AUDIO = Object({"input_audio": _SOUND}, required=("input_audio",))
_FILE = Object(
    {"file_id": String(), "file_data": String(), "filename": String()},
    laws=(Law("`file_id` or `file_data`", laws.file_has_content),),
)
FILE = Object({"file": _FILE}, required=("file",))
# Types of parts that nobody has published yet pass, those of other roles do not.
_TEXT_PART = Variants(
    "type",
    {"text": TEXT},
    elsewhere=frozenset({"refusal", "image_url", "input_audio", "file"}),
)
_USER_PART = Variants(
    "type",
    {"text": TEXT, "image_url": IMAGE, "input_audio": AUDIO, "file": FILE},
    elsewhere=frozenset({"refusal"}),
)
_ASSISTANT_PART = Variants(
    "type",
    {"text": TEXT, "refusal": REFUSAL},
    elsewhere=frozenset({"image_url", "input_audio", "file"}),
)
TEXT_CONTENT = Either((String(), Array(_TEXT_PART, may_be_empty=False)))
USER_CONTENT = Either((String(), Array(_USER_PART, may_be_empty=False)))
ASSISTANT_CONTENT = Either((String(), Array(_ASSISTANT_PART, may_be_empty=False)))

_FUNCTION_CALL = Object({"name": String(), "arguments": String()}, required=("name", "arguments"))
_TOOL_CALL = Variants(
    "type",
    {
        "function": Object(
            {"id": String(), "function": _FUNCTION_CALL}, required=("id", "function")
        ),
        "custom": Object(
            {
                "id": String(),
                "custom": Object({"name": String(), "input": String()}, required=("name", "input")),
            },
            required=("id", "custom"),
        ),
    },
)

_INSTRUCTION = Object({"content": TEXT_CONTENT, "name": String()}, required=("content",))
MESSAGE = Variants(
    "role",
    {
        "system": _INSTRUCTION,
        "assistant": Object(
            {
                "content": ASSISTANT_CONTENT,
                "name": String(),
                "refusal": String(),
                "audio": Object({"id": String()}, required=("id",)),
                "tool_calls": Array(_TOOL_CALL, may_be_empty=False),
                "function_call": _FUNCTION_CALL,
            },
            laws=(
                Law(
                    "`content`, `refusal`, `audio`, `tool_calls` or `function_call`",
                    laws.assistant_says_something,
                ),
            ),
        ),
        "user": Object({"content": USER_CONTENT, "name": String()}, required=("content",)),
        "function": Object(
            {"content": String(), "name": String()},
            required=("content", "name"),
            nullable=("content",),
        ),
        "tool": Object(
            {"content": TEXT_CONTENT, "tool_call_id": String()},
            required=("content", "tool_call_id"),
        ),
        "developer": _INSTRUCTION,
    },
    is_open=False,
)
MESSAGES = Array(
    MESSAGE,
    may_be_empty=False,
    laws=(
        Law(
            "an assistant's calls are followed by tool messages that answer each of them",
            laws.tool_messages_answer_calls,
        ),
    ),
)

# What holds whatever the mode; engines of their own take strings among the parts of a content.
MESSAGES_BY_TYPE = Array(
    Object(
        {
            "role": String(),
            "content": Either((String(), Array(Either((String(), Object({})))))),
        }
    )
)
