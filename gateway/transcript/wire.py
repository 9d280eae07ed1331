"""The JSON of replies as upstreams write it, and what its names for tokens mean: that mapping lives here alone.

Nothing is refused: what has not the expected form says nothing.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import msgspec

from gateway.types import Usage

_MAX_LABEL = 64
_MAX_TOKENS = 2**53
_NOTHING: Mapping[str, object] = {}


class Function(msgspec.Struct, gc=False):
    """A function that is called, or the next piece of it."""

    name: object = None
    arguments: object = None


class ToolCall(msgspec.Struct, gc=False):
    """A tool call, or the next piece of it."""

    index: object = None
    function: Function | None = None


class Message(msgspec.Struct, gc=False):
    """A message, or the next piece of it; engines name reasoning in two ways, and some write both."""

    content: object = None
    refusal: object = None
    reasoning_content: object = None
    reasoning: object = None
    tool_calls: list[ToolCall] | None = None
    function_call: Function | None = None


class Choice(msgspec.Struct, gc=False):
    """One of the answers, or the next piece of it."""

    index: object = None
    delta: Message | None = None
    message: Message | None = None
    text: object = None
    finish_reason: object = None


class Inner(msgspec.Struct, gc=False):
    """What stands one level deeper: the response in an event of the Responses API, Groq's own field."""

    usage: object = None
    error: object = None


class Reply(msgspec.Struct, gc=False):
    """One JSON text of a reply: the whole of it, or the data of one event."""

    type: object = None
    kind: object = msgspec.field(name="object", default=None)
    choices: list[Choice] | None = None
    delta: object = None
    usage: object = None
    response: Inner | None = None
    x_groq: Inner | None = None
    error: object = None
    code: object = None


class _PlainDelta(msgspec.Struct, gc=False):
    content: str
    refusal: None = None
    reasoning_content: None = None
    reasoning: None = None
    tool_calls: None = None
    function_call: None = None


class _PlainChoice(msgspec.Struct, gc=False):
    delta: _PlainDelta
    index: Literal[0] = 0
    message: None = None
    text: None = None
    finish_reason: None = None


class _PlainReply(msgspec.Struct, gc=False):
    """What nearly every event of a chat is: the next words of its only answer."""

    object: Literal["chat.completion.chunk"]
    choices: tuple[_PlainChoice]
    usage: None = None
    response: None = None
    x_groq: None = None
    error: None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplyError:
    """What an upstream calls its error, each cut to 64 characters."""

    type: str | None = None
    code: str | None = None


_decode = msgspec.json.Decoder(Reply).decode
_decode_array = msgspec.json.Decoder(list[Reply]).decode
_decode_words = msgspec.json.Decoder(list[_PlainReply]).decode
# What is read of a reply of which the rest has an unknown form.
_PLAIN_MEMBERS = ("type", "object", "delta", "usage", "error", "code")


def parse(text: bytes) -> Reply | None:
    """Return what a JSON text says, None where it is none."""
    try:
        return _decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        # Another form than ours; or NaN and halves of surrogate pairs, which Python's own reader takes.
        return _parse_leniently(text)


def parse_array(text: bytes) -> list[Reply] | None:
    """Return what the members of a JSON array say, None where it is none or one of them needs a second look."""
    try:
        return _decode_array(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def words_of(text: bytes) -> str | None:
    """Return what the members of a JSON array say together, None where one of them tells of more than words."""
    try:
        replies = _decode_words(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return "".join([reply.choices[0].delta.content for reply in replies])


def _parse_leniently(text: bytes) -> Reply | None:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, dict):
        return Reply()
    try:
        return msgspec.convert(value, Reply)
    except (msgspec.ValidationError, RecursionError):
        plain = {name: value[name] for name in _PLAIN_MEMBERS if name in value}
        return msgspec.convert(plain, Reply)


def is_plain(reply: Reply) -> bool:
    """Return whether a reply is an answer, or several, and tells of no error."""
    return bool(reply.choices) and not reply.error and not reply.response and reply.kind != "error"


def usage_in(reply: Reply) -> Usage | None:
    """Return what a reply reports of its usage, None where it reports none."""
    reported = reply.usage
    if not reported:
        inner = reply.response or reply.x_groq
        reported = inner and inner.usage
    return usage_of(reported) if reported else None


def usage_of(raw: object) -> Usage | None:
    """Return what a `usage` object reports in tokens, None where it reports none.

    https://platform.openai.com/docs/api-reference/chat/object (prompt and completion tokens: chat, completions,
    embeddings) and https://platform.openai.com/docs/api-reference/responses/object (input and output tokens:
    responses, audio, images).
    """
    if not isinstance(raw, dict):
        return None
    usage: Mapping[str, object] = raw
    get = usage.get
    inputs = _count(get("prompt_tokens") or get("input_tokens"))
    outputs = _count(get("completion_tokens") or get("output_tokens"))
    total = _count(get("total_tokens"))
    if inputs == 0:
        inputs = max(0, total - outputs)
    # Some vendors leave reasoning out of the output and count it in the total alone.
    outputs = max(outputs, total - inputs)
    if inputs == outputs == 0:
        return None
    of_input = (
        get("prompt_tokens_details") or get("input_tokens_details") or get("input_token_details")
    )
    of_input = of_input if isinstance(of_input, dict) else _NOTHING
    of_output = get("completion_tokens_details") or get("output_tokens_details")
    of_output = of_output if isinstance(of_output, dict) else _NOTHING
    # DeepSeek and Moonshot have names of their own for what came from their caches.
    cached = of_input.get("cached_tokens") or get("prompt_cache_hit_tokens") or get("cached_tokens")
    cached_inputs = min(inputs, _count(cached)) if cached else 0
    reasoned = of_output.get("reasoning_tokens")
    reasoning = min(outputs, _count(reasoned)) if reasoned else 0
    heard, spoken = of_input.get("audio_tokens"), of_output.get("audio_tokens")
    return Usage(
        input_tokens=inputs,
        cached_input_tokens=cached_inputs,
        audio_input_tokens=min(inputs - cached_inputs, _count(heard)) if heard else 0,
        output_tokens=outputs,
        reasoning_tokens=reasoning,
        audio_output_tokens=min(outputs - reasoning, _count(spoken)) if spoken else 0,
    )


def _count(value: object) -> int:
    """Return a number of tokens, 0 for what is none."""
    if type(value) is int:
        return value if 0 < value < _MAX_TOKENS else 0
    return int(value) if isinstance(value, float) and 0 < value < _MAX_TOKENS else 0


def error_of(reply: Reply, kind: object) -> ReplyError | None:
    """Return the error that a reply tells of; `kind`: the type of the reply or event."""
    error = reply.error or (reply.response and reply.response.error)
    if isinstance(error, dict):
        return ReplyError(type=_label(error.get("type")), code=_label(error.get("code")))
    if error or kind == "error" or reply.kind == "error":
        return ReplyError(type=_label(reply.type), code=_label(reply.code))
    return None


def _label(value: object) -> str | None:
    if type(value) is int:
        return str(value)[:_MAX_LABEL]
    return value[:_MAX_LABEL] if isinstance(value, str) else None
