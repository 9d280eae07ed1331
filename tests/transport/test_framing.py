"""The framing of requests and replies, byte by byte and without a socket."""

from collections.abc import AsyncIterator
from contextlib import suppress
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import UpstreamCutError, UpstreamError, UpstreamProtocolError
from gateway.transport.framing import (
    MAX_INTERIM_REPLIES,
    MAX_UNSEEN_BYTES,
    ReplyParser,
    request_head,
)
from gateway.transport.head import MAX_FIELDS, MAX_HEAD_BYTES
from gateway.types import Headers, Upload, UpstreamRequest

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"


def parsed(data: bytes, *cuts: int, method: str = "POST") -> tuple[ReplyParser, bytes]:
    """Feed `data`, cut at `cuts`; return the parser and the body so far."""
    parser = ReplyParser(method)
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    body = b"".join([parser.feed(memoryview(data[start:end])) for start, end in pairwise(edges)])
    return parser, body


@pytest.mark.parametrize(
    ("data", "body", "reusable"),
    [
        (OK + b"Content-Length: 2\r\n\r\nhi", b"hi", True),
        (OK + b"Content-Length: 0\r\n\r\n", b"", True),
        (OK + b"Content-Length: 0002\r\n\r\nhi", b"hi", True),
        (b"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nhi", b"hi", True),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi", b"hi", False),
        (OK + b"Content-Length: 2\r\nConnection: close\r\n\r\nhi", b"hi", False),
        (OK + b"Content-Length: 2\r\nConnection: x, CLOSE\r\n\r\nhi", b"hi", False),
        (OK + b"Connection: x\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi", b"hi", False),
        (CHUNKED + b"2\r\nhi\r\n0\r\n\r\n", b"hi", True),
        (OK + b"Transfer-Encoding: chunked\t\r\n\r\n2\r\nhi\r\n0\r\n\r\n", b"hi", True),
        (CHUNKED + b"002;a=b;c\r\nhi\r\n0;x\r\nA: b\r\n\r\n", b"hi", True),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b"", True),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", b"", True),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + OK + b"Content-Length: 2\r\n\r\nhi", b"hi", True),
        (
            b"HTTP/1.1 103 Hints\r\nConnection: close\r\nContent-Length: 5\r\n\r\n"
            + OK
            + b"Content-Length: 2\r\n\r\nhi",
            b"hi",
            True,
        ),
    ],
)
@given(cuts=st.lists(st.integers(min_value=0, max_value=500), max_size=5))
def test_a_reply_is_read_whatever_its_pieces(
    data: bytes, body: bytes, reusable: bool, cuts: list[int]
) -> None:
    """A well-framed reply gives the same body and ends at the same byte, wherever the network cuts it."""
    parser, received = parsed(data, *cuts)

    assert received == body
    assert parser.complete
    assert parser.keeps_alive == reusable
    if not cuts:
        assert not parser.surplus


def test_a_head_is_passed_on_as_it_came() -> None:
    """Names keep their case, values their bytes, fields their order; the space around a value is none of it."""
    parser, _ = parsed(
        b"HTTP/1.1 207 Multi \xe9\r\nX-Request-ID: \t a  b \t\r\nx-EMPTY:\r\nX-Request-ID: \xff\r\n\r\n"
    )

    assert parser.status == 207
    assert parser.reason == b"Multi \xe9"
    assert parser.headers == (
        (b"X-Request-ID", b"a  b"),
        (b"x-EMPTY", b""),
        (b"X-Request-ID", b"\xff"),
    )


