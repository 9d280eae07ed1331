"""Every wait has an end of our own, who leaves is let go, who is too many is told so."""

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator

import pytest

from tests.journey.conftest import Connect, Start
from tests.support.clock import FakeClock
from tests.support.faults import CHAT, CHUNKED, HOST, JSON, POST, asked, chat, refusal
from tests.support.gateway import HANG_SECONDS, RawClient, RunningGateway
from tests.support.raw_upstream import (
    STREAM_HEAD,
    RawUpstream,
    Say,
    chunked,
    raw_upstream,
    say,
    whole,
)

FAST = ", header_timeout: 200ms, body_timeout: 200ms"
UPLOAD = b"POST /v1/audio/transcriptions HTTP/1.1\r\n" + HOST + b"Content-Type: audio/wav\r\n"

SLOW = {
    "a request line": (b"GET", b""),
    "a target": (b"GET /v1/", b"m"),
    "a field's name": (POST + HOST, b"x"),
    "a field's value": (POST + HOST + b"X-A: ", b"a"),
    "field after field": (POST + HOST, b"X-A: b\r\n"),
    "a body": (POST + JSON + b"Content-Length: 10000\r\n\r\n", b" "),
    "a body's chunks": (POST + JSON + CHUNKED + b"\r\n", b"1\r\n \r\n"),
    "a chunk's size": (POST + JSON + CHUNKED + b"\r\n", b"0"),
    "a chunk's extension": (POST + JSON + CHUNKED + b"\r\n1;", b"a"),
    "trailers": (POST + JSON + CHUNKED + b"\r\n1\r\n \r\n0\r\n", b"X-A: b\r\n"),
    "nothing after a body's beginning": (POST + JSON + b"Content-Length: 9\r\n\r\n{", b""),
    "nothing after leave to send it": (
        POST + JSON + b"Expect: 100-continue\r\nContent-Length: 9\r\n\r\n",
        b"",
    ),
    "nothing of an upload": (UPLOAD + b"Content-Length: 9\r\n\r\n", b""),
    "nothing more of an upload": (UPLOAD + CHUNKED + b"\r\n5\r\nhello\r\n", b""),
}


@pytest.mark.parametrize(("first", "then"), SLOW.values(), ids=SLOW)
async def test_a_client_that_dawdles_is_told_and_let_go(
    start: Start, connect: Connect, first: bytes, then: bytes
) -> None:
    """A head or body that drips has a deadline as a whole, whatever its pieces: 408, and the connection's end."""
    async with raw_upstream(say(then="hang")) as upstream:
        client = await connect(await start(upstream.url, server=FAST))
        client.send(first)

        async def drip() -> None:
            while True:
                client.send(then)
                await asyncio.sleep(0.02)

        dripping = asyncio.create_task(drip())
        status, _ = await client.head()
        if status == 100:
            status, _ = await client.head()
        dripping.cancel()
        assert status == 408
        await client.closed()
        for seen in upstream.connections:
            await upstream.until(seen.left.is_set)


async def test_empty_lines_keep_no_connection(start: Start, connect: Connect) -> None:
    """Empty lines begin no request and extend nothing: a client that only drips them goes like an idle one."""
    async with raw_upstream() as upstream:
        client = await connect(await start(upstream.url, server=", keepalive_timeout: 200ms"))

        async def drip() -> None:
            while True:
                client.send(b"\r\n")
                await asyncio.sleep(0.02)

        dripping = asyncio.create_task(drip())
        await client.closed()
        dripping.cancel()


