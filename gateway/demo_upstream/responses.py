"""/v1/responses: the last message comes back, whole or as named events, or a tool is called."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from gateway.demo_upstream.reply import CREATED, Reply, event_reply, json_reply, named_event
from gateway.demo_upstream.script import Asked
from gateway.demo_upstream.text import (
    Content,
    ended,
    example,
    identifier,
    plain,
    spoken,
    usage,
    words,
)
from gateway.demo_upstream.tools import Choice, Function, ToolCall, tool_calls

Json = dict[str, object]


class Item(msgspec.Struct):
    """One item of the input: a message, or what a tool answered."""

    type: str = "message"
    role: str = ""
    content: Content = None
    output: Content = None


class Tool(msgspec.Struct):
    """A tool of the request; only functions are known."""

    type: str
    name: str = ""
    parameters: Json | None = None


class Format(msgspec.Struct):
    """The form that the answer must have."""

    type: str
    schema: Json = {}


class Text(msgspec.Struct):
    """How text is wanted."""

    format: Format | None = None


class ResponsesRequest(msgspec.Struct):
    """What is looked at in a request; all else is taken and ignored."""

    model: str
    input: str | list[Item] = ""
    instructions: str | None = None
    stream: bool | None = None
    max_output_tokens: int | None = None
    tools: list[Tool] | None = None
    tool_choice: str | Tool | None = None
    text: Text | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What is said, and the reply's frame: the reply itself but for status, output and usage."""

    id: str
    said: Sequence[str]
    calls: Sequence[ToolCall]
    # "completed" or "incomplete".
    status: str
    frame: Json
    usage: Json | None

    def response(self, status: str, output: list[Json]) -> Json:
        """Return the response object in one of its states."""
        over = status in ("completed", "incomplete")
        reason = {"reason": "max_output_tokens"} if status == "incomplete" else None
        return {
            **self.frame,
            "status": status,
            "incomplete_details": reason,
            "output": output,
            "usage": self.usage if over else None,
        }


def responses(asked: Asked) -> Reply:
    """Answer a request. Raises msgspec.ValidationError."""
    request = msgspec.json.decode(asked.body, type=ResponsesRequest)
    answer = _answer(request, asked)
    if request.stream:
        return event_reply(_events(answer))
    return json_reply(answer.response(answer.status, _output(answer)))


def _answer(request: ResponsesRequest, asked: Asked) -> Answer:
    items = [Item(content=request.input)] if isinstance(request.input, str) else request.input
    prompt = [plain(item.content) or plain(item.output) for item in items]
    functions = [
        Function(name=tool.name, parameters=tool.parameters or {})
        for tool in request.tools or ()
        if tool.type == "function"
    ]
    answered = bool(items) and items[-1].type == "function_call_output"
    calls = tool_calls(() if answered else functions, _choice(request.tool_choice), asked)
    text = prompt[-1] if prompt else ""
    said, finish = ended(
        spoken(_formed(text, request), asked.script), request.max_output_tokens, None
    )
    if calls:
        said, finish = [], "tool_calls"
    name = identifier("resp_", asked.body)
    counted = usage(
        sum(len(words(part)) for part in (request.instructions or "", *prompt)),
        len(said) + sum(call.tokens for call in calls),
        asked.script,
    )
    return Answer(
        id=name,
        said=said,
        calls=calls,
        status="incomplete" if finish == "length" else "completed",
        frame=_frame(name, request),
        usage=_reworded(counted),
    )


def _choice(choice: str | Tool | None) -> Choice:
    if isinstance(choice, Tool):
        return Choice(demanded=True, only=choice.name)
    return Choice(demanded=choice == "required", most=0 if choice == "none" else 128)


def _formed(text: str, request: ResponsesRequest) -> str:
    form = request.text.format if request.text is not None else None
    if form is None or form.type == "text":
        return text
    value = example(form.schema) if form.type == "json_schema" else {"echo": text}
    return msgspec.json.encode(value).decode()


