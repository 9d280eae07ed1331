"""The parameters of POST /v1/completions.

Source: https://platform.openai.com/docs/api-reference/completions/create
"""

from gateway.endpoints import laws
from gateway.endpoints.rules_common import (
    COUNT,
    LOGIT_BIAS,
    PENALTY,
    SEED,
    STOP,
    STREAM_OPTIONS,
    STREAM_OPTIONS_NEED_STREAM,
    TEMPERATURE,
    TOP_P,
)
from gateway.validation import Rules
from gateway.validation_kinds import Boolean, Integer, Law, String
from gateway.validation_shapes import Array, Either, Object

_PROMPT = Either(
    (
        String(),
        Array(String()),
        Array(Integer(), may_be_empty=False),
        Array(Array(Integer(), may_be_empty=False), may_be_empty=False),
    )
)

COMPLETIONS = Rules(
    body=Object(
        {
            "model": String(may_be_empty=False),
            "prompt": _PROMPT,
            "best_of": Integer(0, 20),
            "echo": Boolean(),
            "frequency_penalty": PENALTY,
            "logit_bias": LOGIT_BIAS,
            "logprobs": Integer(0, 5),
            "max_tokens": Integer(0),
            "n": COUNT,
            "presence_penalty": PENALTY,
            "seed": SEED,
            "stop": STOP,
            "stream": Boolean(),
            "stream_options": STREAM_OPTIONS,
            "suffix": String(),
            "temperature": TEMPERATURE,
            "top_p": TOP_P,
            "user": String(),
        },
        required=("model", "prompt"),
        nullable=("prompt",),
        laws=(
            STREAM_OPTIONS_NEED_STREAM,
            Law("`best_of` is at least `n`", laws.best_of_covers_n),
        ),
    ),
    always=Object({}),
)
