"""Parameters that several endpoints share, and the rules between them.

A set of words is open where OpenAI has added to it since it was first published: then a new word passes.
"""

import re

from gateway.endpoints import laws
from gateway.validation_kinds import Boolean, Enum, Integer, Law, Number, String
from gateway.validation_shapes import Array, Either, Map, Object

TEMPERATURE = Number(0, 2)
TOP_P = Number(0, 1)
PENALTY = Number(-2, 2)
TOP_LOGPROBS = Integer(0, 20)
SEED = Integer(-(2**63), 2**63 - 1)
COUNT = Integer(1, 128)

# What functions, and the schemas of replies, may be called.
NAME = String(64, re.compile("^[a-zA-Z0-9_-]+$"), may_be_empty=False)

LOGIT_BIAS = Map(
    Number(-100, 100),
    law=Law("names are token ids, whole numbers from 0", laws.token_ids),
)
METADATA = Map(String(512), max_properties=16, max_name_length=64, expected="a metadata object")
STOP = Either((String(), Array(String(), max_length=4, may_be_empty=False)))
STREAM_OPTIONS = Object({"include_usage": Boolean(), "include_obfuscation": Boolean()})

SERVICE_TIER = Enum(("auto", "default", "fast", "flex", "priority", "scale"), is_open=True)
REASONING_EFFORT = Enum(("none", "minimal", "low", "medium", "high", "xhigh", "max"), is_open=True)
VERBOSITY = Enum(("low", "medium", "high"))
IMAGE_DETAIL = Enum(("auto", "low", "high", "original"), is_open=True)

# What the replies of all models may be told to remember and to be known by.
SHARED = {
    "metadata": METADATA,
    "moderation": Object({"model": String()}, required=("model",)),
    "prompt_cache_key": String(),
    "prompt_cache_options": Object(
        {
            "mode": Enum(("implicit", "explicit"), is_open=True),
            "ttl": Enum(("30m",), is_open=True),
        }
    ),
    "prompt_cache_retention": Enum(("in_memory", "24h"), is_open=True),
    "safety_identifier": String(64),
    "service_tier": SERVICE_TIER,
    "store": Boolean(),
    "stream": Boolean(),
    "temperature": TEMPERATURE,
    "top_logprobs": TOP_LOGPROBS,
    "top_p": TOP_P,
    "user": String(),
}

STREAM_OPTIONS_NEED_STREAM = Law(
    "`stream_options` only with `stream`", laws.stream_options_need_stream
)
