"""Connections are used again while they are good, never beyond their number, and never left behind."""

import asyncio
import socket

import pytest

from gateway.errors import (
    UpstreamConnectError,
    UpstreamCutError,
    UpstreamTimeoutError,
)
from gateway.transport.pool import KEEPALIVE_SECONDS
from tests.support.clock import FakeClock
from tests.support.raw_upstream import STREAM_HEAD, chunked, raw_upstream, say, whole
from tests.transport.conftest import MakePool, asked, request, soon, turns

EMPTY = "<Pool [0 active, 0 idle, 0 waiting]>"


async def test_a_good_connection_is_used_again(make_pool: MakePool) -> None:
    """One connection carries one request after the other."""
    pool = make_pool()
    async with raw_upstream(say(whole(b"ok")), say(STREAM_HEAD + chunked(b"ok"))) as upstream:
        for _ in range(3):
            assert await asked(pool, request(upstream.port)) == (200, b"ok")
            assert repr(pool) == "<Pool [0 active, 1 idle, 0 waiting]>"

    assert len(upstream.connections) == 1


@pytest.mark.parametrize(
    "reply",
    [
        whole(b"ok", b"Connection: close"),
        whole(b"ok") + b"more",
        whole(b"ok") + whole(b"stolen"),
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
    ],
)
async def test_a_connection_in_doubt_is_not(make_pool: MakePool, reply: bytes) -> None:
    """One that says it ends, or on which something followed the reply, is closed."""
    pool = make_pool()
    async with raw_upstream(say(reply)) as upstream:
        assert await asked(pool, request(upstream.port)) == (200, b"ok")
        await upstream.connections[0].left.wait()
        assert repr(pool) == EMPTY


async def test_unasked_bytes_on_an_idle_connection_close_it(make_pool: MakePool) -> None:
    """What nobody asked for answers nobody's request."""
    pool = make_pool()
    async with raw_upstream(say(whole(b"ok"))) as upstream:
        await asked(pool, request(upstream.port))
        upstream.connections[0].transport.write(whole(b"stolen"))
        await upstream.connections[0].left.wait()

        assert repr(pool) == EMPTY
        assert await asked(pool, request(upstream.port)) == (200, b"ok")


async def test_a_stale_connection_is_replaced_once(make_pool: MakePool) -> None:
    """A pooled connection that ends before a byte of the reply is tried again on a fresh one, once."""
    pool = make_pool()
    async with raw_upstream(
        say(whole(b"one")), say(then="cut"), say(whole(b"two")), say(then="cut")
    ) as upstream:
        assert await asked(pool, request(upstream.port)) == (200, b"one")
        assert await asked(pool, request(upstream.port)) == (200, b"two")
        with pytest.raises(UpstreamCutError):
            await asked(pool, request(upstream.port))

    assert upstream.requests == 5


async def test_a_fresh_connection_that_ends_is_no_stale_one(make_pool: MakePool) -> None:
    """The first request on a connection is not sent twice."""
    async with raw_upstream(say(then="cut")) as upstream:
        with pytest.raises(UpstreamCutError):
            await asked(make_pool(), request(upstream.port))

    assert upstream.requests == 1


async def test_a_reply_that_has_begun_is_not_asked_for_again(make_pool: MakePool) -> None:
    """After a byte of the reply the failure is told."""
    pool = make_pool()
    async with raw_upstream(say(whole(b"one")), say(b"HTTP/1.1 2", then="cut")) as upstream:
        await asked(pool, request(upstream.port))
        with pytest.raises(UpstreamCutError):
            await asked(pool, request(upstream.port))

    assert upstream.requests == 2


async def test_idle_connections_end(make_pool: MakePool) -> None:
    """A connection that nobody needs is closed after a while, and no timer stays."""
    clock = FakeClock()
    pool = make_pool(clock)
    async with raw_upstream(say(whole(b"ok"))) as upstream:
        await asked(pool, request(upstream.port))
        clock.advance(KEEPALIVE_SECONDS + 1)
        await upstream.connections[0].left.wait()

    assert repr(pool) == EMPTY
    assert clock.pending == 0


