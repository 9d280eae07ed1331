"""/v1/chat/completions: what is echoed, how it ends, and what a stream of it looks like."""

import json
from typing import Any

import pytest

from gateway.demo_upstream.chat import chat
from gateway.demo_upstream.script import Asked, Script

HELLO: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "Hello wörld"}]}
TOOLS = {
    "tools": [
        {
            "type": "function",
            "function": {
                "name": "weather",
                "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
            },
        }
    ]
}


def ask(request: dict[str, Any], script: Script | None = None) -> dict[str, Any]:
    """Return a whole reply, decoded."""
    asked = Asked(body=json.dumps(request).encode(), script=script or Script())
    decoded: dict[str, Any] = json.loads(b"".join(chat(asked).pieces))
    return decoded


def stream(request: dict[str, Any], script: Script | None = None) -> list[bytes]:
    """Return the events of a stream."""
    body = json.dumps({**request, "stream": True}).encode()
    return list(chat(Asked(body=body, script=script or Script())).pieces)


def chunks(events: list[bytes]) -> list[dict[str, Any]]:
    """Decode the events but for the last, which is [DONE]."""
    assert events[-1] == b"data: [DONE]\n\n"
    return [json.loads(event.removeprefix(b"data: ")) for event in events[:-1]]


def test_the_bytes_of_an_answer() -> None:
    """The reply is OpenAI's object, the same bytes for the same request."""
    reply = chat(Asked(body=b'{"model":"m","messages":[{"role":"user","content":"Hi \xc3\xbc"}]}'))

    assert b"".join(reply.pieces).decode() == (
        '{"id":"chatcmpl-44337aeb5d7686c3d3fd65ca","object":"chat.completion",'
        '"created":1760000000,"model":"m","choices":[{"index":0,"message":{"role":"assistant",'
        '"content":"Hi ü","refusal":null,"annotations":[]},"logprobs":null,'
        '"finish_reason":"stop"}],"usage":{"prompt_tokens":2,"completion_tokens":2,'
        '"total_tokens":4,"prompt_tokens_details":{"cached_tokens":0,"audio_tokens":0},'
        '"completion_tokens_details":{"reasoning_tokens":0,"audio_tokens":0,'
        '"accepted_prediction_tokens":0,"rejected_prediction_tokens":0}},'
        '"service_tier":"default","system_fingerprint":"fp_demo"}'
    )


def test_the_last_message_of_the_user_or_a_tool_is_echoed() -> None:
    """What the assistant or the system said is not."""
    messages = [
        {"role": "system", "content": "s"},
        {"role": "user", "content": "u"},
        {"role": "tool", "content": "t", "tool_call_id": "c"},
        {"role": "assistant", "content": "a"},
    ]

    assert ask({"model": "m", "messages": messages})["choices"][0]["message"]["content"] == "t"


def test_every_choice_says_the_same_and_is_counted() -> None:
    """`n` choices cost n times the words."""
    reply = ask({**HELLO, "n": 3})

    assert [choice["index"] for choice in reply["choices"]] == [0, 1, 2]
    assert reply["usage"]["completion_tokens"] == 6
    assert reply["usage"]["prompt_tokens"] == 2


@pytest.mark.parametrize(
    ("members", "content", "finish_reason"),
    [
        ({"max_tokens": 1}, "Hello", "length"),
        ({"max_completion_tokens": 1, "max_tokens": 5}, "Hello", "length"),
        ({"max_tokens": 0}, "", "length"),
        ({"stop": ["w"]}, "Hello ", "stop"),
        ({"response_format": {"type": "json_object"}}, '{"echo":"Hello wörld"}', "stop"),
        (
            {
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": "n", "schema": {"properties": {"a": {"const": 2}}}},
                }
            },
            '{"a":2}',
            "stop",
        ),
        ({"tools": TOOLS["tools"], "tool_choice": "auto"}, "Hello wörld", "stop"),
        ({"tools": TOOLS["tools"], "tool_choice": "none"}, "Hello wörld", "stop"),
    ],
)
def test_parameters_shape_the_answer(
    members: dict[str, Any], content: str, finish_reason: str
) -> None:
    """Limits, stops and forms do what they do at OpenAI."""
    (choice,) = ask({**HELLO, **members})["choices"]

    assert (choice["message"]["content"], choice["finish_reason"]) == (content, finish_reason)


def test_logprobs_cover_every_word() -> None:
    """Each word has its bytes, and as many alternatives as were asked for."""
    (choice,) = ask({**HELLO, "logprobs": True, "top_logprobs": 2})["choices"]

    content = choice["logprobs"]["content"]
    assert [entry["token"] for entry in content] == ["Hello", " wörld"]
    assert bytes(content[1]["bytes"]).decode() == " wörld"
    assert [len(entry["top_logprobs"]) for entry in content] == [2, 2]


