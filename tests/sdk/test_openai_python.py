"""The newest openai-python, blocking: what programs do with it works through the gateway."""

import base64
import hashlib
import json
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from openai import OpenAI
from openai.types.chat import (
    ChatCompletionMessageParam,
    ChatCompletionNamedToolChoiceParam,
    ChatCompletionToolParam,
)
from pydantic import BaseModel

from tests.sdk.conftest import UPSTREAM_KEY, Demo, Gateway

SAID = "Say this is a tést"
MESSAGES: list[ChatCompletionMessageParam] = [{"role": "user", "content": SAID}]
WEATHER: ChatCompletionToolParam = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
        },
    },
}
WEATHER_CHOICE: ChatCompletionNamedToolChoiceParam = {
    "type": "function",
    "function": {"name": "weather"},
}


def scripted(**script: Any) -> dict[str, Any]:
    """Return the member that tells the demo upstream what to do."""
    return {"demo": script}


@pytest.fixture
def client(gateway: Gateway) -> Iterator[OpenAI]:
    """Make a client that does not retry by itself."""
    with OpenAI(base_url=gateway.base_url, api_key=gateway.key, max_retries=0) as made:
        yield made


@pytest.fixture
def direct(demo: Demo) -> Iterator[OpenAI]:
    """Make the same client without a gateway."""
    with OpenAI(base_url=f"{demo.origin}/v1", api_key="direct", max_retries=0) as made:
        yield made


def test_chat(client: OpenAI, demo: Demo) -> None:
    """A completion comes back with its usage, and went up under the upstream's key alone."""
    completion = client.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES)

    assert completion.choices[0].message.content == SAID
    assert completion.choices[0].finish_reason == "stop"
    assert completion.usage is not None
    assert completion.usage.total_tokens == 10
    (asked,) = demo.requests()
    headers = {name.lower(): value for name, value in asked["headers"]}
    assert headers["authorization"] == f"Bearer {UPSTREAM_KEY}"
    assert headers["user-agent"].startswith("OpenAI/Python")
    assert json.loads(base64.b64decode(asked["body_base64"])) == {
        "messages": MESSAGES,
        "model": "gpt-4o-mini",
    }


def test_several_choices_with_logprobs(client: OpenAI) -> None:
    """n, logprobs, stop and max_tokens arrive, and so do their answers."""
    completion = client.chat.completions.create(
        model="gpt-4o-mini", messages=MESSAGES, n=3, logprobs=True, top_logprobs=2, max_tokens=2
    )

    assert [choice.index for choice in completion.choices] == [0, 1, 2]
    assert {choice.message.content for choice in completion.choices} == {"Say this"}
    assert {choice.finish_reason for choice in completion.choices} == {"length"}
    logprobs = completion.choices[2].logprobs
    assert logprobs is not None
    assert logprobs.content is not None
    assert [entry.token for entry in logprobs.content] == ["Say", " this"]
    assert len(logprobs.content[0].top_logprobs) == 2


def test_a_stream(client: OpenAI) -> None:
    """The pieces joined are the text, and nothing of usage comes unasked."""
    with client.chat.completions.create(
        model="gpt-4o-mini", messages=MESSAGES, stream=True
    ) as stream:
        chunks = list(stream)

    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == SAID
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert all(chunk.usage is None for chunk in chunks)


def test_a_stream_with_usage(client: OpenAI) -> None:
    """The last chunk has no choices and the numbers."""
    with client.chat.completions.create(
        model="gpt-4o-mini",
        messages=MESSAGES,
        stream=True,
        stream_options={"include_usage": True},
        extra_body=scripted(cached_tokens=3, reasoning_tokens=7),
    ) as stream:
        *chunks, last = list(stream)

    assert all(chunk.usage is None and chunk.choices for chunk in chunks)
    assert last.choices == []
    assert last.usage is not None
    assert last.usage.prompt_tokens_details is not None
    assert last.usage.completion_tokens_details is not None
    assert last.usage.prompt_tokens_details.cached_tokens == 3
    assert last.usage.completion_tokens_details.reasoning_tokens == 7
    assert last.usage.completion_tokens == 12