async def test_no_more_connections_than_allowed(make_pool: MakePool) -> None:
    """Requests above the number wait their turn, first come first served."""
    pool = make_pool(max_connections=2)
    async with raw_upstream(say(STREAM_HEAD, then="hang")) as upstream:
        held = [await pool.open(request(upstream.port), first_byte_seconds=5) for _ in range(2)]
        order: list[int] = []

        async def ask(number: int) -> None:
            reply = await pool.open(request(upstream.port), first_byte_seconds=5)
            order.append(number)
            reply.abort()

        waiting = [asyncio.ensure_future(ask(number)) for number in range(5)]
        await asyncio.sleep(0)
        assert repr(pool) == "<Pool [2 active, 0 idle, 5 waiting]>"
        held[0].abort()
        await asyncio.gather(*waiting)
        held[1].abort()

    assert order == [0, 1, 2, 3, 4]
    assert repr(pool) == EMPTY


async def test_waiting_has_the_requests_deadline(make_pool: MakePool) -> None:
    """A request that finds no connection in time says so, and its place in the row is free."""
    clock = FakeClock()
    pool = make_pool(clock, max_connections=1)
    async with raw_upstream(say(STREAM_HEAD, then="hang")) as upstream:
        held = await pool.open(request(upstream.port), first_byte_seconds=5)
        waiting = asyncio.ensure_future(pool.open(request(upstream.port), first_byte_seconds=5))
        await asyncio.sleep(0)
        clock.advance(6)
        with pytest.raises(UpstreamTimeoutError):
            await waiting
        held.abort()

    assert repr(pool) == EMPTY


async def test_cancelling_frees_everything(make_pool: MakePool) -> None:
    """Cancelled while waiting for a place, for the head, or in the body: nothing stays taken."""
    pool = make_pool(max_connections=1)
    async with raw_upstream(say(then="hang"), say(STREAM_HEAD, then="hang")) as upstream:
        for_head = asyncio.ensure_future(pool.open(request(upstream.port), first_byte_seconds=5))
        await upstream.asked.wait()
        for_place = asyncio.ensure_future(pool.open(request(upstream.port), first_byte_seconds=5))
        await asyncio.sleep(0)
        assert repr(pool) == "<Pool [1 active, 0 idle, 1 waiting]>"

        for_place.cancel()
        for_head.cancel()
        await asyncio.gather(for_head, for_place, return_exceptions=True)
        assert repr(pool) == EMPTY
        await upstream.connections[0].left.wait()

        reply = await pool.open(request(upstream.port), first_byte_seconds=5)
        in_body = asyncio.ensure_future(reply.copy(lambda data: None))
        await asyncio.sleep(0)
        in_body.cancel()
        await asyncio.gather(in_body, return_exceptions=True)
        await upstream.connections[1].left.wait()

    assert repr(pool) == EMPTY


async def test_a_place_given_to_one_who_left_goes_to_the_next(make_pool: MakePool) -> None:
    """A waiter that is cancelled just as it is woken does not keep the others waiting."""
    pool = make_pool(max_connections=1)
    async with raw_upstream(say(whole(b"ok"))) as upstream:
        held = await pool.open(request(upstream.port), first_byte_seconds=5)
        first, second = (
            asyncio.ensure_future(asked(pool, request(upstream.port))) for _ in range(2)
        )
        await asyncio.sleep(0)
        held.abort()
        first.cancel()

        async with asyncio.timeout(5):
            assert await second == (200, b"ok")


async def test_retiring_lets_replies_end(make_pool: MakePool) -> None:
    """A retired pool closes what is idle at once and what is busy when its reply is whole."""
    pool = make_pool()
    async with raw_upstream(say(whole(b"ok"))) as upstream:
        busy = await pool.open(request(upstream.port), first_byte_seconds=5)
        await asked(pool, request(upstream.port))
        pool.retire()
        got = bytearray()
        await busy.copy(got.extend)

    assert bytes(got) == b"ok"
    assert repr(pool) == EMPTY