def test_a_demanded_tool_is_called() -> None:
    """The call replaces the content and ends the choice."""
    (choice,) = ask({**HELLO, **TOOLS, "tool_choice": "required"})["choices"]

    assert choice["finish_reason"] == "tool_calls"
    assert choice["message"]["content"] is None
    (call,) = choice["message"]["tool_calls"]
    assert call["function"] == {"name": "weather", "arguments": '{"city":"demo"}'}


def test_no_tool_is_called_after_its_answer() -> None:
    """A loop that calls tools until none is called comes to an end."""
    messages = [*HELLO["messages"], {"role": "tool", "content": "sunny", "tool_call_id": "c"}]

    (choice,) = ask({**HELLO, **TOOLS, "messages": messages, "tool_choice": "required"})["choices"]

    assert choice["message"]["content"] == "sunny"


def test_a_named_tool_is_called_once_without_parallel_calls() -> None:
    """`parallel_tool_calls: false` bounds what the script asks for."""
    choice = {"type": "function", "function": {"name": "weather"}}
    request = {**HELLO, **TOOLS, "tool_choice": choice}

    three = ask(request, Script(tool_calls=3))["choices"][0]["message"]["tool_calls"]
    one = ask({**request, "parallel_tool_calls": False}, Script(tool_calls=3))

    assert len(three) == 3
    assert len(one["choices"][0]["message"]["tool_calls"]) == 1


def test_the_bytes_of_a_stream() -> None:
    """A role, a word a chunk, the reason, [DONE]; nothing of usage unless asked for."""
    body = b'{"model":"m","stream":true,"messages":[{"role":"user","content":"Hi"}]}'
    head = (
        b'data: {"id":"chatcmpl-a101e32ac37faabb2daa8c37","object":"chat.completion.chunk",'
        b'"created":1760000000,"model":"m","service_tier":"default",'
        b'"system_fingerprint":"fp_demo","choices":[{"index":0,"delta":'
    )

    events = list(chat(Asked(body=body)).pieces)

    assert events == [
        head + b'{"role":"assistant","content":"","refusal":null},"logprobs":null,'
        b'"finish_reason":null}]}\n\n',
        head + b'{"content":"Hi"},"logprobs":null,"finish_reason":null}]}\n\n',
        head + b'{},"logprobs":null,"finish_reason":"stop"}]}\n\n',
        b"data: [DONE]\n\n",
    ]


def test_include_usage_adds_a_member_and_a_chunk() -> None:
    """Every chunk has a null usage, and a last one without choices has the numbers."""
    told = chunks(stream({**HELLO, "stream_options": {"include_usage": True}}))

    assert [chunk["usage"] for chunk in told[:-1]] == [None] * 4
    assert told[-1]["choices"] == []
    assert told[-1]["usage"]["total_tokens"] == 4


def test_choices_take_turns_in_a_stream() -> None:
    """With n = 2 the indexes alternate, and each choice ends."""
    told = chunks(stream({**HELLO, "n": 2, "logprobs": True}))

    assert [chunk["choices"][0]["index"] for chunk in told] == [0, 1] * 4
    assert told[2]["choices"][0]["logprobs"]["content"][0]["token"] == "Hello"
    assert [chunk["choices"][0]["finish_reason"] for chunk in told[-2:]] == ["stop", "stop"]


def test_a_tool_call_streams_in_deltas() -> None:
    """First who is called, then the arguments bit by bit, under the call's index."""
    told = chunks(stream({**HELLO, **TOOLS}, Script(tool_calls=2)))

    deltas = [
        delta for chunk in told for delta in chunk["choices"][0]["delta"].get("tool_calls", [])
    ]
    assert [delta["index"] for delta in deltas] == [0, 0, 0, 1, 1, 1]
    assert deltas[0]["function"] == {"name": "weather", "arguments": ""}
    assert "".join(delta["function"]["arguments"] for delta in deltas[:3]) == '{"city":"demo"}'
    assert told[-1]["choices"][0]["finish_reason"] == "tool_calls"


def test_a_script_can_leave_out_the_end() -> None:
    """Without [DONE] and usage a stream looks like that of a careless server."""
    script = Script(done=False, usage=False, finish_reason="content_filter")

    events = stream({**HELLO, "stream_options": {"include_usage": True}}, script)

    assert b'"finish_reason":"content_filter"' in events[-1]
    assert not any(b"usage" in event for event in events)


@pytest.mark.parametrize("members", [{"messages": []}, {"n": 0}, {"n": 129}])
def test_a_request_that_cannot_be_answered_is_400(members: dict[str, Any]) -> None:
    """Wrong numbers are refused, not rounded."""
    reply = chat(Asked(body=json.dumps({**HELLO, **members}).encode()))

    assert reply.status == 400
