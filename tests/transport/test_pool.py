"""Connections are used again while they are good, never beyond their number, and never left behind."""

import asyncio
import ssl

import pytest
import trustme

from gateway.errors import (
    UpstreamConnectError,
    UpstreamConnectTimeoutError,
    UpstreamCutError,
    UpstreamTimeoutError,
)
from gateway.transport.pool import KEEPALIVE_SECONDS
from tests.support.clock import FakeClock
from tests.support.raw_upstream import STREAM_HEAD, chunked, raw_upstream, say, whole
from tests.transport.conftest import MakePool, asked, request

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


async def test_nobody_there(make_pool: MakePool) -> None:
    """A refused connection and a name that does not exist are told apart from everything else."""
    async with raw_upstream(say()) as gone:
        port = gone.port
    pool = make_pool()
    with pytest.raises(UpstreamConnectError):
        await asked(pool, request(port))
    with pytest.raises(UpstreamConnectError):
        await asked(pool, request(port, host="no-such-host.invalid"))

    assert repr(pool) == EMPTY


async def test_connecting_has_a_deadline(make_pool: MakePool) -> None:
    """A server that accepts and never says hello is given up."""
    async with raw_upstream(say(then="hang")) as upstream:
        context = ssl.create_default_context()
        with pytest.raises(UpstreamConnectTimeoutError):
            await asked(
                make_pool(ssl_context=context, connect_seconds=0.1),
                request(upstream.port, scheme="https"),
            )


async def test_tls_is_verified(make_pool: MakePool) -> None:
    """A certificate of a known authority for the right name passes; others do not."""
    authority = trustme.CA()
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(server)
    wrong = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("other.example").configure_cert(wrong)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)

    async with raw_upstream(say(STREAM_HEAD + chunked(b"ok")), tls=server) as upstream:
        pool = make_pool(ssl_context=trusting)
        assert await asked(pool, request(upstream.port, scheme="https")) == (200, b"ok")
        assert await asked(pool, request(upstream.port, scheme="https")) == (200, b"ok")
        assert len(upstream.connections) == 1
        with pytest.raises(UpstreamConnectError):
            await asked(
                make_pool(ssl_context=ssl.create_default_context()),
                request(upstream.port, scheme="https"),
            )
    async with raw_upstream(say(whole(b"ok")), tls=wrong) as upstream:
        with pytest.raises(UpstreamConnectError):
            await asked(make_pool(ssl_context=trusting), request(upstream.port, scheme="https"))


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
