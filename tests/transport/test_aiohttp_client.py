"""aiohttp's client as a transport: for proxies, with what it would do unasked turned off."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from gateway.clock import SystemClock
from gateway.deadlines import Deadlines
from gateway.errors import (
    UpstreamConnectError,
    UpstreamCutError,
    UpstreamError,
    UpstreamProtocolError,
    UpstreamTimeoutError,
)
from gateway.transport.aiohttp_client import AiohttpTransport
from gateway.types import Upload
from tests.support.raw_upstream import STREAM_HEAD, Say, chunked, raw_upstream, say, whole
from tests.transport.conftest import request

OK = b"HTTP/1.1 200 OK\r\n"


@pytest.fixture
async def transport() -> AsyncIterator[AiohttpTransport]:
    made = make()
    yield made
    await made.aclose()


def make(proxy: str | None = None, idle_seconds: float = 5.0) -> AiohttpTransport:
    return AiohttpTransport(
        proxy=proxy,
        ssl_context=None,
        connect_seconds=5.0,
        idle_seconds=idle_seconds,
        max_connections=10,
        deadlines=Deadlines(SystemClock()),
    )


async def body_of(transport: AiohttpTransport, port: int, body: bytes | Upload = b"{}") -> bytes:
    reply = await transport.open(request(port, body), first_byte_seconds=5.0)
    got = bytearray()
    await reply.copy(got.extend)
    return bytes(got)


async def test_nothing_of_its_own_goes_up(transport: AiohttpTransport) -> None:
    """No User-Agent, Accept, cookie or encoding that the request did not have."""
    async with raw_upstream(say(whole(b"ok", b"Set-Cookie: a=1"))) as upstream:
        assert await body_of(transport, upstream.port) == b"ok"
        assert await body_of(transport, upstream.port) == b"ok"

    received = bytes(upstream.connections[0].received)
    head = received[: len(received) // 2]
    names = {line.partition(b":")[0].lower() for line in head.split(b"\r\n")[1:] if b":" in line}
    assert names == {b"host", b"content-type", b"content-length"}


async def test_redirects_and_codings_are_left_alone(transport: AiohttpTransport) -> None:
    """A redirect is a reply, and a compressed body stays compressed."""
    saying = say(
        whole(
            b"\x1f\x8bpacked",
            b"Content-Encoding: gzip",
            b"Location: http://x/",
            status=b"302 Found",
        )
    )
    async with raw_upstream(saying) as upstream:
        reply = await transport.open(request(upstream.port), first_byte_seconds=5.0)
        got = bytearray()
        await reply.copy(got.extend)

    assert (reply.status, bytes(got)) == (302, b"\x1f\x8bpacked")
    assert (b"Content-Encoding", b"gzip") in reply.headers


@pytest.mark.parametrize(
    ("saying", "error"),
    [
        (say(then="cut"), UpstreamCutError),
        (say(OK + b"Content-Length: 9\r\n\r\nshort", then="end"), UpstreamCutError),
        (say(STREAM_HEAD + chunked(b"a", end=False), then="end"), UpstreamCutError),
        (say(b"SSH-2.0\r\n"), UpstreamProtocolError),
        (say(b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n"), UpstreamProtocolError),
        (
            say(OK + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
            UpstreamError,
        ),
    ],
)
async def test_failures_have_our_names(
    transport: AiohttpTransport, saying: Say, error: type[UpstreamError]
) -> None:
    """What aiohttp raises comes out as what every transport raises."""
    async with raw_upstream(saying) as upstream:
        with pytest.raises(error):
            await body_of(transport, upstream.port)


async def test_silence_has_a_deadline() -> None:
    """No head in time, and a bad chunk that aiohttp would wait on for ever, are timeouts."""
    impatient = make(idle_seconds=0.1)
    async with raw_upstream(
        say(then="hang"), say(STREAM_HEAD, b"1\r\na\r\n", then="hang")
    ) as upstream:
        with pytest.raises(UpstreamTimeoutError):
            await impatient.open(request(upstream.port), first_byte_seconds=0.1)
        with pytest.raises(UpstreamTimeoutError):
            await body_of(impatient, upstream.port)
    await impatient.aclose()


async def test_nobody_there(transport: AiohttpTransport) -> None:
    """A refused connection is told apart."""
    async with raw_upstream(say()) as gone:
        port = gone.port
    with pytest.raises(UpstreamConnectError):
        await body_of(transport, port)


async def test_uploads_stream(transport: AiohttpTransport) -> None:
    """A body of unknown length goes up in chunks."""

    async def pieces() -> AsyncIterator[bytes]:
        yield b"ab"
        yield b"c"

    async with raw_upstream(say(whole(b"ok"))) as upstream:
        upload = Upload(pieces=pieces(), length_bytes=None)
        assert await body_of(transport, upstream.port, upload) == b"ok"

    assert bytes(upstream.connections[0].received).endswith(b"2\r\nab\r\n1\r\nc\r\n0\r\n\r\n")


async def test_a_proxy_is_asked_in_absolute_form() -> None:
    """By way of a proxy the whole URL stands in the request line."""
    async with raw_upstream(say(whole(b"by proxy"))) as proxy:
        through = make(proxy=proxy.url)
        assert await body_of(through, 1) == b"by proxy"
        await through.aclose()

    assert bytes(proxy.connections[0].received).startswith(
        b"POST http://127.0.0.1:1/v1/x HTTP/1.1\r\n"
    )


async def test_pausing_holds_the_upstream_back_and_leaving_ends_it(
    transport: AiohttpTransport,
) -> None:
    """A paused reply takes no more; an aborted one closes the connection."""
    piece = b"%x\r\n%b\r\n" % (65_536, b"x" * 65_536)
    async with raw_upstream(say(STREAM_HEAD, *[piece] * 400, then="hang")) as upstream:
        reply = await transport.open(request(upstream.port), first_byte_seconds=5.0)
        reply.pause()
        copying = asyncio.ensure_future(reply.copy(lambda data: None))
        await upstream.until(lambda: upstream.stalled == 1)
        reply.resume()
        await upstream.said.wait()
        copying.cancel()
        await asyncio.gather(copying, return_exceptions=True)
        await upstream.connections[0].left.wait()
