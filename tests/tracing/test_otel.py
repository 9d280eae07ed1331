"""One span a call, a link of its client's trace, with OpenTelemetry's names for what generates."""

import re
from collections.abc import Iterator

import pytest

from gateway.demo_upstream import DemoUpstream
from tests.journey.conftest import Connect, Start, connect, demo, start
from tests.support.otlp import Receiver, attributes, receiving

__all__ = ["connect", "demo", "start"]

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"
CHAT = b'{"model":"demo","messages":[{"role":"user","content":"the secret prompt"}]}'
MODELS = "models: {demo: {targets: [{upstream: up}]}}\n"
STATUS_ERROR = 2


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as running:
        yield running


def traceparent(flags: str = "01") -> tuple[tuple[str, str], ...]:
    return (("traceparent", f"00-{TRACE}-{PARENT}-{flags}"), ("tracestate", "vendor=1"))


async def test_a_call_is_a_span(
    demo: DemoUpstream, start: Start, connect: Connect, receiver: Receiver
) -> None:
    """The client's span is its parent, the upstream is told its name, and what the call came to stands in it."""
    gateway = await start(demo.url, f"{MODELS}tracing: {{endpoint: '{receiver.url}'}}\n")
    client = await connect(gateway)
    client.request(
        "POST", "/v1/chat/completions", CHAT, (*traceparent(), ("x-request-id", "call-1"))
    )
    assert (await client.reply()).status == 200
    await gateway.app.drain()

    (span,) = receiver.spans
    assert receiver.paths == {"/v1/traces"}
    assert (span.trace_id.hex(), span.parent_span_id.hex()) == (TRACE, PARENT)
    assert demo.last.header("traceparent") == f"00-{TRACE}-{span.span_id.hex()}-01"
    assert demo.last.header("tracestate") == "vendor=1"
    assert span.name == "chat demo"
    told = attributes(span)
    assert told.pop("gen_ai.usage.input_tokens")
    assert told.pop("gen_ai.usage.output_tokens")
    assert told == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "up",
        "gen_ai.request.model": "demo",
        "gen_ai.usage.cache_read.input_tokens": 0,
        "http.request.method": "POST",
        "http.route": "/v1/chat/completions",
        "http.response.status_code": 200,
        "gateway.request_id": "call-1",
        "gateway.upstream": "up",
        "gateway.model": "demo",
        "gateway.attempts": 1,
    }
    assert "secret prompt" not in str(span)
    assert span.end_time_unix_nano > span.start_time_unix_nano


async def test_a_stream_s_span_tells_when_it_began(
    demo: DemoUpstream, start: Start, connect: Connect, receiver: Receiver
) -> None:
    """It stands in seconds from the call's begin to the first byte of the body, and for whole replies not at all."""
    gateway = await start(demo.url, f"{MODELS}tracing: {{endpoint: '{receiver.url}'}}\n")
    client = await connect(gateway)
    for body in (CHAT, CHAT[:-1] + b',"stream":true}'):
        client.request("POST", "/v1/chat/completions", body)
        assert (await client.reply()).status == 200
    await gateway.app.drain()

    whole, stream = map(attributes, receiver.spans)
    assert stream["gen_ai.request.stream"] is True
    first_seconds = stream["gen_ai.response.time_to_first_chunk"]
    lasted = receiver.spans[1].end_time_unix_nano - receiver.spans[1].start_time_unix_nano
    assert isinstance(first_seconds, float)
    assert 0 < first_seconds < lasted / 1e9 + 1
    assert not {"gen_ai.request.stream", "gen_ai.response.time_to_first_chunk"} & set(whole)


async def test_a_trace_begins_here_where_the_client_has_none(
    demo: DemoUpstream, start: Start, connect: Connect, receiver: Receiver
) -> None:
    """Without a traceparent, or with one that cannot be read, the call is the root of a trace."""
    gateway = await start(demo.url, f"tracing: {{endpoint: '{receiver.url}/v1/traces'}}\n")
    client = await connect(gateway)
    for fields in ((), (("traceparent", "00-zz-1"),)):
        client.request("GET", "/v1/models", b"", fields)
        assert (await client.reply()).status == 200
        sent = demo.last.header("traceparent") or ""
        assert re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-0[13]", sent)
    await gateway.app.drain()

    assert [span.parent_span_id for span in receiver.spans] == [b"", b""]
    assert {span.name for span in receiver.spans} == {"GET /v1/models"}
    assert receiver.paths == {"/v1/traces"}


async def test_what_failed_is_an_error(
    demo: DemoUpstream, start: Start, connect: Connect, receiver: Receiver
) -> None:
    """A 5xx is the span's error; a 4xx is the client's, and only its type is told."""
    gateway = await start(demo.url, f"{MODELS}tracing: {{endpoint: '{receiver.url}'}}\n")
    client = await connect(gateway)
    client.request("POST", "/v1/chat/completions", CHAT, (("x-demo", '{"error": 500}'),))
    assert (await client.reply()).status == 500
    client.request("POST", "/v1/chat/completions", b"{")
    assert (await client.reply()).status == 400
    await gateway.app.drain()

    failed, refused = receiver.spans
    assert (attributes(failed)["error.type"], failed.status.code) == ("500", STATUS_ERROR)
    assert (attributes(refused)["error.type"], refused.status.code) == ("invalid_json", 0)


async def test_who_does_not_sample_is_obeyed(
    demo: DemoUpstream, start: Start, connect: Connect, receiver: Receiver
) -> None:
    """A trace that its client does not record is handed on as such, and not sent."""
    gateway = await start(demo.url, f"tracing: {{endpoint: '{receiver.url}'}}\n")
    client = await connect(gateway)
    client.request("POST", "/v1/chat/completions", CHAT, traceparent("00"))
    assert (await client.reply()).status == 200
    await gateway.app.drain()

    sent = demo.last.header("traceparent") or ""
    assert sent.startswith(f"00-{TRACE}-")
    assert sent.endswith("-00")
    assert receiver.spans == []


async def test_without_tracing_the_client_s_own_goes_up(
    demo: DemoUpstream, start: Start, connect: Connect
) -> None:
    """Where nothing is traced the header fields of a trace pass through untouched."""
    client = await connect(await start(demo.url))
    client.request("POST", "/v1/chat/completions", CHAT, traceparent("00"))
    await client.reply()

    assert demo.last.header("traceparent") == f"00-{TRACE}-{PARENT}-00"
    assert demo.last.header("tracestate") == "vendor=1"