async def test_closing_ends_everything(make_pool: MakePool) -> None:
    """A closed pool cuts its replies, closes what is idle, and lets nobody wait for a place."""
    pool = make_pool(max_connections=1)
    async with raw_upstream(say(STREAM_HEAD, then="hang")) as upstream:
        busy = await pool.open(request(upstream.port), first_byte_seconds=5)
        copying = asyncio.ensure_future(busy.copy(lambda data: None))
        waiting = asyncio.ensure_future(asked(pool, request(upstream.port)))
        await turns()
        await pool.aclose()

        with pytest.raises(UpstreamCutError):
            await soon(copying)
        with pytest.raises(UpstreamConnectError):
            await soon(waiting)
        await soon(upstream.connections[0].left.wait())

    assert repr(pool) == EMPTY


async def test_bytes_that_lie_there_before_a_request_are_no_reply_to_it(
    make_pool: MakePool,
) -> None:
    """What came on an idle connection, and the loop has not read yet, is never the next caller's answer."""
    pool = make_pool()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        asking = asyncio.ensure_future(asked(pool, request(port)))
        loop = asyncio.get_running_loop()
        listener.setblocking(False)
        peer, _ = await soon(loop.sock_accept(listener))
        with peer:
            await soon(loop.sock_recv(peer, 65_536))
            peer.sendall(whole(b"mine"))
            assert await soon(asking) == (200, b"mine")
            assert repr(pool) == "<Pool [0 active, 1 idle, 0 waiting]>"

            async def answer() -> None:
                fresh, _ = await loop.sock_accept(listener)
                with fresh:
                    await loop.sock_recv(fresh, 65_536)
                    fresh.sendall(whole(b"mine too"))

            answering = asyncio.ensure_future(answer())
            await turns()
            # No turn of the loop between what is sent unasked and the next request.
            peer.sendall(whole(b"stolen"))
            assert await soon(asked(pool, request(port))) == (200, b"mine too")
            await soon(answering)


async def test_a_connection_that_its_server_closed_is_not_tried(make_pool: MakePool) -> None:
    """A server that closes an idle connection costs the next request neither a failure nor its one retry."""
    pool = make_pool()
    async with raw_upstream(say(whole(b"ok"), then="end"), say(whole(b"ok"))) as upstream:
        await asked(pool, request(upstream.port))
        await soon(upstream.connections[0].left.wait())
        await upstream.until(lambda: repr(pool) == EMPTY)
        assert await asked(pool, request(upstream.port)) == (200, b"ok")

    assert upstream.requests == 2


async def test_the_newest_idle_connection_is_used_first(make_pool: MakePool) -> None:
    """The least likely to be stale is used, so that those which are not needed end."""
    pool = make_pool()
    gate = asyncio.Event()
    async with raw_upstream(say(gate, whole(b"a")), say(whole(b"b"))) as upstream:
        first = asyncio.ensure_future(asked(pool, request(upstream.port)))
        await soon(upstream.asked.wait())
        await asked(pool, request(upstream.port))
        gate.set()
        await soon(first)
        assert repr(pool) == "<Pool [0 active, 2 idle, 0 waiting]>"
        await asked(pool, request(upstream.port))

    assert [connection.requests for connection in upstream.connections] == [2, 1]


async def test_a_connection_serves_its_own_origin_only(make_pool: MakePool) -> None:
    """One to another host or port is not used, and makes room where there is none."""
    pool = make_pool(max_connections=1)
    async with raw_upstream(say(whole(b"a"))) as one, raw_upstream(say(whole(b"b"))) as other:
        assert await asked(pool, request(one.port)) == (200, b"a")
        assert await asked(pool, request(other.port)) == (200, b"b")
        assert repr(pool) == "<Pool [0 active, 1 idle, 0 waiting]>"
        assert await asked(pool, request(one.port)) == (200, b"a")