@pytest.mark.parametrize(
    "data",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"RTSP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/0.9 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.2 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"http/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1  200 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 099 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 600 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 O\x00K\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 O\x1b[2J\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 O\rK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\nContent-Length: 0\n\n",
        OK + b"A: b\nContent-Length: 0\r\n\r\n",
        OK + b"A: b\rContent-Length: 0\r\n\r\n",
        OK + b"A: b\x00\r\nContent-Length: 0\r\n\r\n",
        OK + b"A: b\r\n c\r\nContent-Length: 0\r\n\r\n",
        OK + b" A: b\r\nContent-Length: 0\r\n\r\n",
        OK + b"A : b\r\nContent-Length: 0\r\n\r\n",
        OK + b"A\r\nContent-Length: 0\r\n\r\n",
        OK + b": b\r\nContent-Length: 0\r\n\r\n",
        OK + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n",
        OK + b"Content-Length: 1\r\nContent-Length: 1\r\n\r\n",
        OK + b"Content-Length: 1, 1\r\n\r\n",
        OK + b"Content-Length: +1\r\n\r\n",
        OK + b"Content-Length: -1\r\n\r\n",
        OK + b"Content-Length: 1_0\r\n\r\n",
        OK + b"Content-Length: 0x1\r\n\r\n",
        OK + b"Content-Length:\r\n\r\n",
        OK + b"Content-Length: 99999999999999999999999\r\n\r\n",
        OK + b"Content-Length: %b2\r\n\r\nhi" % (b"0" * 5000),
        OK + b"Content-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n",
        OK + b"Transfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n",
        OK + b"Transfer-Encoding: identity\r\n\r\n",
        OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n",
        OK + b"Transfer-Encoding: chunked, gzip\r\n\r\n",
        OK + b"Transfer-Encoding: xchunked\r\n\r\n",
        OK + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\nRTSP/1.0 200 OK\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\nContent-Length: 2\r\n\r\nhi" + OK + b"\r\n",
        CHUNKED + b"0x2\r\nhi\r\n0\r\n\r\n",
        CHUNKED + b"-2\r\nhi\r\n0\r\n\r\n",
        CHUNKED + b"+2\r\nhi\r\n0\r\n\r\n",
        CHUNKED + b"2 \r\nhi\r\n0\r\n\r\n",
        CHUNKED + b" 2\r\nhi\r\n0\r\n\r\n",
        CHUNKED + b"2\nhi\r\n0\r\n\r\n",
        CHUNKED + b"2\r\nhi\n0\r\n\r\n",
        CHUNKED + b"2\r\nhi0\r\n\r\n",
        CHUNKED + b"2\r\nhiX\r\n0\r\n\r\n",
        CHUNKED + b"2;a\nhi\r\n0\r\n\r\n",
        CHUNKED + b"2;a=\x00\r\nhi\r\n0\r\n\r\n",
        CHUNKED + b"\r\nhi\r\n0\r\n\r\n",
        CHUNKED + b"FFFFFFFFFFFFFFFFF\r\nhi",
        CHUNKED + b"0\r\nA : b\r\n\r\n",
        CHUNKED + b"0\r\nA: b\n\r\n",
        CHUNKED + b"0\r\nContent-Length: 5\r\n\r\n",
    ],
)
def test_an_ambiguous_reply_is_refused(data: bytes) -> None:
    """What two readers could understand differently is a protocol error, in one piece and byte by byte."""
    with pytest.raises(UpstreamProtocolError):
        parsed(data)
    with pytest.raises(UpstreamProtocolError):
        parsed(data, *range(len(data)))


@pytest.mark.parametrize(
    "data",
    [
        OK + b"Content-Length: 2\r\n\r\nhi\r\n",
        OK + b"Content-Length: 2\r\n\r\nhi" + OK + b"Content-Length: 2\r\n\r\nno",
        OK + b"Content-Length: 2\r\nConnection: close\r\n\r\nhi!",
        CHUNKED + b"2\r\nhi\r\n0\r\n\r\n!",
        CHUNKED + b"2\r\nhi\r\n0\r\n\r\n\r\n",
        CHUNKED + b"2\r\nhi\r\n0\r\n\r\n\r",
        CHUNKED + b"2\r\nhi\r\n0\r\n\r\n" + OK + b"Content-Length: 2\r\n\r\nno",
        CHUNKED + b"2\r\nhi\r\n0\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
    ],
)
@given(cuts=st.lists(st.integers(min_value=0, max_value=200), max_size=3))
def test_what_follows_a_reply_is_noticed_and_no_part_of_it(data: bytes, cuts: list[int]) -> None:
    """Bytes after a reply's end never count as its body, and tell that the connection is not to be used again."""
    parser, body = parsed(data, *cuts)

    assert body == b"hi"
    assert parser.complete
    assert parser.surplus


