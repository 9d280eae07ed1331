"""aiohttp's client behind the seam: what it adds is taken off, what it forgets is watched."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable

import pytest

from gateway.clock import Clock, SystemClock
from gateway.deadlines import Deadlines
from gateway.errors import (
    UpstreamConnectError,
    UpstreamConnectTimeoutError,
    UpstreamCutError,
    UpstreamProtocolError,
    UpstreamTimeoutError,
)
from gateway.transport.aiohttp_client import AiohttpTransport
from gateway.types import Upload
from tests.support.clock import FakeClock
from tests.support.raw_upstream import STREAM_HEAD, chunked, raw_upstream, say, whole
from tests.transport.conftest import asked, request, soon

MakeTransport = Callable[..., AiohttpTransport]


@pytest.fixture
async def make_transport() -> AsyncIterator[MakeTransport]:
    """Make transports that are closed at the end."""
    transports = []

    def make(
        clock: Clock | None = None,
        proxy: str | None = None,
        ssl_context: ssl.SSLContext | None = None,
        connect_seconds: float = 5.0,
        idle_seconds: float = 5.0,
    ) -> AiohttpTransport:
        transport = AiohttpTransport(
            proxy=proxy,
            ssl_context=ssl_context,
            connect_seconds=connect_seconds,
            idle_seconds=idle_seconds,
            max_connections=10,
            deadlines=Deadlines(clock or SystemClock()),
        )
        transports.append(transport)
        return transport

    yield make
    for transport in transports:
        await transport.aclose()


async def test_what_is_written(make_transport: MakeTransport) -> None:
    """The fields given, Host, the framing, and that the connection closes; nothing else."""
    async with raw_upstream(say(whole(b""))) as upstream:
        transport = make_transport()
        headers = ((b"X-a", b"\xc3\xa9"), (b"x-A", b"2"))
        await asked(
            transport, request(upstream.port, b"hello", target="/v1/x?q=%20a/%2e", headers=headers)
        )
        await asked(transport, request(upstream.port, b"", method="GET", headers=()))
        await asked(transport, request(upstream.port, b"", headers=()))

    host = b"Host: 127.0.0.1:%d\r\n" % upstream.port
    assert [bytes(connection.received) for connection in upstream.connections] == [
        b"POST /v1/x?q=%20a/%2e HTTP/1.1\r\n" + host + b"X-a: \xc3\xa9\r\nX-a: 2\r\n"
        b"Content-Length: 5\r\nConnection: close\r\n\r\nhello",
        b"GET /v1/x HTTP/1.1\r\n" + host + b"Connection: close\r\n\r\n",
        b"POST /v1/x HTTP/1.1\r\n" + host + b"Content-Length: 0\r\nConnection: close\r\n\r\n",
    ]


async def test_nothing_breaks_out_of_its_line(make_transport: MakeTransport) -> None:
    """A line end in a field is refused before a connection is made."""
    async with raw_upstream(say(whole(b""))) as upstream:
        with pytest.raises(ValueError, match="line end"):
            await asked(make_transport(), request(upstream.port, headers=((b"A", b"b\r\nC: d"),)))

    assert upstream.connections == []


async def test_nothing_is_kept_or_followed(make_transport: MakeTransport) -> None:
    """Cookies, redirects and compressed bodies pass as they are."""
    moved = whole(
        b"\x1f\x8bzipped",
        b"Location: /elsewhere",
        b"Set-Cookie: a=b",
        b"Content-Encoding: gzip",
        status=b"307 Temporary Redirect",
    )
    async with raw_upstream(say(moved)) as upstream:
        transport = make_transport()
        for _ in range(2):
            assert await asked(transport, request(upstream.port)) == (307, b"\x1f\x8bzipped")

    assert upstream.requests == 2
    assert not any(b"Cookie" in connection.received for connection in upstream.connections)


async def test_a_proxy_is_asked_in_the_upstreams_place(make_transport: MakeTransport) -> None:
    """A plain request goes to the proxy with the whole URL, a secure one asks it for a tunnel."""
    async with raw_upstream(say(whole(b"ok")), say(whole(b"", status=b"403 Forbidden"))) as proxy:
        transport = make_transport(proxy=proxy.url)
        assert await asked(transport, request(8000, host="up.test")) == (200, b"ok")
        with pytest.raises(UpstreamConnectError, match="403"):
            await asked(transport, request(8443, host="up.test", scheme="https"))

    plain, tunnel = (bytes(connection.received) for connection in proxy.connections)
    assert plain.startswith(b"POST http://up.test:8000/v1/x HTTP/1.1\r\nHost: up.test:8000\r\n")
    assert tunnel.startswith(b"CONNECT up.test:8443 HTTP/1.1\r\nHost: up.test:8443\r\n")
    assert b"{}" not in tunnel


async def test_each_request_has_a_connection_of_its_own(make_transport: MakeTransport) -> None:
    """What follows a reply on its connection is nobody's answer."""
    async with raw_upstream(say(whole(b"mine") + whole(b"stolen"))) as upstream:
        transport = make_transport()
        for _ in range(2):
            assert await asked(transport, request(upstream.port)) == (200, b"mine")

    assert len(upstream.connections) == 2


