"""Replies as nearly all are, read without a parser: as a parser reads them, or not at all."""

import httptools
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.transport import head as heads
from gateway.transport.head import Head, plain_chunks, plain_head

OK = b"HTTP/1.1 200 OK\r\n"


class Parsed:
    """What llhttp reads of a reply."""

    def __init__(self, data: bytes) -> None:
        self.fields: list[tuple[bytes, bytes]] = []
        self.body = b""
        self.complete = False
        parser = httptools.HttpResponseParser(self)
        parser.feed_data(data)
        self.status = parser.get_status_code()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Note a field."""
        self.fields.append((name, value))

    def on_body(self, data: bytes) -> None:
        """Note a piece of the body."""
        self.body += data

    def on_message_complete(self) -> None:
        """Note the end."""
        self.complete = True


@pytest.mark.parametrize(
    ("data", "head"),
    [
        (
            OK + b"Content-Type: text/plain\r\nContent-Length: 2\r\n\r\nhi",
            (
                200,
                b"OK",
                ((b"Content-Type", b"text/plain"), (b"Content-Length", b"2")),
                2,
                True,
                None,
                64,
            ),
        ),
        (
            b"HTTP/1.1 404\r\nContent-Length:0\r\nConnection: Close\r\n\r\n",
            (404, b"", ((b"Content-Length", b"0"), (b"Connection", b"Close")), 0, False, None, 53),
        ),
        (
            OK + b"transfer-encoding: Chunked\r\nkeep-alive: timeout=5, max=9\r\n\r\n",
            (
                200,
                b"OK",
                ((b"transfer-encoding", b"Chunked"), (b"keep-alive", b"timeout=5, max=9")),
                None,
                True,
                5,
                77,
            ),
        ),
        (
            OK + b"A:  b \t\r\nContent-Length: 1\r\nX: \xe9\r\n\r\n",
            (
                200,
                b"OK",
                ((b"A", b"b"), (b"Content-Length", b"1"), (b"X", b"\xe9")),
                1,
                True,
                None,
                53,
            ),
        ),
    ],
)
def test_a_usual_head_is_read(data: bytes, head: Head) -> None:
    """Status, fields, framing and what becomes of the connection are told, and where the body begins."""
    assert plain_head(data) == head
    assert plain_head(data) == head


@pytest.mark.parametrize(
    "data",
    [
        OK + b"Content-Length: 2\r\n",
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\nContent-Length: 2\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\n",
        b"HTTP/1.1 304 Not Modified\r\nContent-Length: 2\r\n\r\n",
        OK + b"\r\n",
        OK + b"X: y\r\n\r\n",
        OK + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\n",
        OK + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n",
        OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n",
        OK + b"Content-Length: +2\r\n\r\n",
        OK + b"Content-Length: 1000000000000000\r\n\r\n",
        OK + b"Content-Length: 2\r\nConnection: x, close\r\n\r\n",
        OK + b"Content-Length: 2\r\nProxy-Connection: close\r\n\r\n",
        OK + b"Content-Length: 2\r\nUpgrade: h2c\r\n\r\n",
        OK + b"Content-Length: 2\r\nX : y\r\n\r\n",
        OK + b"Content-Length: 2\r\n folded\r\n\r\n",
        OK + b"Content-Length: 2\r\nX: y\nZ: z\r\n\r\n",
        OK + b"Content-Length: 2\r\nX: y\rz\r\n\r\n",
        OK + b"Content-Length: 2\r\nX: \0\r\n\r\n",
        OK + b"Content-Length: 2\r\nX:\r\n\r\n",
        OK + b"Content-Length: 2\r\n" + b"X: y\r\n" * 256 + b"\r\n",
        OK + b"Content-Length: 2\r\nX: " + b"y" * 65_536 + b"\r\n\r\n",
    ],
)
def test_what_is_unusual_is_left_to_the_parser(data: bytes) -> None:
    """Heads that are rare, doubtful, too long or not whole are not read here."""
    assert plain_head(data) is None


LINES = st.sampled_from(
    [
        b"Content-Length: 2",
        b"content-length: 02",
        b"Transfer-Encoding: chunked",
        b"Connection: keep-alive",
        b"Connection: close",
        b"Keep-Alive: timeout=5",
        b"Upgrade: websocket",
        b"X-A:b",
        b"X-A: \t b c \t",
        b"X-A: \xff",
        b"X-A:",
        b"",
    ]
)
START = st.sampled_from([b"HTTP/1.1 200 OK", b"HTTP/1.1 500", b"HTTP/1.1 418 I'm a \xfcpot"])


@given(
    start=START | st.binary(max_size=20),
    lines=st.lists(LINES | st.binary(max_size=20), max_size=6),
    noise=st.binary(max_size=1),
    position=st.integers(0, 200),
)
def test_a_head_is_read_as_llhttp_reads_it(
    start: bytes, lines: list[bytes], noise: bytes, position: int
) -> None:
    """Whatever is read here, a strict parser takes, and reads alike."""
    data = b"\r\n".join([start, *lines, b"\r\n"])
    data = data[:position] + noise + data[position:]
    head = plain_head(data)
    if head is None:
        return

    parsed = Parsed(data[: head[-1]])

    assert parsed.status == head[0]
    assert [(name, value.rstrip(b" \t")) for name, value in parsed.fields] == list(head[2])


@pytest.mark.parametrize(
    ("data", "body", "last"),
    [
        (b"2\r\nhi\r\n", b"hi", False),
        (b"a\r\n0123456789\r\nB\r\n01234567890\r\n", b"012345678901234567890", False),
        (b"2\r\nhi\r\n0\r\n\r\n", b"hi", True),
        (b"0\r\n\r\n", b"", True),
    ],
)
def test_whole_chunks_are_taken_out(data: bytes, body: bytes, last: bool) -> None:
    """Of chunks that are whole the body is told, and whether it ends with them."""
    assert plain_chunks(data) == (body, last)


@pytest.mark.parametrize(
    "data",
    [
        b"2\r\nh",
        b"2\r\nhi",
        b"2\r\nhi\r",
        b"2\r\nhi\r\n2",
        b"2\r\nhi\n\n",
        b"2\r\nhi!\r\n",
        b"02\r\nhi\r\n",
        b"0x2\r\nhi\r\n",
        b"+2\r\nhi\r\n",
        b"2;a=b\r\nhi\r\n",
        b"2 \r\nhi\r\n",
        b"2\nhi\r\n",
        b"10000000\r\nhi\r\n",
        b"0\r\nA: b\r\n\r\n",
        b"0\r\n\r\n\r\n",
        b"0\r\n\r\nHTTP/1.1 200 OK\r\n",
    ],
)
def test_chunks_that_are_unusual_are_left_to_the_parser(data: bytes) -> None:
    """Chunks that are cut, extended, badly framed or followed by anything are not read here."""
    assert plain_chunks(data) is None


PIECES = st.sampled_from(
    [b"2\r\nhi\r\n", b"A\r\n0123456789\r\n", b"0\r\n\r\n", b"1\r\n\r\r\n", b"01\r\nx\r\n"]
)


@given(pieces=st.lists(PIECES | st.binary(max_size=8), max_size=6))
def test_chunks_are_read_as_llhttp_reads_them(pieces: list[bytes]) -> None:
    """Whatever is read here, a strict parser takes, and reads alike."""
    data = b"".join(pieces)
    plain = plain_chunks(data)
    if plain is None:
        return

    parsed = Parsed(OK + b"Transfer-Encoding: chunked\r\n\r\n" + data)

    assert (parsed.body, parsed.complete) == plain


def test_what_is_remembered_is_bounded_and_holds_no_secret() -> None:
    """An upstream can say ever new lines, and none that may be somebody's secret stays."""
    plain_head(OK + b"Content-Length: 0\r\nSet-Cookie: session=hush\r\n\r\n")
    assert not [line for line in heads._LINES if b"hush" in line]

    for number in range(3000):
        plain_head(OK + b"Content-Length: 0\r\nX-Request-Id: %d\r\n\r\n" % number)
    assert len(heads._LINES) <= heads._MAX_REMEMBERED