def test_a_body_after_a_reply_that_can_have_none_is_surplus() -> None:
    """A reply to HEAD, a 204 and a 304 end with their heads, whatever these say of a length."""
    for method, status in (("HEAD", b"200"), ("POST", b"204"), ("GET", b"304")):
        head = b"HTTP/1.1 %b X\r\nContent-Length: 2\r\n\r\n" % status

        parser, body = parsed(head + b"hi", method=method)

        assert (parser.complete, parser.length_bytes, body) == (True, 0, b"")
        assert parser.surplus


@given(cut=st.integers(min_value=0))
@pytest.mark.parametrize(
    "data", [OK + b"Content-Length: 5\r\n\r\nhello", CHUNKED + b"5\r\nhello\r\n0\r\n\r\n"]
)
def test_a_delimited_reply_is_cut_at_every_earlier_byte(data: bytes, cut: int) -> None:
    """A connection that ends before the last byte of a length or of the last chunk cuts the reply."""
    parser, _ = parsed(data[: cut % len(data)])

    with pytest.raises(UpstreamCutError):
        parser.ended()


def test_a_reply_without_length_or_chunks_ends_with_its_connection() -> None:
    """Only the connection's end, once the head is whole, completes a reply that nothing else delimits."""
    parser, body = parsed(OK + b"\r\nhello")
    assert (body, parser.complete, parser.length_bytes) == (b"hello", False, None)

    parser.ended()

    assert parser.complete
    assert not parser.keeps_alive
    for early in range(len(OK)):
        with pytest.raises(UpstreamCutError):
            parsed(OK[:early])[0].ended()


def test_a_head_has_its_bounds() -> None:
    """A head of 64 KiB and 256 fields is read; one byte or one field more is refused, in pieces too."""
    room = MAX_HEAD_BYTES - len(OK + b"A: \r\n\r\n")
    assert parsed(OK + b"A: %b\r\n\r\n" % (b"b" * room))[0].head_done
    assert len(parsed(OK + b"A: b\r\n" * MAX_FIELDS + b"\r\n")[0].headers) == MAX_FIELDS

    for data in (
        OK + b"A: %b\r\n\r\n" % (b"b" * (room + 1)),
        OK + b"A: b\r\n" * (MAX_FIELDS + 1) + b"\r\n",
        OK + b"A: " + b"b" * MAX_HEAD_BYTES,
    ):
        for cuts in ((), range(0, len(data), 1000)):
            with pytest.raises(UpstreamProtocolError):
                parsed(data, *cuts)


def test_interim_replies_are_counted() -> None:
    """Sixteen interim replies pass, an endless row of them does not."""
    interim = b"HTTP/1.1 102 Processing\r\n\r\n"

    assert parsed(interim * MAX_INTERIM_REPLIES + CHUNKED)[0].status == 200
    with pytest.raises(UpstreamProtocolError):
        parsed(interim * (MAX_INTERIM_REPLIES + 1) + CHUNKED)


