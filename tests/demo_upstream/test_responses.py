"""/v1/responses: the echo in the newer API's objects and named events."""

import json
from typing import Any

import pytest

from gateway.demo_upstream.responses import responses
from gateway.demo_upstream.script import Asked, Script

TOOL = {"type": "function", "name": "weather", "parameters": {"properties": {"city": {"const": 1}}}}


def asked(request: dict[str, Any], script: Script | None = None) -> Asked:
    """Return a request."""
    body = json.dumps({"model": "m", **request}).encode()
    return Asked(body=body, script=script or Script())


def ask(request: dict[str, Any], script: Script | None = None) -> dict[str, Any]:
    """Return a whole reply, decoded."""
    decoded: dict[str, Any] = json.loads(b"".join(responses(asked(request, script)).pieces))
    return decoded


def stream(request: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Return a stream's events: name and data."""
    events = []
    for event in responses(asked({**request, "stream": True})).pieces:
        name, data, *rest = event.decode().split("\n")
        assert rest == ["", ""]
        events.append((name.removeprefix("event: "), json.loads(data.removeprefix("data: "))))
    return events


@pytest.mark.parametrize(
    "source",
    [
        "Hello there",
        [{"role": "user", "content": "Hello there"}],
        [
            {"role": "user", "content": "ignored"},
            {
                "type": "message",
                "role": "user",
                "content": [{"type": "input_text", "text": "Hello there"}],
            },
        ],
        [{"type": "function_call_output", "call_id": "c", "output": "Hello there"}],
    ],
)
def test_the_last_item_is_echoed(source: object) -> None:
    """A text, messages, parts and tools' answers are all heard."""
    reply = ask({"input": source, "tools": []})

    assert reply["status"] == "completed"
    assert reply["output"][0]["content"][0]["text"] == "Hello there"
    assert reply["usage"]["output_tokens"] == 2


def test_usage_has_the_words_of_this_api() -> None:
    """Input and output, with their details; instructions count."""
    script = Script(cached_tokens=1, reasoning_tokens=4)

    assert ask({"input": "a b", "instructions": "be kind"}, script)["usage"] == {
        "input_tokens": 4,
        "input_tokens_details": {"cached_tokens": 1},
        "output_tokens": 6,
        "output_tokens_details": {"reasoning_tokens": 4},
        "total_tokens": 10,
    }


def test_a_limit_makes_it_incomplete() -> None:
    """What does not fit is left out, and the reply says why."""
    reply = ask({"input": "a b c", "max_output_tokens": 2})

    assert reply["status"] == "incomplete"
    assert reply["incomplete_details"] == {"reason": "max_output_tokens"}
    assert reply["output"][0]["content"][0]["text"] == "a b"


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ({"type": "text"}, "a"),
        ({"type": "json_object"}, '{"echo":"a"}'),
        (
            {"type": "json_schema", "name": "n", "schema": {"properties": {"b": {"const": 2}}}},
            '{"b":2}',
        ),
    ],
)
def test_the_text_has_the_form_that_is_asked_for(form: dict[str, Any], text: str) -> None:
    """JSON where JSON is wanted."""
    reply = ask({"input": "a", "text": {"format": form}})

    assert reply["output"][0]["content"][0]["text"] == text


@pytest.mark.parametrize("choice", ["required", {"type": "function", "name": "weather"}])
def test_a_demanded_tool_is_called(choice: object) -> None:
    """The call is the output."""
    (call,) = ask({"input": "a", "tools": [TOOL], "tool_choice": choice})["output"]

    assert (call["type"], call["name"], call["arguments"]) == (
        "function_call",
        "weather",
        '{"city":1}',
    )


def test_the_events_of_a_text() -> None:
    """The stream tells the reply's parts in order, numbered, and ends with the whole of it."""
    events = stream({"input": "a b"})

    assert [name for name, _ in events] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    assert [data["sequence_number"] for _, data in events] == list(range(10))
    assert [data["type"] for _, data in events] == [name for name, _ in events]
    assert [data["delta"] for name, data in events if name.endswith("delta")] == ["a", " b"]
    assert events[0][1]["response"]["usage"] is None
    assert events[-1][1]["response"]["output"][0]["content"][0]["text"] == "a b"


def test_the_events_of_a_tool_call() -> None:
    """The arguments come bit by bit, then whole."""
    events = stream({"input": "a", "tools": [TOOL], "tool_choice": "required"})

    assert [name for name, _ in events[2:-1]] == [
        "response.output_item.added",
        "response.function_call_arguments.delta",
        "response.function_call_arguments.delta",
        "response.function_call_arguments.done",
        "response.output_item.done",
    ]
    assert events[5][1]["arguments"] == '{"city":1}'


def test_an_incomplete_stream_ends_under_its_own_name() -> None:
    """The last event says that something is missing."""
    assert stream({"input": "a b", "max_output_tokens": 1})[-1][0] == "response.incomplete"
