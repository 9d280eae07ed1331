"""`transformers serve`, a real engine, behind the gateway: what it says reaches the client to the byte.

GATEWAY_TRANSFORMERS_PYTHON names a Python that has `transformers[serving]` and `torch`.
"""

import http.client
import json
import re
from dataclasses import dataclass
from urllib.parse import urlsplit

import openai
import pytest

from tests.engines.conftest import HANG_SECONDS, PYTHON, Engine, gateway

pytestmark = pytest.mark.external(PYTHON)

# What the engine makes its answer's id of: two calls with the same one get the same answer, but for the second.
REQUEST_ID = "the-same-call-twice"
PROMPT_TOKENS, REPLY_TOKENS = 24, 8


@dataclass(frozen=True, slots=True)
class Reply:
    """A reply that ended as its framing says."""

    status: int
    content_type: str | None
    chunked: bool
    body: bytes


def asked(origin: str, method: str, path: str, call: dict[str, object] | None = None) -> Reply:
    """Ask and read to the end; a reply that is cut raises `http.client.IncompleteRead`."""
    address = urlsplit(origin)
    connection = http.client.HTTPConnection(
        address.hostname or "", address.port, timeout=HANG_SECONDS
    )
    body = None if call is None else json.dumps(call)
    headers = {"Content-Type": "application/json", "X-Request-ID": REQUEST_ID}
    try:
        connection.request(method, path, body, headers)
        reply = connection.getresponse()
        return Reply(
            reply.status,
            reply.getheader("content-type"),
            reply.getheader("transfer-encoding") == "chunked",
            # The stamp is the only thing that differs between two equal calls.
            re.sub(rb'"created":\d+', b'"created":0', reply.read()),
        )
    finally:
        connection.close()


def chat(model: str, **more: object) -> dict[str, object]:
    messages = [{"role": "user", "content": "hello"}]
    return {
        "model": model,
        "messages": messages,
        "max_tokens": REPLY_TOKENS,
        "temperature": 0,
        **more,
    }


def test_a_completion_comes_as_the_engine_gave_it(engine: Engine) -> None:
    """The client reads the engine's own bytes, and the log tells its token counts."""
    path, call = "/v1/chat/completions", chat(engine.model)
    direct = asked(engine.origin, "POST", path, call)
    with gateway(engine) as running:
        relayed = asked(running.origin, "POST", path, call)

    assert relayed == direct
    assert relayed.status == 200
    assert json.loads(relayed.body)["choices"][0]["finish_reason"] == "length"
    (line,) = running.calls
    assert (line["status"], line["code"]) == (200, None)
    assert (line["input_tokens"], line["output_tokens"]) == (PROMPT_TOKENS, REPLY_TOKENS)


def test_a_stream_comes_as_the_engine_gave_it(engine: Engine) -> None:
    """The engine ends its stream without [DONE]: none is made up, the end is clean and the usage known."""
    path, call = "/v1/chat/completions", chat(engine.model, stream=True)
    direct = asked(engine.origin, "POST", path, call)
    with gateway(engine) as running:
        relayed = asked(running.origin, "POST", path, call)

    assert relayed == direct
    assert relayed.chunked
    events = relayed.body.decode().removesuffix("\n\n").split("\n\n")
    assert len(events) > 2
    last = json.loads(events[-1].removeprefix("data: "))
    assert last["choices"][0]["finish_reason"] == "length"
    (line,) = running.calls
    assert (line["status"], line["code"]) == (200, None)
    assert (line["input_tokens"], line["output_tokens"]) == (PROMPT_TOKENS, REPLY_TOKENS)


def test_the_models_are_those_that_the_engine_lists(engine: Engine) -> None:
    """A sole upstream's list is relayed as it is."""
    direct = asked(engine.origin, "GET", "/v1/models")
    with gateway(engine) as running:
        relayed = asked(running.origin, "GET", "/v1/models")

    assert relayed == direct
    assert [model["id"] for model in json.loads(relayed.body)["data"]] == [engine.model]


def test_a_refusal_in_the_engines_own_words_is_relayed(engine: Engine) -> None:
    """A 400 that is not in OpenAI's form stays what it is."""
    path, call = "/v1/chat/completions", chat("another")
    direct = asked(engine.origin, "POST", path, call)
    with gateway(engine) as running:
        relayed = asked(running.origin, "POST", path, call)

    assert relayed == direct
    assert relayed.status == 400
    assert "detail" in json.loads(relayed.body)


def test_the_sdk_reads_the_stream(engine: Engine) -> None:
    """OpenAI's client reads the engine's stream through the gateway to its end."""
    with (
        gateway(engine) as running,
        openai.OpenAI(base_url=f"{running.origin}/v1", api_key="unused") as client,
    ):
        stream = client.chat.completions.create(
            model=engine.model,
            messages=[{"role": "user", "content": "hello"}],
            max_tokens=REPLY_TOKENS,
            stream=True,
        )
        chunks = list(stream)

    assert chunks[0].choices[0].delta.role == "assistant"
    assert chunks[-1].choices[0].finish_reason in ("length", "stop")
