"""/v1/chat/completions: the last message comes back, or the tools that were asked for are called."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import msgspec

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
    Content,
    ended,
    example,
    given,
    identifier,
    plain,
    spoken,
    usage,
    words,
)
from gateway.demo_upstream.tools import Choice, Function, ToolCall, tool_calls

MAX_CHOICES = 128

Json = dict[str, object]


class Message(msgspec.Struct):
    """One message of the conversation."""

    role: str
    content: Content = None


class Tool(msgspec.Struct):
    """A tool of the request; only functions are known."""

    type: str
    function: Function | None = None


class StreamOptions(msgspec.Struct):
    """How a stream is wanted."""

    include_usage: bool | None = None


class JsonSchema(msgspec.Struct):
    """The schema that the answer must fit."""

    schema: Json = {}


class ResponseFormat(msgspec.Struct):
    """The form that the answer must have."""

    type: str
    json_schema: JsonSchema | None = None


class ChatRequest(msgspec.Struct):
    """What is looked at in a request; all else is taken and ignored."""

    model: str
    messages: list[Message]
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    n: int | None = None
    stop: str | list[str] | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    tools: list[Tool] | None = None
    tool_choice: str | Tool | None = None
    parallel_tool_calls: bool | None = None
    response_format: ResponseFormat | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What every choice of the reply says: words or tool calls, and why it ends."""

    said: Sequence[str]
    calls: Sequence[ToolCall]
    finish_reason: str
    prompt_tokens: int
    completion_tokens: int


def chat(asked: Asked) -> Reply:
    """Answer a request. Raises msgspec.ValidationError."""
    request = msgspec.json.decode(asked.body, type=ChatRequest)
    if not request.messages:
        return invalid_reply("Invalid 'messages': empty array.")
    if not 1 <= given(request.n, 1) <= MAX_CHOICES:
        return invalid_reply(f"Invalid 'n': expected 1 to {MAX_CHOICES}.")
    answer = _answer(request, asked)
    name = identifier("chatcmpl-", asked.body)
    if request.stream:
        return event_reply(_events(request, answer, name, asked.script))
    return json_reply(_whole(request, answer, name, asked.script))


def _answer(request: ChatRequest, asked: Asked) -> Answer:
    functions = [tool.function for tool in request.tools or () if tool.function is not None]
    answered = request.messages[-1].role == "tool"
    calls = tool_calls([] if answered else functions, _choice(request), asked)
    newer = request.max_completion_tokens
    limit = request.max_tokens if newer is None else newer
    said, finish_reason = ended(spoken(_text(request), asked.script), limit, request.stop)
    if calls:
        said, finish_reason = [], "tool_calls"
    tokens = len(said) + sum(call.tokens for call in calls)
    return Answer(
        said=said,
        calls=calls,
        finish_reason=asked.script.finish_reason or finish_reason,
        prompt_tokens=sum(len(words(plain(message.content))) for message in request.messages),
        completion_tokens=tokens * given(request.n, 1),
    )


def _text(request: ChatRequest) -> str:
    """Return what is echoed, in the asked-for form: the last message of the user or of a tool."""
    spoken_to = [message for message in request.messages if message.role in ("user", "tool")]
    text = plain(spoken_to[-1].content) if spoken_to else ""
    form = request.response_format
    if form is None or form.type == "text":
        return text
    value = {"echo": text} if form.json_schema is None else example(form.json_schema.schema)
    return msgspec.json.encode(value).decode()


def _choice(request: ChatRequest) -> Choice:
    choice = request.tool_choice
    most = 1 if request.parallel_tool_calls is False else MAX_CHOICES
    if isinstance(choice, Tool):
        only = choice.function.name if choice.function is not None else ""
        return Choice(demanded=True, only=only, most=most)
    return Choice(demanded=choice == "required", most=0 if choice == "none" else most)


def _call(call: ToolCall, arguments: str) -> Json:
    function = {"name": call.name, "arguments": arguments}
    return {"id": call.id, "type": "function", "function": function}


def _whole(request: ChatRequest, answer: Answer, name: str, script: Script) -> Json:
    message: Json = {
        "role": "assistant",
        "content": None if answer.calls else "".join(answer.said),
        "refusal": None,
        "annotations": [],
    }
    if answer.calls:
        message["tool_calls"] = [_call(call, call.arguments) for call in answer.calls]
    logprobs = None
    if request.logprobs:
        content = [logprob(word, request.top_logprobs or 0) for word in answer.said]
        logprobs = {"content": content, "refusal": None}
    reply: Json = {
        "id": name,
        "object": "chat.completion",
        "created": CREATED,
        "model": request.model,
        "choices": [
            {
                "index": index,
                "message": message,
                "logprobs": logprobs,
                "finish_reason": answer.finish_reason,
            }
            for index in range(given(request.n, 1))
        ],
    }
    counted = usage(answer.prompt_tokens, answer.completion_tokens, script)
    if counted is not None:
        reply["usage"] = counted
    return {**reply, "service_tier": "default", "system_fingerprint": "fp_demo"}


def logprob(word: str, alternatives: int) -> Json:
    """Return the log probability of a word, with so many others beside it."""
    entry: Json = {"token": word, "logprob": -0.25, "bytes": list(word.encode())}
    others = [{**entry, "logprob": -0.25 - at} for at in range(alternatives)]
    return {**entry, "top_logprobs": others}


def _events(request: ChatRequest, answer: Answer, name: str, script: Script) -> Iterator[bytes]:
    chunk: Json = {
        "id": name,
        "object": "chat.completion.chunk",
        "created": CREATED,
        "model": request.model,
        "service_tier": "default",
        "system_fingerprint": "fp_demo",
    }
    include_usage = request.stream_options is not None and request.stream_options.include_usage
    # With include_usage every chunk has the member, null but in the last.
    tail: Json = {"usage": None} if include_usage and script.usage else {}
    for choice in _deltas(request, answer):
        yield data_event({**chunk, "choices": [choice], **tail})
    if tail:
        counted = usage(answer.prompt_tokens, answer.completion_tokens, script)
        yield data_event({**chunk, "choices": [], "usage": counted})
    if script.done:
        yield DONE


def _deltas(request: ChatRequest, answer: Answer) -> Iterator[Json]:
    """Yield the `choices` entries of a stream in order, the choices taking turns."""
    indexes = range(given(request.n, 1))
    content = None if answer.calls else ""
    for index in indexes:
        yield _delta(index, {"role": "assistant", "content": content, "refusal": None})
    for word in answer.said:
        logprobs: Json | None = None
        if request.logprobs:
            entry = logprob(word, request.top_logprobs or 0)
            logprobs = {"content": [entry], "refusal": None}
        for index in indexes:
            yield _delta(index, {"content": word}, logprobs=logprobs)
    for index in indexes:
        for at, call in enumerate(answer.calls):
            for piece in _call_pieces(call):
                yield _delta(index, {"tool_calls": [{"index": at, **piece}]})
        yield _delta(index, {}, finish_reason=answer.finish_reason)


def _delta(
    index: int, delta: Json, *, logprobs: Json | None = None, finish_reason: str | None = None
) -> Json:
    return {
        "index": index,
        "delta": delta,
        "logprobs": logprobs,
        "finish_reason": finish_reason,
    }


def _call_pieces(call: ToolCall) -> Iterator[Json]:
    """Yield a call as a stream tells it: who is called first, then the arguments."""
    yield _call(call, "")
    for piece in call.pieces():
        yield {"function": {"arguments": piece}}