def _frame(name: str, request: ResponsesRequest) -> Json:
    return {
        "id": name,
        "object": "response",
        "created_at": CREATED,
        "error": None,
        "instructions": request.instructions,
        "max_output_tokens": request.max_output_tokens,
        "model": request.model,
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "reasoning": {"effort": None, "summary": None},
        "store": False,
        "temperature": 1.0,
        "text": {"format": {"type": "text"}},
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "truncation": "disabled",
        "metadata": {},
    }


def _reworded(counted: Mapping[str, object] | None) -> Json | None:
    """Return chat's usage object in the words of this API."""
    if counted is None:
        return None
    prompt, completion = counted["prompt_tokens_details"], counted["completion_tokens_details"]
    return {
        "input_tokens": counted["prompt_tokens"],
        "input_tokens_details": _only(prompt, "cached_tokens"),
        "output_tokens": counted["completion_tokens"],
        "output_tokens_details": _only(completion, "reasoning_tokens"),
        "total_tokens": counted["total_tokens"],
    }


def _only(details: object, name: str) -> Json:
    return {name: details[name]} if isinstance(details, dict) else {}


def _output(answer: Answer) -> list[Json]:
    if answer.calls:
        return [_call_item(call, "completed") for call in answer.calls]
    return [_message(answer, answer.status, [_part("".join(answer.said))])]


def _message(answer: Answer, status: str, content: list[Json]) -> Json:
    return {
        "id": answer.id.replace("resp_", "msg_"),
        "type": "message",
        "status": status,
        "role": "assistant",
        "content": content,
    }


def _part(text: str) -> Json:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _call_item(call: ToolCall, status: str, arguments: str | None = None) -> Json:
    return {
        "id": call.id.replace("call_", "fc_"),
        "type": "function_call",
        "status": status,
        "call_id": call.id,
        "name": call.name,
        "arguments": call.arguments if arguments is None else arguments,
    }


def _events(answer: Answer) -> Iterator[bytes]:
    numbers = itertools.count()
    for kind, members in _steps(answer):
        event = {"type": f"response.{kind}", "sequence_number": next(numbers), **members}
        yield named_event(f"response.{kind}", event)


def _steps(answer: Answer) -> Iterator[tuple[str, Json]]:
    """Yield each event's name without its prefix, and its members."""
    begun: Json = {"response": answer.response("in_progress", [])}
    yield "created", begun
    yield "in_progress", begun
    if answer.calls:
        for index, call in enumerate(answer.calls):
            yield from _call_steps(index, call)
    else:
        yield from _message_steps(answer)
    yield answer.status, {"response": answer.response(answer.status, _output(answer))}


def _message_steps(answer: Answer) -> Iterator[tuple[str, Json]]:
    text = "".join(answer.said)
    item = _message(answer, "in_progress", [])
    at: Json = {"item_id": item["id"], "output_index": 0, "content_index": 0}
    yield "output_item.added", {"output_index": 0, "item": item}
    yield "content_part.added", {**at, "part": _part("")}
    for word in answer.said:
        yield "output_text.delta", {**at, "delta": word, "logprobs": []}
    yield "output_text.done", {**at, "text": text, "logprobs": []}
    yield "content_part.done", {**at, "part": _part(text)}
    done = _message(answer, answer.status, [_part(text)])
    yield "output_item.done", {"output_index": 0, "item": done}


def _call_steps(index: int, call: ToolCall) -> Iterator[tuple[str, Json]]:
    item = _call_item(call, "in_progress", arguments="")
    at: Json = {"item_id": item["id"], "output_index": index}
    yield "output_item.added", {"output_index": index, "item": item}
    for piece in call.pieces():
        yield "function_call_arguments.delta", {**at, "delta": piece}
    arguments = {"name": call.name, "arguments": call.arguments}
    yield "function_call_arguments.done", {**at, **arguments}
    yield "output_item.done", {"output_index": index, "item": _call_item(call, "completed")}
