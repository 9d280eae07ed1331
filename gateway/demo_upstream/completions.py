"""/v1/completions, the old one: each prompt comes back, whole or word by word."""

from collections.abc import Iterator
from dataclasses import dataclass

import msgspec

from gateway.demo_upstream.chat import MAX_CHOICES, StreamOptions
from gateway.demo_upstream.reply import (
    CREATED,
    DONE,
    Reply,
    data_event,
    event_reply,
    invalid_reply,
    json_reply,
)
from gateway.demo_upstream.script import Asked, Script
from gateway.demo_upstream.text import (
    Input,
    ended,
    given,
    identifier,
    spoken,
    texts,
    usage,
    words,
)

Json = dict[str, object]


class CompletionRequest(msgspec.Struct):
    """What is looked at in a request; all else is taken and ignored."""

    model: str
    prompt: Input = ""
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    n: int | None = None
    stop: str | list[str] | None = None
    max_tokens: int | None = None
    logprobs: int | None = None
    echo: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What one choice says, and why it ends."""

    said: list[str]
    finish_reason: str


def completion(asked: Asked) -> Reply:
    """Answer a request. Raises msgspec.ValidationError."""
    request = msgspec.json.decode(asked.body, type=CompletionRequest)
    prompts = texts(request.prompt)
    if not 1 <= len(prompts) * given(request.n, 1) <= MAX_CHOICES:
        return invalid_reply(f"Expected 1 to {MAX_CHOICES} choices.")
    choices = [
        _choice(prompt, request, asked.script)
        for prompt in prompts
        for _ in range(given(request.n, 1))
    ]
    counted = usage(
        sum(len(words(prompt)) for prompt in prompts),
        sum(len(choice.said) for choice in choices),
        asked.script,
    )
    common: Json = {
        "id": identifier("cmpl-", asked.body),
        "object": "text_completion",
        "created": CREATED,
        "model": request.model,
    }
    if request.stream:
        return event_reply(_events(request, choices, common, counted, asked.script))
    whole = [_whole(index, choice, request) for index, choice in enumerate(choices)]
    tail = {} if counted is None else {"usage": counted}
    return json_reply({**common, "choices": whole, **tail})


def _choice(prompt: str, request: CompletionRequest, script: Script) -> Choice:
    said, finish_reason = ended(spoken(prompt, script), request.max_tokens, request.stop)
    if request.echo:
        said = [prompt, *said]
    return Choice(said=said, finish_reason=script.finish_reason or finish_reason)


def _whole(index: int, choice: Choice, request: CompletionRequest) -> Json:
    logprobs = None if request.logprobs is None else _logprobs(choice.said, request.logprobs)
    return {
        "text": "".join(choice.said),
        "index": index,
        "logprobs": logprobs,
        "finish_reason": choice.finish_reason,
    }


def _logprobs(said: list[str], alternatives: int) -> Json:
    offsets, offset = [], 0
    for word in said:
        offsets.append(offset)
        offset += len(word)
    return {
        "tokens": said,
        "token_logprobs": [-0.25] * len(said),
        "top_logprobs": [{word: -0.25} for word in said] if alternatives else None,
        "text_offset": offsets,
    }


def _events(
    request: CompletionRequest,
    choices: list[Choice],
    common: Json,
    counted: object,
    script: Script,
) -> Iterator[bytes]:
    include_usage = request.stream_options is not None and request.stream_options.include_usage
    # With include_usage every chunk has the member, null but in the last.
    tail: Json = {"usage": None} if include_usage and counted is not None else {}
    for index, choice in enumerate(choices):
        for word in choice.said:
            piece = {"text": word, "index": index, "logprobs": None, "finish_reason": None}
            yield data_event({**common, "choices": [piece], **tail})
        end = {"text": "", "index": index, "logprobs": None, "finish_reason": choice.finish_reason}
        yield data_event({**common, "choices": [end], **tail})
    if tail:
        yield data_event({**common, "choices": [], "usage": counted})
    if script.done:
        yield DONE
