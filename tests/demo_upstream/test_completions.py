"""/v1/completions: every prompt comes back, whole or as a stream."""

import json
from typing import Any

import pytest

from gateway.demo_upstream.completions import completion
from gateway.demo_upstream.script import Asked


def ask(**request: Any) -> dict[str, Any]:
    """Return a whole reply, decoded."""
    body = json.dumps({"model": "m", **request}).encode()
    decoded: dict[str, Any] = json.loads(b"".join(completion(Asked(body=body)).pieces))
    return decoded


def test_every_prompt_has_its_choices() -> None:
    """Two prompts and n = 2 make four choices, prompt by prompt."""
    reply = ask(prompt=["a b", "c"], n=2)

    assert [choice["text"] for choice in reply["choices"]] == ["a b", "a b", "c", "c"]
    assert [choice["index"] for choice in reply["choices"]] == [0, 1, 2, 3]
    assert reply["usage"]["prompt_tokens"] == 3
    assert reply["usage"]["completion_tokens"] == 6


def test_limits_stops_and_echo() -> None:
    """The parameters do what they do at OpenAI; `echo` puts the prompt before."""
    (limited,) = ask(prompt="a b c", max_tokens=2)["choices"]
    (stopped,) = ask(prompt="a b c", stop="b")["choices"]
    (echoed,) = ask(prompt="a", echo=True)["choices"]

    assert (limited["text"], limited["finish_reason"]) == ("a b", "length")
    assert (stopped["text"], stopped["finish_reason"]) == ("a ", "stop")
    assert echoed["text"] == "aa"


def test_logprobs_tell_where_each_word_stands() -> None:
    """The old form has parallel lists."""
    (choice,) = ask(prompt="a bc", logprobs=1)["choices"]

    assert choice["logprobs"] == {
        "tokens": ["a", " bc"],
        "token_logprobs": [-0.25, -0.25],
        "top_logprobs": [{"a": -0.25}, {" bc": -0.25}],
        "text_offset": [0, 1],
    }


def test_the_bytes_of_a_stream() -> None:
    """A word a chunk, the reason, the usage where it was asked for, [DONE]."""
    body = b'{"model":"m","prompt":[[1,2]],"stream":true,"stream_options":{"include_usage":true}}'
    head = (
        b'data: {"id":"cmpl-ID","object":"text_completion","created":1760000000,"model":"m",'
        b'"choices":['
    )

    reply = completion(Asked(body=body))
    first, *events = list(reply.pieces)

    name = json.loads(first[6:])["id"].encode()
    assert [event.replace(name, b"cmpl-ID") for event in (first, *events)] == [
        head + b'{"text":"1","index":0,"logprobs":null,"finish_reason":null}],"usage":null}\n\n',
        head + b'{"text":" 2","index":0,"logprobs":null,"finish_reason":null}],"usage":null}\n\n',
        head + b'{"text":"","index":0,"logprobs":null,"finish_reason":"stop"}],"usage":null}\n\n',
        head + b'],"usage":{"prompt_tokens":2,"completion_tokens":2,"total_tokens":4,'
        b'"prompt_tokens_details":{"cached_tokens":0,"audio_tokens":0},'
        b'"completion_tokens_details":{"reasoning_tokens":0,"audio_tokens":0,'
        b'"accepted_prediction_tokens":0,"rejected_prediction_tokens":0}}}\n\n',
        b"data: [DONE]\n\n",
    ]


@pytest.mark.parametrize("request_", [{"prompt": []}, {"prompt": "a", "n": 0}])
def test_no_choice_is_400(request_: dict[str, Any]) -> None:
    """A request for nothing is refused."""
    body = json.dumps({"model": "m", **request_}).encode()

    assert completion(Asked(body=body)).status == 400
