"""One connection to an upstream: strict framing, nothing held, nothing left behind."""

import asyncio

import pytest

from gateway.errors import (
    UpstreamError,
    UpstreamProtocolError,
    UpstreamTimeoutError,
)
from tests.support.clock import FakeClock
from tests.support.raw_upstream import STREAM_HEAD, Say, chunked, raw_upstream, say, whole
from tests.transport.conftest import MakePool, asked, request

OK = b"HTTP/1.1 200 OK\r\n"


async def outcome(
    make_pool: MakePool, saying: Say, method: str = "POST"
) -> tuple[int, bytes] | str:
    """Return what a reply comes to: status and body, or the name of its failure."""
    async with raw_upstream(saying) as upstream:
        try:
            return await asked(make_pool(), request(upstream.port, method=method))
        except UpstreamError as error:
            return type(error).__name__


PROTOCOL = "UpstreamProtocolError"
CUT = "UpstreamCutError"


@pytest.mark.parametrize(
    ("saying", "expected"),
    [
        (say(whole(b"hello")), (200, b"hello")),
        (say(OK + b"content-length: 0\r\n\r\n"), (200, b"")),
        (say(STREAM_HEAD + chunked(b"a", b"bc")), (200, b"abc")),
        (say(*[bytes([byte]) for byte in STREAM_HEAD + chunked(b"a", b"bc")]), (200, b"abc")),
        (say(STREAM_HEAD + b"3;name=value\r\nabc\r\n0\r\nTrailer: x\r\n\r\n"), (200, b"abc")),
        (say(STREAM_HEAD + b"A\r\n0123456789\r\n0\r\n\r\n"), (200, b"0123456789")),
        (say(OK + b"\r\nuntil the end", then="end"), (200, b"until the end")),
        (say(b"HTTP/1.0 200 OK\r\n\r\nold", then="end"), (200, b"old")),
        (say(b"HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nold"), (200, b"old")),
        (say(b"HTTP/1.1 204 No Content\r\n\r\n"), (204, b"")),
        (say(b"HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n"), (304, b"")),
        (say(b"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok"), (200, b"ok")),
        (say(b"HTTP/1.1 100 Continue\r\n\r\n" * 3 + whole(b"x")), (200, b"x")),
        (say(b"HTTP/1.1 100 Continue\r\n\r\n" * 30 + whole(b"x")), PROTOCOL),
        (say(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n"), PROTOCOL),
        (say(b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n"), PROTOCOL),
        (say(b"HTTP/1.1 999 Odd\r\nContent-Length: 0\r\n\r\n"), PROTOCOL),
        (say(b"ICY 200 OK\r\n\r\n"), PROTOCOL),
        (say(OK + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), PROTOCOL),
        (say(OK + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello"), PROTOCOL),
        (say(OK + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello"), PROTOCOL),
        (say(OK + b"Content-Length: -5\r\n\r\nhello"), PROTOCOL),
        (say(OK + b"Content-Length: +5\r\n\r\nhello"), PROTOCOL),
        (say(OK + b"Content-Length: 5, 5\r\n\r\nhello"), PROTOCOL),
        (say(OK + b"Transfer-Encoding: gzip\r\n\r\nhello", then="end"), PROTOCOL),
        (say(OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"), PROTOCOL),
        (say(STREAM_HEAD + b"0x5\r\nhello\r\n0\r\n\r\n"), PROTOCOL),
        (say(STREAM_HEAD + b"+5\r\nhello\r\n0\r\n\r\n"), PROTOCOL),
        (say(STREAM_HEAD + b"5\nhello\n0\n\n"), PROTOCOL),
        (say(STREAM_HEAD + b"5\r\nhello0\r\n\r\n"), PROTOCOL),
        (say(STREAM_HEAD + b"-1\r\n\r\n"), PROTOCOL),
        (say(STREAM_HEAD + b"fffffffffffffffff\r\n"), PROTOCOL),
        (say(OK + b"X: a\r\n folded\r\nContent-Length: 0\r\n\r\n"), PROTOCOL),
        (say(OK + b"X : a\r\nContent-Length: 0\r\n\r\n"), PROTOCOL),
        (say(OK + b"X: a\0b\r\nContent-Length: 0\r\n\r\n"), PROTOCOL),
        (say(b"HTTP/1.1 200 OK\nContent-Length: 0\n\n"), PROTOCOL),
        (say(OK + b"X: " + b"x" * 70_000 + b"\r\nContent-Length: 0\r\n\r\n"), PROTOCOL),
        (say(OK + b"X: 1\r\n" * 300 + b"Content-Length: 0\r\n\r\n"), PROTOCOL),
        (say(STREAM_HEAD + b"0\r\n" + b"T: x\r\n" * 20_000 + b"\r\n"), PROTOCOL),
        (say(b"", then="end"), CUT),
        (say(OK, then="end"), CUT),
        (say(OK + b"Content-Length: 9\r\n\r\nshort", then="end"), CUT),
        (say(STREAM_HEAD + b"5\r\nhel", then="end"), CUT),
        (say(STREAM_HEAD + b"5\r\nhello\r\n", then="end"), CUT),
        (say(STREAM_HEAD + b"5\r\nhello\r\n0\r\n", then="end"), CUT),
        (say(OK + b"\r\nuntil a reset", then="cut"), CUT),
    ],
)
async def test_replies(make_pool: MakePool, saying: Say, expected: tuple[int, bytes] | str) -> None:
    """What is framed well comes whole; what is ambiguous is refused; what breaks off is a cut."""
    assert await outcome(make_pool, saying) == expected


async def test_head_has_no_body(make_pool: MakePool) -> None:
    """The reply to HEAD ends with its head, whatever length that tells of."""
    saying = say(OK + b"Content-Length: 1000\r\n\r\n")

    assert await outcome(make_pool, saying, method="HEAD") == (200, b"")


async def test_header_fields_keep_their_spelling_and_order(make_pool: MakePool) -> None:
    """Names, values and repetitions come as the upstream wrote them."""
    async with raw_upstream(say(whole(b"", b"X-A: 1", b"x-b:  2 ", b"X-A: 3"))) as upstream:
        reply = await make_pool().open(request(upstream.port), first_byte_seconds=5)

    assert reply.headers[:3] == ((b"X-A", b"1"), (b"x-b", b"2"), (b"X-A", b"3"))
    assert reply.reason == b"OK"


async def test_what_is_written(make_pool: MakePool) -> None:
    """The request line, Host, the fields given and the framing, and nothing more."""
    async with raw_upstream(say(whole(b""))) as upstream:
        pool = make_pool()
        await asked(pool, request(upstream.port, b"hello", target="/v1/x?q=%20"))
        await asked(pool, request(upstream.port, b"", method="GET", headers=()))

    assert bytes(upstream.connections[0].received) == (
        b"POST /v1/x?q=%%20 HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nContent-Type: application/json\r\n"
        b"Content-Length: 5\r\n\r\nhello"
        b"GET /v1/x HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n\r\n" % (upstream.port, upstream.port)
    )


async def test_the_head_has_one_deadline(make_pool: MakePool) -> None:
    """A head that drips, or interim replies without end, do not put it off."""
    clock = FakeClock()
    async with raw_upstream(say(b"HTTP/1.1 100 Continue\r\n\r\n", OK, then="hang")) as upstream:
        asking = asyncio.ensure_future(
            make_pool(clock).open(request(upstream.port), first_byte_seconds=10)
        )
        await upstream.said.wait()
        clock.advance(9.9)
        assert not asking.done()
        clock.advance(0.2)

        with pytest.raises(UpstreamTimeoutError):
            await asking
        await upstream.connections[0].left.wait()


async def test_each_gap_has_its_deadline_and_a_pause_stops_it(make_pool: MakePool) -> None:
    """Silence above idle_seconds ends a body, but not while our own client holds it back."""
    clock = FakeClock()
    pool = make_pool(clock, idle_seconds=10.0)
    async with raw_upstream(say(STREAM_HEAD, chunked(b"a", end=False), then="hang")) as upstream:
        reply = await pool.open(request(upstream.port), first_byte_seconds=10)
        got = bytearray()
        copying = asyncio.ensure_future(reply.copy(got.extend))
        await upstream.until(lambda: bool(got))
        reply.pause()
        clock.advance(1000)
        await asyncio.sleep(0)
        assert not copying.done()
        reply.resume()
        clock.advance(11)

        with pytest.raises(UpstreamTimeoutError):
            await copying
    assert repr(pool) == "<Pool [0 active, 0 idle, 0 waiting]>"


async def test_chunk_extensions_without_end_are_no_progress(make_pool: MakePool) -> None:
    """Bytes that are no body do not put the gap's deadline off."""
    clock = FakeClock()
    noise = [b"5;" + b"x" * 60_000] + [b"x" * 60_000] * 20
    async with raw_upstream(say(STREAM_HEAD, *noise, then="hang")) as upstream:
        reply = await make_pool(clock, idle_seconds=10.0).open(
            request(upstream.port), first_byte_seconds=10
        )
        copying = asyncio.ensure_future(reply.copy(lambda data: None))
        left = upstream.connections[0].left
        await upstream.until(lambda: upstream.said.is_set() or left.is_set())
        clock.advance(11)

        with pytest.raises((UpstreamTimeoutError, UpstreamProtocolError)):
            await copying


async def test_what_a_sink_raises_comes_out_and_ends_the_reply(make_pool: MakePool) -> None:
    """A client that left ends the copy with its own error and the upstream's connection with it."""
    pool = make_pool()
    async with raw_upstream(say(STREAM_HEAD, chunked(b"a", end=False), then="hang")) as upstream:
        reply = await pool.open(request(upstream.port), first_byte_seconds=5)

        def sink(data: bytes) -> None:
            raise KeyError(data)

        with pytest.raises(KeyError):
            await reply.copy(sink)
        await upstream.connections[0].left.wait()


async def test_a_paused_reply_holds_little(make_pool: MakePool) -> None:
    """What comes before a reply is wanted is one read, not all that the upstream would send."""
    piece = b"x" * 65_536
    async with raw_upstream(
        say(OK + b"Content-Length: %d\r\n\r\n" % (len(piece) * 200), *[piece] * 200)
    ) as upstream:
        reply = await make_pool().open(request(upstream.port), first_byte_seconds=5)
        await upstream.until(lambda: upstream.stalled == 1)
        seen: list[int] = []
        await reply.copy(lambda data: seen.append(len(data)))

    assert seen[0] <= 131_072
    assert sum(seen) == len(piece) * 200