@pytest.mark.parametrize(
    ("hint", "still_idle_after", "closed_after"),
    [(b"timeout=5", 3.9, 0.2), (b"timeout=3600", 59.9, 0.2)],
)
async def test_how_long_the_server_waits_is_believed(
    make_pool: MakePool, hint: bytes, still_idle_after: float, closed_after: float
) -> None:
    """A connection is closed a second before its server says it would, and after a minute at the latest."""
    clock = FakeClock()
    pool = make_pool(clock)
    async with raw_upstream(say(whole(b"ok", b"Keep-Alive: " + hint))) as upstream:
        await asked(pool, request(upstream.port))
        clock.advance(still_idle_after)
        assert repr(pool) == "<Pool [0 active, 1 idle, 0 waiting]>"
        clock.advance(closed_after)
        assert repr(pool) == EMPTY


async def test_a_server_that_hardly_waits_is_not_kept(make_pool: MakePool) -> None:
    """A connection that its server is about to close is not pooled."""
    pool = make_pool()
    async with raw_upstream(say(whole(b"ok", b"Keep-Alive: timeout=1"))) as upstream:
        await asked(pool, request(upstream.port))
        assert repr(pool) == EMPTY


async def test_the_reply_to_head_leaves_its_connection_good(make_pool: MakePool) -> None:
    """A length that tells of a body which HEAD does not get is no reason to close."""
    pool = make_pool()
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"
    async with raw_upstream(say(head), say(whole(b"ok"))) as upstream:
        assert await asked(pool, request(upstream.port, b"", method="HEAD")) == (200, b"")
        assert await asked(pool, request(upstream.port)) == (200, b"ok")

    assert len(upstream.connections) == 1


async def test_a_stale_connection_is_no_second_chance_for_the_slow(make_pool: MakePool) -> None:
    """A pooled connection on which no reply comes in time is a timeout, and nothing is sent again."""
    clock = FakeClock()
    pool = make_pool(clock)
    async with raw_upstream(say(whole(b"ok")), say(then="hang")) as upstream:
        await asked(pool, request(upstream.port))
        asking = asyncio.ensure_future(asked(pool, request(upstream.port), seconds=10))
        await upstream.until(lambda: upstream.requests == 2)
        clock.advance(10.1)

        with pytest.raises(UpstreamTimeoutError):
            await soon(asking)

    assert upstream.requests == 2


async def test_who_waits_comes_before_who_arrives(make_pool: MakePool) -> None:
    """A connection that becomes free goes to the one that waits longest, used again, not to a newcomer."""
    pool = make_pool(max_connections=1)
    gate = asyncio.Event()
    order: list[str] = []
    async with raw_upstream(say(gate, whole(b"ok")), say(whole(b"ok"))) as upstream:

        async def ask(name: str) -> None:
            await asked(pool, request(upstream.port))
            order.append(name)
            if name == "first":
                newcomers.append(asyncio.ensure_future(ask("newcomer")))

        newcomers: list[asyncio.Future[None]] = []
        asking = [asyncio.ensure_future(ask(name)) for name in ("first", "second", "third")]
        await soon(upstream.asked.wait())
        assert repr(pool) == "<Pool [1 active, 0 idle, 2 waiting]>"
        gate.set()
        await soon(asyncio.gather(*asking))
        await soon(asyncio.gather(*newcomers))

    assert order == ["first", "second", "third", "newcomer"]
    assert len(upstream.connections) == 1
    assert repr(pool) == "<Pool [0 active, 1 idle, 0 waiting]>"


async def test_places_are_never_lost(make_pool: MakePool) -> None:
    """However callers come and leave, afterwards every place is free and the next caller is served."""
    pool = make_pool(max_connections=3)
    async with raw_upstream(say(whole(b"ok"))) as upstream:
        for leaving_after in range(12):
            asking = [asyncio.ensure_future(asked(pool, request(upstream.port))) for _ in range(8)]
            await turns(leaving_after)
            for leaver in asking[::2]:
                leaver.cancel()
            results = await soon(asyncio.gather(*asking, return_exceptions=True))
            assert all(result == (200, b"ok") for result in results[1::2])
        await upstream.until(lambda: "0 active" in repr(pool) and "0 waiting" in repr(pool))

        assert await soon(asked(pool, request(upstream.port))) == (200, b"ok")