@pytest.mark.parametrize(
    "script",
    [
        {"crlf": True, "comments": True},
        {"piece_bytes": 1},
        {"piece_bytes": 7, "crlf": True},
        {"encoding": "gzip"},
        {"encoding": "deflate", "piece_bytes": 3},
        {"framing": "close"},
        {"chunks": 20, "chunk_bytes": 100_000},
    ],
    ids=str,
)
def test_a_stream_of_unusual_bytes(client: OpenAI, direct: OpenAI, script: dict[str, Any]) -> None:
    """However an event comes, the SDK sees through the gateway what it sees without one."""
    seen = []
    for one in (client, direct):
        with one.chat.completions.create(
            model="gpt-4o-mini", messages=MESSAGES, stream=True, extra_body=scripted(**script)
        ) as stream:
            seen.append([chunk.to_json() for chunk in stream])

    assert seen[0] == seen[1]
    assert len(seen[0]) >= 7


def test_the_bytes_are_the_upstream_s(client: OpenAI, direct: OpenAI) -> None:
    """A reply through the gateway is the direct one, byte for byte, whole and streamed."""
    for stream in (False, True):
        replies = []
        for one in (client, direct):
            raw = one.chat.completions.with_raw_response.create(
                model="gpt-4o-mini", messages=MESSAGES, stream=stream
            )
            replies.append(raw.http_response.read())
        assert replies[0] == replies[1]


def test_a_tool_call(client: OpenAI) -> None:
    """A named tool is called, and its answer is taken."""
    completion = client.chat.completions.create(
        model="gpt-4o-mini", messages=MESSAGES, tools=[WEATHER], tool_choice=WEATHER_CHOICE
    )
    message = completion.choices[0].message
    assert message.tool_calls is not None
    (call,) = message.tool_calls
    assert call.type == "function"
    answered = client.chat.completions.create(
        model="gpt-4o-mini",
        messages=[
            *MESSAGES,
            {
                "role": "assistant",
                "tool_calls": [
                    {
                        "id": call.id,
                        "type": "function",
                        "function": {
                            "name": call.function.name,
                            "arguments": call.function.arguments,
                        },
                    }
                ],
            },
            {"role": "tool", "tool_call_id": call.id, "content": "sunny"},
        ],
        tools=[WEATHER],
    )

    assert json.loads(call.function.arguments) == {"city": "demo", "days": 1}
    assert completion.choices[0].finish_reason == "tool_calls"
    assert answered.choices[0].message.content == "sunny"


def test_tool_calls_stream(client: OpenAI) -> None:
    """The SDK puts two calls together from their deltas."""
    with client.chat.completions.stream(
        model="gpt-4o-mini",
        messages=MESSAGES,
        tools=[WEATHER],
        extra_body=scripted(tool_calls=2),
    ) as stream:
        completion = stream.get_final_completion()

    calls = completion.choices[0].message.tool_calls
    assert calls is not None
    assert [json.loads(call.function.arguments) for call in calls] == [
        {"city": "demo", "days": 1},
        {"city": "demo", "days": 1},
    ]


def test_structured_output(client: OpenAI) -> None:
    """A schema goes up and an answer that fits it comes back parsed."""

    class Trip(BaseModel):
        city: str
        days: int

    completion = client.chat.completions.parse(
        model="gpt-4o-mini", messages=MESSAGES, response_format=Trip
    )

    assert completion.choices[0].message.parsed == Trip(city="demo", days=1)


def test_old_completions(client: OpenAI) -> None:
    """The old API works whole and as a stream."""
    whole = client.completions.create(model="gpt-3.5-turbo-instruct", prompt=["a b", "c"])
    with client.completions.create(model="m", prompt="a b", stream=True) as stream:
        text = "".join(chunk.choices[0].text for chunk in stream)

    assert [choice.text for choice in whole.choices] == ["a b", "c"]
    assert text == "a b"


def test_responses(client: OpenAI) -> None:
    """The newer API: whole, as named events, and with a tool."""
    whole = client.responses.create(model="gpt-4o-mini", input=SAID)
    with client.responses.stream(model="gpt-4o-mini", input=SAID) as stream:
        kinds = [event.type for event in stream]
        final = stream.get_final_response()
    called = client.responses.create(
        model="gpt-4o-mini",
        input=SAID,
        tools=[
            {
                "type": "function",
                "name": "weather",
                "parameters": {"type": "object", "properties": {}},
                "strict": False,
            }
        ],
        tool_choice="required",
    )

    assert whole.output_text == final.output_text == SAID
    assert kinds.count("response.output_text.delta") == 5
    assert (kinds[0], kinds[-1]) == ("response.created", "response.completed")
    assert whole.usage is not None
    assert whole.usage.output_tokens == 5
    assert called.output[0].type == "function_call"


def test_embeddings(client: OpenAI) -> None:
    """The SDK asks for base64 by itself; the numbers are those of plain floats."""
    packed = client.embeddings.create(model="text-embedding-3-small", input=["a", "b"])
    plain = client.embeddings.create(
        model="text-embedding-3-small", input=["a", "b"], encoding_format="float"
    )

    assert [entry.embedding for entry in packed.data] == [entry.embedding for entry in plain.data]
    assert packed.usage.total_tokens == 2