async def test_a_whole_head_has_its_deadline(make_transport: MakeTransport) -> None:
    """Interim replies and a head that drips do not put it off."""
    clock = FakeClock()
    dripping = say(b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 200 OK\r\nA", then="hang")
    async with raw_upstream(dripping) as upstream:
        asking = asyncio.ensure_future(
            asked(make_transport(clock), request(upstream.port), seconds=10)
        )
        await soon(upstream.said.wait())
        clock.advance(9.9)
        assert not asking.done()
        clock.advance(0.2)

        with pytest.raises(UpstreamTimeoutError):
            await soon(asking)
        await soon(upstream.connections[0].left.wait())


@pytest.mark.parametrize("last", [b"", b"1;endless"])
async def test_a_gap_has_its_deadline_but_for_a_pause(
    make_transport: MakeTransport, last: bytes
) -> None:
    """A reply that stands still is given up, unless it is our own client that holds it back."""
    clock = FakeClock()
    saying = say(STREAM_HEAD, chunked(b"a", end=False), last, then="hang")
    async with raw_upstream(saying) as upstream:
        reply = await make_transport(clock, idle_seconds=10.0).open(
            request(upstream.port), first_byte_seconds=10
        )
        body = bytearray()
        copying = asyncio.ensure_future(reply.copy(body.extend))
        await upstream.until(lambda: body == b"a")
        clock.advance(9)
        assert not copying.done()
        clock.advance(2)

        with pytest.raises(UpstreamTimeoutError):
            await soon(copying)
        await soon(upstream.connections[0].left.wait())


async def test_a_pause_holds_the_upstream_back(make_transport: MakeTransport) -> None:
    """While the client does not keep up the upstream cannot send on, no clock runs, and later all of it comes."""
    clock = FakeClock()
    piece = b"x" * 65_536
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (len(piece) * 200)
    async with raw_upstream(say(head, *[piece] * 200)) as upstream:
        reply = await make_transport(clock).open(request(upstream.port), first_byte_seconds=5)
        body = bytearray()

        def sink(data: bytes) -> None:
            if not body:
                reply.pause()
            body.extend(data)

        copying = asyncio.ensure_future(reply.copy(sink))
        await upstream.until(lambda: upstream.stalled == 1)
        clock.advance(1000)
        assert len(body) <= 131_072
        reply.resume()
        await soon(copying)

    assert len(body) == len(piece) * 200


async def pieces(*parts: bytes, error: Exception | None = None) -> AsyncIterator[bytes]:
    for part in parts:
        yield part
    if error is not None:
        raise error


async def test_uploads_and_long_bodies_go_in_pieces(make_transport: MakeTransport) -> None:
    """An upload has its length, or chunks; a long body that is held goes whole, with its length."""
    long = b"x" * 3_000_000
    async with raw_upstream(say(whole(b"ok"))) as upstream:
        transport = make_transport()
        for body in (
            Upload(pieces=pieces(b"ab", b"", b"c"), length_bytes=3),
            Upload(pieces=pieces(b"ab", b"", b"c"), length_bytes=None),
            long,
        ):
            assert await asked(transport, request(upstream.port, body)) == (200, b"ok")

    counted, chunks, held = (bytes(connection.received) for connection in upstream.connections)
    assert counted.endswith(b"\r\n\r\nabc")
    assert b"Content-Length: 3\r\n" in counted
    assert chunks.endswith(b"\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n")
    assert b"Content-Length: 3000000\r\n" in held
    assert held.endswith(b"\r\n\r\n" + long)


@pytest.mark.parametrize(
    ("parts", "length", "error", "expected"),
    [
        ((b"ab",), None, LookupError("left"), LookupError),
        ((b"ab",), 3, None, UpstreamCutError),
        ((b"ab", b"cd"), 3, None, UpstreamCutError),
    ],
)
async def test_an_upload_that_fails_never_looks_whole(
    make_transport: MakeTransport,
    parts: tuple[bytes, ...],
    length: int | None,
    error: Exception | None,
    expected: type[Exception],
) -> None:
    """What the client's side raises comes out as it is, and the upstream's connection breaks."""
    async with raw_upstream(say(then="hang")) as upstream:
        upload = Upload(pieces=pieces(*parts, error=error), length_bytes=length)
        with pytest.raises(expected):
            await soon(asked(make_transport(), request(upstream.port, upload)))
        await soon(upstream.connections[0].left.wait())

    assert upstream.requests == 0


async def test_failures_have_our_names(
    make_transport: MakeTransport, client_tls: ssl.SSLContext, server_tls: ssl.SSLContext
) -> None:
    """No failure of aiohttp's leaves under its own name."""
    async with raw_upstream(say()) as gone:
        port = gone.port
    with pytest.raises(UpstreamConnectError):
        await asked(make_transport(), request(port))
    with pytest.raises(UpstreamConnectError):
        await asked(make_transport(), request(port, host="no-such-host.invalid"))
    async with raw_upstream(say(whole(b"ok")), tls=server_tls) as secure:
        wanted = request(secure.port, scheme="https")
        with pytest.raises(UpstreamConnectError):
            await asked(make_transport(), wanted)
        assert await asked(make_transport(ssl_context=client_tls), wanted) == (200, b"ok")
    async with raw_upstream(say(then="hang")) as silent:
        with pytest.raises(UpstreamConnectTimeoutError):
            await asked(make_transport(connect_seconds=0.1), request(silent.port, scheme="https"))


async def test_cancelling_closes(make_transport: MakeTransport) -> None:
    """A caller who leaves while waiting or in the body closes the upstream's connection."""
    async with raw_upstream(say(then="hang"), say(STREAM_HEAD, then="hang")) as upstream:
        transport = make_transport()
        for number in range(2):
            asking = asyncio.ensure_future(asked(transport, request(upstream.port)))
            await upstream.until(lambda number=number: upstream.requests == number + 1)  # type: ignore[misc]
            asking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asking
            await soon(upstream.connections[number].left.wait())


async def test_what_a_sink_raises_comes_out_and_closes(make_transport: MakeTransport) -> None:
    """A client that left ends the copy with its own error, and the upstream's connection."""

    def sink(data: bytes) -> None:
        raise LookupError(data)

    async with raw_upstream(say(STREAM_HEAD, chunked(b"a", end=False), then="hang")) as upstream:
        reply = await make_transport().open(request(upstream.port), first_byte_seconds=5)
        with pytest.raises(LookupError):
            await soon(reply.copy(sink))
        await soon(upstream.connections[0].left.wait())


async def test_what_aiohttp_lets_pass_is_refused(make_transport: MakeTransport) -> None:
    """Statuses and framings that nobody asked for are protocol errors here too."""
    for reply in (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA: %b\r\nB: %b\r\nContent-Length: 0\r\n\r\n"
        % (b"a" * 40_000, b"b" * 40_000),
    ):
        async with raw_upstream(say(reply)) as upstream:
            with pytest.raises(UpstreamProtocolError):
                await soon(asked(make_transport(), request(upstream.port)))
