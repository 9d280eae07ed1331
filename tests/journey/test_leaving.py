"""A client that leaves ends its upstream call at once; a slow one holds the upstream back."""

import json

from gateway.demo_upstream import DemoUpstream
from tests.journey.conftest import Connect, Start
from tests.support.gateway import RunningGateway
from tests.support.raw_upstream import STREAM_HEAD, chunked, raw_upstream, say

CHAT = b'{"model":"echo","messages":[{"role":"user","content":"hi"}]}'


def counted(gateway: RunningGateway, phase: str) -> float:
    return gateway.app.metrics.disconnects.values.get((phase,), 0)


async def test_leaving_while_waiting(start: Start, connect: Connect) -> None:
    """A client that gives up before the reply's head closes the upstream's connection."""
    async with raw_upstream(say(then="hang")) as upstream:
        gateway = await start(upstream.url)
        client = await connect(gateway)
        client.request("POST", "/v1/chat/completions", CHAT)
        await upstream.asked.wait()

        await client.aclose()

        await upstream.until(upstream.connections[0].left.is_set)
        assert counted(gateway, "waiting") == 1
        assert gateway.app.calls_in_flight == 0


async def test_leaving_in_the_middle_of_a_stream(start: Start, connect: Connect) -> None:
    """A client that stops reading a stream closes the upstream's connection."""
    async with raw_upstream(
        say(STREAM_HEAD, chunked(b"data: 1\n\n", end=False), then="hang")
    ) as upstream:
        gateway = await start(upstream.url)
        client = await connect(gateway)
        client.request("POST", "/v1/chat/completions", CHAT)
        await client.head()

        client.writer.transport.abort()

        await upstream.until(upstream.connections[0].left.is_set)
        assert counted(gateway, "streaming") == 1


async def test_leaving_in_the_middle_of_an_upload(start: Start, connect: Connect) -> None:
    """An upload whose client leaves never looks whole to the upstream."""
    async with raw_upstream(say(then="hang")) as upstream:
        gateway = await start(upstream.url)
        client = await connect(gateway)
        client.send(
            b"POST /v1/audio/transcriptions HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            b"Content-Type: application/octet-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"5\r\nhello\r\n"
        )
        await upstream.until(
            lambda: bool(upstream.connections) and b"hello" in upstream.connections[0].received
        )

        client.writer.transport.abort()

        await upstream.until(upstream.connections[0].left.is_set)
        assert not upstream.connections[0].received.endswith(b"0\r\n\r\n")


async def test_leaving_between_retries(start: Start, connect: Connect) -> None:
    """A client that leaves while the gateway waits to try again stops the tries."""
    async with raw_upstream(say(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n")) as upstream:
        gateway = await start(upstream.url, upstream=", retries: 10")
        client = await connect(gateway)
        client.request("POST", "/v1/chat/completions", CHAT)
        await upstream.asked.wait()

        client.writer.transport.abort()

        await upstream.until(lambda: gateway.app.calls_in_flight == 0)
        assert upstream.requests < 10


async def test_a_slow_reader_holds_the_upstream_back(start: Start, connect: Connect) -> None:
    """What a stopped reader does not take stays with the upstream, and all of it comes when it reads on."""
    piece = b"x" * 65_536
    many = 800
    pieces = [b"%x\r\n%b\r\n" % (len(piece), piece)] * many
    async with raw_upstream(say(STREAM_HEAD, *pieces, b"0\r\n\r\n")) as upstream:
        gateway = await start(upstream.url)
        client = await connect(gateway)
        client.request("POST", "/v1/chat/completions", CHAT)
        await client.head()
        await upstream.until(lambda: upstream.stalled == 1)

        # The client's buffer is the last to fill: what the gateway itself holds is bounded.
        (held,) = gateway.app.held_bytes()
        assert held <= 262_144
        assert not upstream.said.is_set()
        body, whole = await client.chunks()

    assert whole
    assert len(body) == many * len(piece)


async def test_a_reader_that_stands_still_is_cut(start: Start, connect: Connect) -> None:
    """A client that takes nothing for too long loses its connection, and the upstream its call."""
    piece = b"%x\r\n%b\r\n" % (65_536, b"x" * 65_536)
    async with raw_upstream(say(STREAM_HEAD, *[piece] * 800, b"0\r\n\r\n")) as upstream:
        gateway = await start(upstream.url, upstream=", idle_timeout: 300ms")
        client = await connect(gateway)
        client.request("POST", "/v1/chat/completions", CHAT)
        await client.head()

        await upstream.until(upstream.connections[0].left.is_set)

        _, whole = await client.chunks()
        assert not whole


async def test_the_demo_upstream_sees_who_left(
    demo: DemoUpstream, start: Start, connect: Connect
) -> None:
    """A paced stream that its client leaves ends at the upstream in the same phase."""
    client = await connect(await start(demo.url))
    client.request(
        "POST",
        "/v1/chat/completions",
        CHAT[:-1] + b',"stream":true}',
        (("x-demo", json.dumps({"hang_after": 1})),),
    )
    await client.head()

    client.writer.transport.abort()

    await demo.settled()
    assert demo.last.aborted == "streaming"
