"""A listener by itself: how its connections begin, wait and end, whatever their calls mean."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from gateway.clock import SystemClock
from gateway.deadlines import Deadlines
from gateway.downstream import Downstream
from gateway.errors import GatewayError
from gateway.listener import Listener
from gateway.listener.body import HELD_BYTES
from gateway.listener.connection import MAX_AHEAD_BYTES, READ_BYTES, Connection, Phase
from gateway.listener.head import Request
from tests.support.gateway import HANG_SECONDS

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n"

Serve = Callable[[Request, Connection], Awaitable[bool]]
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@asynccontextmanager
async def listening(
    serve: Serve,
) -> AsyncIterator[tuple[Listener, Callable[[], Awaitable[Streams]]]]:
    """Listen with what serves calls; give the listener, and the way to connect to it."""

    def refusal(error: GatewayError) -> bytes:
        return b"HTTP/1.1 %d No\r\nContent-Length: 0\r\n\r\n" % error.status

    listener = Listener(
        serve,
        deadlines=Deadlines(SystemClock()),
        header_seconds=HANG_SECONDS,
        keepalive_seconds=HANG_SECONDS,
        refusal=refusal,
    )
    server = await asyncio.get_running_loop().create_server(listener, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with AsyncExitStack() as stack:

        async def connect() -> Streams:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            stack.callback(writer.close)
            return reader, writer

        try:
            yield listener, connect
        finally:
            listener.abort_all()
            server.close()


async def until(done: Callable[[], bool]) -> None:
    async with asyncio.timeout(HANG_SECONDS):
        while not done():  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.001)


async def ok(request: Request, connection: Connection) -> bool:
    connection.write(OK)
    return request.keep_alive


async def test_a_refusal_reaches_who_still_sends() -> None:
    """What follows a head that is none is read and dropped, so that the refusal is not lost with the connection."""
    async with listening(ok) as (_, connect):
        reader, writer = await connect()
        writer.write(b"nonsense\r\n\r\n" + b"x" * 8_000_000)
        async with asyncio.timeout(HANG_SECONDS):
            await writer.drain()
            assert (await reader.read()).startswith(b"HTTP/1.1 400 ")


async def test_who_sends_far_ahead_waits() -> None:
    """While a call is in progress little more is read; what was sent is served in its turn, to the last request."""
    gate = asyncio.Event()
    served = 0

    async def slow(request: Request, connection: Connection) -> bool:
        nonlocal served
        await gate.wait()
        served += 1
        return await ok(request, connection)

    async with listening(slow) as (listener, connect):
        reader, writer = await connect()
        many = 200_000
        writer.write(GET * many)
        (connection,) = await _connections(listener)
        await until(lambda: not connection._reading)
        assert len(connection._ahead) <= MAX_AHEAD_BYTES + READ_BYTES
        gate.set()
        async with asyncio.timeout(60):
            for _ in range(many):
                await reader.readexactly(len(OK))
        assert served == many


async def test_what_waits_does_not_grow_with_each_call() -> None:
    """Requests are far shorter than a read: one read for each call served would hold all that a client can send."""
    most = 0

    async def slow(request: Request, connection: Connection) -> bool:
        nonlocal most
        await asyncio.sleep(0.001)
        most = max(most, len(connection._ahead) - connection._at)
        return await ok(request, connection)

    async with listening(slow) as (_, connect):
        reader, writer = await connect()
        writer.write(GET * 100_000)
        async with asyncio.timeout(HANG_SECONDS):
            for _ in range(100):
                await reader.readexactly(len(OK))
        assert most <= MAX_AHEAD_BYTES + READ_BYTES


async def test_an_empty_line_behind_a_body_begins_no_request() -> None:
    """Old clients send one: the connection rests, and no 408 comes that the next reply would be taken for."""
    async with listening(ok) as (listener, connect):
        reader, writer = await connect()
        writer.write(POST % 2 + b"hi\r\n")
        (connection,) = await _connections(listener)
        async with asyncio.timeout(HANG_SECONDS):
            await reader.readexactly(len(OK))
            assert connection._phase is Phase.REQUEST
            writer.write(GET)
            assert await reader.readexactly(len(OK)) == OK


async def test_requests_that_came_at_once_leave_others_their_turn() -> None:
    """Calls that wait for nothing are not served in one step of the loop, however many came in one read."""
    served = 0

    async def quick(request: Request, connection: Connection) -> bool:
        nonlocal served
        served += 1
        return await ok(request, connection)

    async with listening(quick) as (_, connect):
        _, writer = await connect()
        writer.write(GET * 1000)
        await until(lambda: served > 0)
        assert served < 1000


async def _connections(listener: Listener) -> tuple[Connection, ...]:
    await until(lambda: bool(listener.connections))
    return tuple(listener.connections)


async def test_a_body_that_nobody_reads_is_not_held() -> None:
    """Of a body that its call does not read yet, no more than a bound and one read is taken."""
    gate = asyncio.Event()
    sizes = []

    async def slow(request: Request, connection: Connection) -> bool:
        await gate.wait()
        assert request.rest is not None
        while piece := await request.rest.read():
            sizes.append(len(piece))
        return await ok(request, connection)

    async with listening(slow) as (listener, connect):
        reader, writer = await connect()
        size = 8_000_000
        writer.write(POST % size + b"x" * size)
        (connection,) = await _connections(listener)
        await until(lambda: not connection._reading)
        gate.set()
        async with asyncio.timeout(HANG_SECONDS):
            await reader.readexactly(len(OK))
        assert sizes[0] <= HELD_BYTES + READ_BYTES
        assert sum(sizes) == size


async def test_one_whose_client_has_gone_can_be_cut() -> None:
    """A reply that ends with its connection is cut by a reset, for which there must be a connection."""
    cut = asyncio.Event()

    async def late(request: Request, connection: Connection) -> bool:
        down = Downstream(request, connection, Deadlines(SystemClock()))
        down.start(200, None, (), None)
        try:
            await asyncio.sleep(3600)
        finally:
            down.cut()
            cut.set()
        return False

    async with listening(late) as (listener, connect):
        reader, writer = await connect()
        writer.write(b"GET / HTTP/1.0\r\n\r\n")
        async with asyncio.timeout(HANG_SECONDS):
            await reader.readuntil(b"\r\n\r\n")
            writer.transport.abort()
            await cut.wait()
        await until(lambda: not listener.connections)


async def test_a_failure_of_serving_cuts_the_connection(caplog: pytest.LogCaptureFixture) -> None:
    """Nothing can be told any more, and nobody else would end it; the log says where, without the values."""

    async def broken(request: Request, connection: Connection) -> bool:
        raise ValueError("a secret")

    async with listening(broken) as (listener, connect):
        reader, writer = await connect()
        writer.write(GET)
        async with asyncio.timeout(HANG_SECONDS):
            assert await reader.read() == b""
        await until(lambda: not listener.connections)
    (line,) = caplog.records
    assert line.getMessage() == "internal error"
    assert line.fields["error"] == "ValueError"  # type: ignore[attr-defined]
    assert "secret" not in repr(line.__dict__)


async def test_draining_ends_each_connection_after_its_call() -> None:
    """Idle ones end at once, the others when they are answered, what is sent behind it unread."""
    gate = asyncio.Event()

    async def slow(request: Request, connection: Connection) -> bool:
        await gate.wait()
        return await ok(request, connection)

    async with listening(slow) as (listener, connect):
        idle, _ = await connect()
        busy, writer = await connect()
        writer.write(GET + GET)
        await until(
            lambda: len(listener.connections) == 2 and any(not c.idle for c in listener.connections)
        )
        listener.drain()
        async with asyncio.timeout(HANG_SECONDS):
            assert await idle.read() == b""
            gate.set()
            assert await busy.read() == OK


async def test_who_closes_cancels_the_call() -> None:
    """A call whose client is gone is cancelled, and its connection forgotten."""
    cancelled = asyncio.Event()

    async def endless(request: Request, connection: Connection) -> bool:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()
        return True

    async with listening(endless) as (listener, connect):
        _, writer = await connect()
        writer.write(GET)
        await until(lambda: any(not c.idle for c in listener.connections))
        writer.close()
        async with asyncio.timeout(HANG_SECONDS):
            await cancelled.wait()
        await until(lambda: not listener.connections)
