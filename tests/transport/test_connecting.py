"""How connections come about: names, addresses, TLS, deadlines; and what is left behind when they do not: nothing."""

import asyncio
import ssl

import pytest
import trustme

from gateway.clock import SystemClock
from gateway.deadlines import Deadlines
from gateway.errors import UpstreamConnectError, UpstreamConnectTimeoutError, UpstreamCutError
from gateway.transport.connecting import reach
from gateway.transport.http1 import Connection
from tests.support.raw_upstream import (
    HANG_SECONDS,
    STREAM_HEAD,
    chunked,
    raw_upstream,
    say,
    whole,
)
from tests.transport.conftest import MakePool, asked, request, soon

EMPTY = "<Pool [0 active, 0 idle, 0 waiting]>"


async def test_nobody_there(make_pool: MakePool) -> None:
    """A refused connection and a name that does not exist are told apart from everything else."""
    async with raw_upstream(say()) as gone:
        port = gone.port
    pool = make_pool()
    with pytest.raises(UpstreamConnectError, match="refused"):
        await asked(pool, request(port))
    for name in ("no-such-host.invalid", "a" * 64 + ".invalid"):
        with pytest.raises(UpstreamConnectError, match="no connection to"):
            await asked(pool, request(port, host=name))

    assert repr(pool) == EMPTY


async def test_each_address_of_a_name_is_tried(authority: trustme.CA) -> None:
    """One address refuses, one accepts and says nothing: the third is reached, under the name that was asked for."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("many.test").configure_cert(server)
    client = ssl.create_default_context()
    authority.configure_trust(client)
    loop = asyncio.get_running_loop()
    async with raw_upstream(say(), tls=server) as upstream:
        silent = await loop.create_server(asyncio.Protocol, "127.0.0.3", upstream.port)
        connection = Connection(
            ("https", "many.test", upstream.port),
            buffer=memoryview(bytearray(1)),
            deadlines=Deadlines(SystemClock()),
            idle_seconds=1.0,
            on_free=lambda connection, seconds: None,
            on_lost=lambda connection: None,
        )
        await reach(
            connection,
            ["127.0.0.2", "127.0.0.3", "127.0.0.1"],
            ssl_context=client,
            end=loop.time() + 1.0,
        )
        await soon(upstream.connected.wait())

        assert connection.open
        connection.abort()
        silent.close()


async def test_a_handshake_has_the_deadline_too(make_pool: MakePool) -> None:
    """A server that accepts and never says hello is given up, and its socket closed."""
    pool = make_pool(connect_seconds=0.1)
    async with raw_upstream(say(then="hang")) as upstream:
        with pytest.raises(UpstreamConnectTimeoutError):
            await soon(asked(pool, request(upstream.port, scheme="https")))
        await soon(upstream.connections[0].left.wait())

    assert repr(pool) == EMPTY


async def test_cancelling_a_handshake_closes_its_socket(make_pool: MakePool) -> None:
    """A caller who leaves while the connection is being made leaves no socket and no place behind."""
    pool = make_pool(connect_seconds=HANG_SECONDS)
    async with raw_upstream(say(then="hang")) as upstream:
        asking = asyncio.ensure_future(asked(pool, request(upstream.port, scheme="https")))
        await soon(upstream.connected.wait())
        assert repr(pool) == "<Pool [1 active, 0 idle, 0 waiting]>"
        asking.cancel()

        with pytest.raises(asyncio.CancelledError):
            await asking
        assert repr(pool) == EMPTY
        await soon(upstream.connections[0].left.wait())


async def test_closing_the_pool_ends_what_is_being_connected(make_pool: MakePool) -> None:
    """A connection that comes about when its pool is closed already is closed, and its caller told."""
    pool = make_pool(connect_seconds=HANG_SECONDS)
    async with raw_upstream(say(whole(b"ok"))) as upstream:
        asking = asyncio.ensure_future(asked(pool, request(upstream.port)))
        await asyncio.sleep(0)
        assert repr(pool) == "<Pool [1 active, 0 idle, 0 waiting]>"
        await pool.aclose()

        with pytest.raises(UpstreamConnectError):
            await soon(asking)
        await upstream.until(lambda: all(c.left.is_set() for c in upstream.connections))

    assert upstream.requests == 0


async def test_tls_is_verified(
    make_pool: MakePool, server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    """A certificate of a known authority for the right name passes, again on the same connection."""
    async with raw_upstream(say(STREAM_HEAD + chunked(b"ok")), tls=server_tls) as upstream:
        pool = make_pool(ssl_context=client_tls)
        for _ in range(2):
            assert await asked(pool, request(upstream.port, scheme="https")) == (200, b"ok")

    assert len(upstream.connections) == 1


async def test_what_tls_cannot_verify_is_refused(
    make_pool: MakePool,
    authority: trustme.CA,
    server_tls: ssl.SSLContext,
    client_tls: ssl.SSLContext,
) -> None:
    """An unknown authority, another's name and no TLS at all are connect errors that say why."""
    other_name = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("other.example").configure_cert(other_name)
    async with (
        raw_upstream(say(whole(b"ok")), tls=server_tls) as right,
        raw_upstream(say(whole(b"ok")), tls=other_name) as wrong,
        raw_upstream(say(b"HTTP/1.1 400 Plain\r\n\r\n", then="end"), eager=True) as plain,
    ):
        for context in (None, ssl.create_default_context()):
            with pytest.raises(UpstreamConnectError, match=r"not trusted: .*\(ca_file"):
                await asked(make_pool(ssl_context=context), request(right.port, scheme="https"))
        pool = make_pool(ssl_context=client_tls)
        with pytest.raises(UpstreamConnectError, match="not trusted"):
            await asked(pool, request(wrong.port, scheme="https"))
        with pytest.raises(UpstreamConnectError, match="TLS failed"):
            await asked(pool, request(plain.port, scheme="https"))

    assert right.requests == wrong.requests == 0


async def test_under_tls_an_end_must_be_said(
    make_pool: MakePool, server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    """A reply that ends with its connection is whole after close_notify, and cut after a bare FIN (RFC 9112, 9.8)."""
    until_the_end = b"HTTP/1.1 200 OK\r\n\r\nuntil the end"
    async with raw_upstream(
        say(until_the_end, then="end"), say(until_the_end, then="truncate"), tls=server_tls
    ) as upstream:
        pool = make_pool(ssl_context=client_tls)
        asking = request(upstream.port, scheme="https")
        assert await soon(asked(pool, asking)) == (200, b"until the end")
        with pytest.raises(UpstreamCutError):
            await soon(asked(pool, asking))


async def test_long_replies_pass_under_tls_with_pauses(
    make_pool: MakePool, server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    """Megabytes come whole through TLS though the client pauses after each piece, and little is held meanwhile."""
    piece = bytes(range(256)) * 1000
    body = piece * 20
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body)
    async with raw_upstream(say(head, *[piece] * 20), tls=server_tls) as upstream:
        pool = make_pool(ssl_context=client_tls)
        reply = await pool.open(request(upstream.port, scheme="https"), first_byte_seconds=5)
        received = bytearray()

        def sink(data: bytes) -> None:
            received.extend(data)
            reply.pause()
            asyncio.get_running_loop().call_soon(reply.resume)

        await soon(reply.copy(sink))

    assert received == body