def test_transcription_upload(client: OpenAI, demo: Demo) -> None:
    """A form of three megabytes arrives whole, and text comes back as text."""
    recording = b"RIFF" + bytes(range(256)) * 12_000
    heard = client.audio.transcriptions.create(model="whisper-1", file=("a b.wav", recording))
    (asked,) = demo.requests()
    text = client.audio.transcriptions.create(
        model="whisper-1", file=("ü.wav", recording), response_format="text"
    )

    assert heard.text == f"a b.wav, {len(recording)} bytes"
    assert text == f"ü.wav, {len(recording)} bytes\n"
    length = next(value for name, value in asked["headers"] if name.lower() == "content-length")
    assert asked["body_bytes"] == int(length)


def test_speech_streams_down(client: OpenAI, direct: OpenAI) -> None:
    """Binary comes piece by piece and is what it is without a gateway."""
    digests = []
    for one in (client, direct):
        with one.audio.speech.with_streaming_response.create(
            model="tts-1", voice="alloy", input=SAID, extra_body=scripted(pace_ms=1)
        ) as reply:
            assert reply.headers["content-type"] == "audio/wav"
            digests.append(hashlib.sha256(b"".join(reply.iter_bytes())).hexdigest())

    assert digests[0] == digests[1]


def test_images_and_moderations(client: OpenAI) -> None:
    """The smaller JSON paths are relayed."""
    images = client.images.generate(model="gpt-image-1", prompt="a cat", n=2)
    judged = client.moderations.create(input="violence")

    assert images.data is not None
    assert len(images.data) == 2
    assert judged.results[0].flagged


def test_models(client: OpenAI) -> None:
    """What the upstream lists can be listed and looked up here."""
    names = {model.id for model in client.models.list()}

    assert {"demo", "gpt-4o-mini"} <= names
    assert client.models.retrieve("gpt-4o-mini").id == "gpt-4o-mini"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("nope")


def test_files_without_keys(open_gateway: Gateway) -> None:
    """Where there are no keys to keep apart, files go up, come down and go away."""
    with OpenAI(base_url=open_gateway.base_url, api_key="unused", max_retries=0) as client:
        file = client.files.create(file=("x.jsonl", b"{}\n"), purpose="batch")
        content = client.files.content(file.id).read()
        listed = [entry.id for entry in client.files.list()]
        deleted = client.files.delete(file.id)
        with pytest.raises(openai.NotFoundError):
            client.files.retrieve(file.id)

    assert content == b"{}\n"
    assert file.id in listed
    assert deleted.deleted


def test_files_with_keys_are_refused(client: OpenAI, demo: Demo) -> None:
    """Keys share one account, so its files are nobody's; the upstream is not even asked."""
    with pytest.raises(openai.PermissionDeniedError) as caught:
        client.files.list()

    assert caught.value.code == "endpoint_not_allowed"
    assert demo.requests() == []


def test_raw_response_headers(client: OpenAI) -> None:
    """The upstream's headers come back under their own names, the gateway's beside them."""
    raw = client.chat.completions.with_raw_response.create(model="gpt-4o-mini", messages=MESSAGES)
    completion = raw.parse()

    assert raw.headers["x-request-id"].startswith("req_demo_")
    assert raw.headers["openai-processing-ms"] == "1"
    assert raw.headers["x-ratelimit-remaining-requests"] == "9999"
    assert raw.headers["x-gateway-request-id"]
    assert completion._request_id == raw.request_id == raw.headers["x-request-id"]


def test_vendor_fields_and_headers_go_up(client: OpenAI, demo: Demo) -> None:
    """Unknown members, queries and headers arrive as they were given."""
    client.chat.completions.create(
        model="gpt-4o-mini",
        messages=MESSAGES,
        extra_body={"vendor": {"deep": [1, None]}, "temperature": 1.9},
        extra_headers={"X-Vendor": "a", "Idempotency-Key": "b"},
        extra_query={"q": "x y"},
    )

    (asked,) = demo.requests()
    headers = {name.lower(): value for name, value in asked["headers"]}
    assert (headers["x-vendor"], headers["idempotency-key"]) == ("a", "b")
    assert asked["target"] in ("/v1/chat/completions?q=x+y", "/v1/chat/completions?q=x%20y")
    sent = json.loads(base64.b64decode(asked["body_base64"]))
    assert sent["vendor"] == {"deep": [1, None]}