DAWDLING = {
    "no head": (say(then="hang"), 504),
    "half a head": (say(b"HTTP/1.1 200 OK\r\n", then="hang"), 504),
    "interim replies": (say(*[b"HTTP/1.1 100 Continue\r\n\r\n"] * 5, then="hang"), 504),
    "half a short body": (say(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{", then="hang"), 504),
    "half an error": (
        say(b"HTTP/1.1 500 Oops\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n", then="hang"),
        504,
    ),
    "a stream": (say(STREAM_HEAD, b"5\r\nhello\r\n", then="hang"), None),
    "half a chunk": (say(STREAM_HEAD, b"5\r\nhe", then="hang"), None),
    "a stream before its last line": (say(STREAM_HEAD, b"5\r\nhello\r\n0\r\n", then="hang"), None),
    "a body without a length": (say(b"HTTP/1.1 200 OK\r\n\r\nhe", then="hang"), None),
}


@pytest.mark.parametrize(("saying", "status"), DAWDLING.values(), ids=DAWDLING)
async def test_an_upstream_that_dawdles_is_let_go(
    start: Start, connect: Connect, saying: Say, status: int | None
) -> None:
    """Before a byte reached the client a silent upstream is 504; after it the client is cut; the connection ends."""
    slow = ", first_byte_timeout: 200ms, idle_timeout: 200ms, retries: 0"
    async with raw_upstream(saying) as upstream:
        client = await connect(await start(upstream.url, upstream=slow))
        reply = await asked(client, chat())
        await upstream.until(upstream.connections[0].left.is_set)
    if status is None:
        assert not reply.whole
    else:
        assert refusal(reply) == (status, "upstream_timeout")


async def test_a_stream_that_moves_is_never_cut(start: Start, connect: Connect) -> None:
    """Deadlines are for standing still: an event a minute keeps a stream alive for days, and each leaves at once."""
    clock = FakeClock()
    gates = [asyncio.Event() for _ in range(20)]
    pieces = [piece for n, gate in enumerate(gates) for piece in (gate, b"2\r\n%02d\r\n" % n)]
    async with raw_upstream(say(STREAM_HEAD, *pieces, b"0\r\n\r\n")) as upstream:
        gateway = await start(upstream.url, upstream=", idle_timeout: 5m", clock=clock)
        client = await connect(gateway)
        client.send(chat())
        await client.head()
        for n, gate in enumerate(gates):
            for _ in range(299):
                clock.advance(1)
            gate.set()
            async with asyncio.timeout(HANG_SECONDS):
                assert await client.reader.readexactly(7) == b"2\r\n%02d\r\n" % n
        assert await client.chunks() == (b"", True)


async def test_a_jump_of_the_wall_clock_changes_nothing(start: Start, connect: Connect) -> None:
    """Waits are told by monotonic time: days forth and back cut no stream and make no head late."""
    clock = FakeClock()
    gate = asyncio.Event()
    async with raw_upstream(say(STREAM_HEAD, gate, chunked(b"hello"))) as upstream:
        gateway = await start(upstream.url, clock=clock)
        client, slow = await connect(gateway), await connect(gateway)
        client.send(chat())
        slow.send(chat()[:40])
        await client.head()
        for days in (-30, 60):
            clock.step(days * 86_400)
            clock.advance(1)
        gate.set()
        assert await client.chunks() == (b"hello", True)
        assert (await asked(slow, chat()[40:])).status == 200


def _fin(client: RawClient) -> None:
    client.writer.close()


def _half(client: RawClient) -> None:
    client.writer.write_eof()


def _reset(client: RawClient) -> None:
    kernel = client.writer.get_extra_info("socket")
    kernel.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.writer.transport.abort()


LEAVING = {
    "before the head": (say(then="hang"), b""),
    "after half a head": (say(b"HTTP/1.1 200 OK\r\n", then="hang"), b""),
    "in a held body": (say(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{", then="hang"), b""),
    "in a stream": (say(STREAM_HEAD, b"5\r\nhello\r\n", then="hang"), b"hello"),
    "in a long body": (
        say(b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\nhello", then="hang"),
        b"hello",
    ),
    "in a body without a length": (say(b"HTTP/1.1 200 OK\r\n\r\nhello", then="hang"), b"hello"),
}


@pytest.mark.parametrize("leave", [_fin, _half, _reset])
@pytest.mark.parametrize(("saying", "seen"), LEAVING.values(), ids=LEAVING)
async def test_who_leaves_takes_the_upstream_s_call_along(
    start: Start, connect: Connect, saying: Say, seen: bytes, leave: object
) -> None:
    """A client that closes, half closes or resets ends its call at the upstream in every phase; nothing is left."""
    async with raw_upstream(saying) as upstream:
        gateway = await start(upstream.url, "limits: [{per: global, concurrency: 1}]")
        client = await connect(gateway)
        client.send(chat())
        await upstream.asked.wait()
        if seen:
            async with asyncio.timeout(HANG_SECONDS):
                await client.reader.readuntil(seen)
        assert callable(leave)
        leave(client)
        await upstream.until(upstream.connections[0].left.is_set)
        await upstream.until(lambda: gateway.app.calls_in_flight == 0)
        upstream.script(say(whole(b"{}")))
        # What was reserved, the one place of all, is free again.
        assert (await asked(await connect(gateway), chat())).status == 200


QUEUES = {
    "for a place among its limits": ("limits: [{per: global, concurrency: 1, wait: 30s}]", ""),
    "for a connection": ("", ", max_connections: 1"),
}


@pytest.mark.parametrize(("limits", "upstream_more"), QUEUES.values(), ids=QUEUES)
async def test_who_leaves_a_queue_is_forgotten(
    start: Start, connect: Connect, limits: str, upstream_more: str
) -> None:
    """A client that waits for its turn and leaves is never asked for at the upstream, and the next one moves up."""
    gate = asyncio.Event()
    async with raw_upstream(say(gate, whole(b"one")), say(whole(b"two"))) as upstream:
        gateway = await start(upstream.url, limits, upstream=upstream_more)
        first, gone, last = [await connect(gateway) for _ in range(3)]
        first.send(chat())
        await upstream.asked.wait()
        for number, waiting in enumerate((gone, last), start=2):
            waiting.send(chat())
            await upstream.until(lambda many=number: gateway.app.calls_in_flight == many)  # type: ignore[misc]
        _reset(gone)
        await upstream.until(lambda: gateway.app.calls_in_flight == 2)
        gate.set()
        assert (await first.reply()).body == b"one"
        assert (await last.reply()).body == b"two"
        assert upstream.requests == 2


@contextlib.asynccontextmanager
async def full(
    start: Start, connect: Connect
) -> AsyncIterator[tuple[RunningGateway, RawUpstream, RawClient, asyncio.Event]]:
    """Run a gateway with room for one call, which is taken until the event is set."""
    gate = asyncio.Event()
    async with raw_upstream(say(gate, whole(b"admitted"))) as upstream:
        gateway = await start(
            upstream.url, server=", max_in_flight: 1, cors_origins: [https://app.example]"
        )
        held = await connect(gateway)
        held.send(chat())
        await upstream.asked.wait()
        yield gateway, upstream, held, gate


async def test_who_is_admitted_is_not_held_up_by_who_is_not(start: Start, connect: Connect) -> None:
    """A flood above `max_in_flight` is refused while the admitted call waits, which is answered when it can be."""
    async with full(start, connect) as (gateway, upstream, held, gate):
        flood = [await connect(gateway) for _ in range(100)]
        for one in flood:
            one.send(chat())
        for one in flood:
            reply = await one.reply()
            assert refusal(reply) == (503, "overloaded")
            assert int(reply.header("retry-after") or 0) >= 1
        # All hundred were told before the one was answered; they cost the upstream nothing.
        assert upstream.requests == 1
        gate.set()
        for one in flood:
            one.send(b"GET /healthz HTTP/1.1\r\n" + HOST + b"\r\n")
        assert (await held.reply()).body == b"admitted"
        assert {(await one.reply()).status for one in flood} == {200}


async def test_a_page_may_read_that_it_was_too_many(start: Start, connect: Connect) -> None:
    """A shed call of a listed origin names it, so that the page sees 503 and not a failure of the network."""
    async with full(start, connect) as (gateway, _, _, gate):
        client = await connect(gateway)
        reply = await asked(client, chat(b"Origin: https://app.example"))
        assert refusal(reply) == (503, "overloaded")
        assert reply.header("access-control-allow-origin") == "https://app.example"
        other = await asked(client, chat(b"Origin: https://evil.example"))
        assert (other.status, other.header("access-control-allow-origin")) == (403, None)
        gate.set()


async def test_many_come_and_leave_and_nothing_is_left(start: Start, connect: Connect) -> None:
    """Streams that end, are left or are cut by the upstream leave no call, no task and no connection in use."""
    gate = asyncio.Event()
    event = b"9\r\ndata: 1\n\n\r\n"
    kinds = [
        say(STREAM_HEAD, event, gate, event, b"0\r\n\r\n"),
        say(STREAM_HEAD, event, then="hang"),
        say(STREAM_HEAD, event, gate, event, then="cut"),
    ]
    async with raw_upstream(*kinds * 30) as upstream:
        gateway = await start(upstream.url, "limits: [{per: global, concurrency: 90}]")
        tasks = len(asyncio.all_tasks())
        clients = [await connect(gateway) for _ in range(90)]
        for one in clients:
            one.send(chat())
            await one.head()
        assert gateway.app.calls_in_flight == 90
        gate.set()
        for number, one in enumerate(clients):
            if number % 3 == 1:
                _reset(one)
            else:
                assert (await one.chunks())[1] == (number % 3 == 0)
            await one.aclose()
        await upstream.until(lambda: not gateway.app.calls_in_flight)
        await upstream.until(lambda: len(asyncio.all_tasks()) <= tasks)
        assert gateway.app.held_bytes() == []
        assert set(gateway.app.metrics.in_flight.values.values()) == {0}
        # Thirty ended in order: their connections are kept, and serve the next call.
        await upstream.until(
            lambda: sum(not seen.left.is_set() for seen in upstream.connections) == 30
        )
        upstream.script(say(whole(b"{}")))
        assert (await asked(await connect(gateway), chat())).body == b"{}"
        assert len(upstream.connections) == 90


async def test_a_large_body_leaves_no_deadline_behind(start: Start, connect: Connect) -> None:
    """Reading on after a pause is no beginning of a head: an idle connection is not told 408 for it."""
    clock = FakeClock()
    async with raw_upstream(say(whole(b"{}"))) as upstream:
        client = await connect(await start(upstream.url, clock=clock))
        large = CHAT[:-1] + b',"user":"' + b"u" * 4_194_304 + b'"}'
        assert (await asked(client, chat(body=large))).status == 200
        for _ in range(30):
            clock.advance(1)
            await asyncio.sleep(0)
        assert (await asked(client, chat())).body == b"{}"