@pytest.mark.parametrize(
    "endless", [b"5;" + b"x" * 9, b"0\r\nA: " + b"x" * 9, b"0\r\n" + b"A: b\r\n" * 9]
)
def test_extensions_and_trailers_are_bounded(endless: bytes) -> None:
    """A chunk extension, a trailer field or a row of them that never ends is refused, and not kept."""
    parser, _ = parsed(CHUNKED)
    more = memoryview(endless[-6:] * 1000)

    def feed_on() -> None:
        parser.feed(memoryview(endless))
        for _ in range(MAX_UNSEEN_BYTES // len(more) + 1):
            parser.feed(more)

    with pytest.raises(UpstreamProtocolError):
        feed_on()


def test_how_long_a_server_waits_is_read() -> None:
    """The server's `Keep-Alive: timeout` is taken where it is a number."""
    for value, seconds in ((b"timeout=5", 5), (b"max=9, Timeout=75", 75), (b"timeout=x", None)):
        parser, _ = parsed(OK + b"Keep-Alive: %b\r\nContent-Length: 0\r\n\r\n" % value)

        assert parser.keepalive_seconds == seconds


@given(data=st.binary(max_size=300), cuts=st.lists(st.integers(min_value=0), max_size=4))
def test_junk_raises_nothing_else(data: bytes, cuts: list[int]) -> None:
    """Whatever bytes follow a head, the parser's own two errors are the only ones it raises."""
    for head in (b"", OK, CHUNKED, OK + b"Content-Length: 9\r\n\r\n"):
        with suppress(UpstreamError):
            parsed(head + data, *cuts)[0].ended()


def request(
    method: str = "POST",
    target: str = "/v1/x?q=1",
    headers: Headers = (),
    body: bytes | Upload = b"",
) -> UpstreamRequest:
    return UpstreamRequest(
        method=method, scheme="http", host="h", port=80, target=target, headers=headers, body=body
    )


async def no_pieces() -> AsyncIterator[bytes]:
    """Stand for an upload of which nothing is sent here."""
    nothing: tuple[bytes, ...] = ()
    for piece in nothing:
        yield piece


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (request("GET"), b"GET /v1/x?q=1 HTTP/1.1\r\nHost: h\r\n\r\n"),
        (request("DELETE"), b"DELETE /v1/x?q=1 HTTP/1.1\r\nHost: h\r\n\r\n"),
        (request(), b"POST /v1/x?q=1 HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n"),
        (
            request(headers=((b"X-a", b"1"), (b"x-A", b"")), body=b"{}"),
            b"POST /v1/x?q=1 HTTP/1.1\r\nHost: h\r\nX-a: 1\r\nx-A: \r\nContent-Length: 2\r\n\r\n",
        ),
        (
            request(body=Upload(pieces=no_pieces(), length_bytes=7)),
            b"POST /v1/x?q=1 HTTP/1.1\r\nHost: h\r\nContent-Length: 7\r\n\r\n",
        ),
        (
            request(body=Upload(pieces=no_pieces(), length_bytes=None)),
            b"POST /v1/x?q=1 HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n",
        ),
    ],
)
def test_a_request_head_says_what_was_asked_and_its_framing(
    asked: UpstreamRequest, expected: bytes
) -> None:
    """Host and the body's framing are added, and nothing else."""
    assert request_head(asked, b"h") == expected


@pytest.mark.parametrize(
    "asked",
    [
        request(headers=((b"A", b"b\r\nC: d"),)),
        request(headers=((b"A", b"b\nC: d"),)),
        request(headers=((b"A", b"b\rC"),)),
        request(headers=((b"A\r\nB", b"c"),)),
        request(headers=((b"A", b"b\x00"),)),
        request(headers=((b"A", b"b\r\n"), (b"C", b""))),
        request(target="/v1/x HTTP/1.1\r\nA: b\r\n\r\n"),
        request(target="/v1/x y"),
        request(target="/v1/\u00e9"),
        request(target=""),
        request(method="GET / HTTP/1.1\r\nA: b\r\n\r\nGET"),
    ],
)
def test_nothing_breaks_out_of_its_line(asked: UpstreamRequest) -> None:
    """A line end, a NUL or a blank where none may be is refused before anything is sent."""
    with pytest.raises(ValueError, match=r"line end|blank|ascii"):
        request_head(asked, b"h")
