"""From a JSON body to a `Call`'s own fields: what the journey needs to know of it, and no judgement of the rest."""

from collections.abc import Mapping

from gateway.endpoints import Endpoint
from gateway.errors import InvalidRequestError
from gateway.types import Call

# OpenAI's names are far shorter; ours are remembered and logged.
MAX_MODEL_CHARACTERS = 512

# The names of one thing, the newer first.
_LIMITS = ("max_completion_tokens", "max_output_tokens", "max_tokens")
_END_USERS = ("safety_identifier", "user")


def parse(
    call: Call,
    endpoint: Endpoint,
    body: bytes,
    plain: bytes | None,
    payload: Mapping[str, object],
) -> None:
    """Fill in what a judged JSON body makes of a call; `plain`: the body without its content coding.

    Raises InvalidRequestError where `model` is missing, too long or no name.
    """
    call.body = body
    call.plain = plain
    call.payload = payload
    model = payload.get("model")
    if type(model) is str and 0 < len(model) <= MAX_MODEL_CHARACTERS:
        call.model = model
    else:
        call.model = _model(payload, required=endpoint.kind is not None)
    call.stream = payload.get("stream") is True
    if "n" in payload or "prompt" in payload or "best_of" in payload:
        call.n = _choices(payload)
    call.max_output_tokens = _max_output_tokens(payload)
    call.end_user = _end_user(payload)
    # A second call would store nothing twice: responses are stored unless told not to.
    if endpoint.kind == "responses":
        call.repeatable = payload.get("store") is False
    elif payload.get("store") is True:
        call.repeatable = False


def _model(payload: Mapping[str, object], *, required: bool) -> str | None:
    model = payload.get("model")
    if isinstance(model, str) and model:
        if len(model) > MAX_MODEL_CHARACTERS:
            raise InvalidRequestError(
                f"Invalid 'model': string too long. Expected a string with maximum length"
                f" {MAX_MODEL_CHARACTERS}, but got a string with length {len(model)} instead.",
                code="string_above_max_length",
                param="model",
            )
        return model
    if "model" not in payload:
        if not required:
            return None
        raise InvalidRequestError(
            "you must provide a model parameter",
            code="missing_required_parameter",
            param="model",
        )
    raise InvalidRequestError(
        f"Invalid type for 'model': expected a non-empty string, but got {_kind(model)} instead.",
        code="invalid_type",
        param="model",
    )


def _kind(value: object) -> str:
    names = {bool: "a boolean", int: "an integer", float: "a decimal", str: "an empty string"}
    names |= {list: "an array", dict: "an object"}
    return names.get(type(value), "null")


def _count(value: object) -> int | None:
    return value if type(value) is int and value > 0 else None


def _choices(payload: Mapping[str, object]) -> int:
    """Return how many answers are written: `n` or `best_of`, to each of a completion's prompts."""
    each = 1
    if "n" in payload or "best_of" in payload:
        each = max(_count(payload.get("n")) or 1, _count(payload.get("best_of")) or 1)
    prompt = payload.get("prompt")
    several = isinstance(prompt, list) and prompt and not isinstance(prompt[0], int)
    return each * len(prompt) if several and isinstance(prompt, list) else each


def _max_output_tokens(payload: Mapping[str, object]) -> int | None:
    for name in _LIMITS:
        if name in payload and (limit := _count(payload[name])) is not None:
            return limit
    return None


def _end_user(payload: Mapping[str, object]) -> str | None:
    for name in _END_USERS:
        value = payload.get(name)
        if isinstance(value, str) and value:
            return value
    return None
