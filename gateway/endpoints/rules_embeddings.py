"""The parameters of POST /v1/embeddings.

Source: https://platform.openai.com/docs/api-reference/embeddings/create
"""

from gateway.validation import Rules
from gateway.validation_kinds import Enum, Integer, String
from gateway.validation_shapes import Array, Either, Object

_MAX_INPUTS = 2048
_TEXT = String(may_be_empty=False)
# One text in tokens may be longer: its length is the model's to judge.
_TOKENS = Array(Integer(), may_be_empty=False)

EMBEDDINGS = Rules(
    body=Object(
        {
            "model": String(may_be_empty=False),
            "input": Either(
                (
                    _TEXT,
                    Array(_TEXT, max_length=_MAX_INPUTS, may_be_empty=False),
                    _TOKENS,
                    Array(_TOKENS, max_length=_MAX_INPUTS, may_be_empty=False),
                )
            ),
            "dimensions": Integer(1),
            "encoding_format": Enum(("float", "base64")),
            "user": String(),
        },
        required=("model", "input"),
    ),
    always=Object({}),
)
