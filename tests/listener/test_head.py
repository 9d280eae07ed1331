"""A request's head: what is read of it, what is refused, and what is remembered."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import InvalidRequestError
from gateway.listener import head
from gateway.listener.head import HeadReader, Request

HOST = b"\r\nHost: localhost"


def read(raw: bytes) -> Request:
    return HeadReader().read(raw)


def refused(raw: bytes) -> tuple[int, str | None]:
    with pytest.raises(InvalidRequestError) as caught:
        read(raw)
    return caught.value.status, caught.value.code


def test_fields_stay_as_they_were_sent() -> None:
    """Names keep their case and all their order; a value loses the blanks around it, and is found by its small name."""
    request = read(b"POST /v1/x?a=b HTTP/1.1\r\nHOST: a\r\nX-One: \t 1 \r\nx-one:2\r\nX-Empty:")

    assert request.fields == (
        (b"HOST", b"a"),
        (b"X-One", b"1"),
        (b"x-one", b"2"),
        (b"X-Empty", b""),
    )
    assert request.field(b"x-one") == b"1, 2"
    assert request.field(b"x-empty") == b""
    assert request.field(b"x-two") is None
    assert (request.method, request.line.path) == ("POST", "/v1/x")


TARGETS = {
    b"/v1/x?a=b": ("/v1/x?a=b", None),
    b"*": ("*", None),
    b"http://a.example/v1/x?y": ("/v1/x?y", b"a.example"),
    b"HTTPS://a.example": ("", b"a.example"),
    b"a.example:443": (None, None),
    b"gopher://a/b": (None, None),
}


@pytest.mark.parametrize(("target", "means"), TARGETS.items())
def test_targets(target: bytes, means: tuple[str | None, bytes | None]) -> None:
    """An absolute target has its authority and a path; what is no path stays what it is."""
    line = read(b"GET " + target + b" HTTP/1.1" + HOST).line

    assert line.target == target.decode()
    assert (line.path_and_query, line.authority) == means


LENGTHS = {
    b"": 0,
    b"\r\nContent-Length: 5": 5,
    b"\r\ncontent-length: 0005": 5,
    b"\r\ncontent-length: " + b"0" * 5000 + b"5": 5,
    b"\r\ncontent-length: " + b"0" * 5000: 0,
    b"\r\nTransfer-Encoding: CHUNKED": None,
}


@pytest.mark.parametrize(("fields", "length"), LENGTHS.items())
def test_how_long_a_body_is(fields: bytes, length: int | None) -> None:
    """A length in digits, chunks, or nothing."""
    assert read(b"POST /v1/x HTTP/1.1" + HOST + fields).length_bytes == length


CONNECTIONS = [
    (b"1.1", b"", True),
    (b"1.1", b"keep-alive, Close", False),
    (b"1.1", b"upgrade", True),
    (b"1.0", b"", False),
    (b"1.0", b"Keep-Alive", True),
    (b"1.0", b"keep-alive, close", False),
]


@pytest.mark.parametrize(("version", "options", "stays"), CONNECTIONS)
def test_whether_a_connection_stays(version: bytes, options: bytes, stays: bool) -> None:
    """The version decides, and `Connection` before it."""
    field = b"\r\nConnection: " + options if options else b""
    assert read(b"GET / HTTP/" + version + HOST + field).keep_alive is stays


UNREADABLE = {
    "two blanks": b"GET  / HTTP/1.1" + HOST,
    "a blank at the end": b"GET / HTTP/1.1 " + HOST,
    "a method that nobody knows": b"BREW / HTTP/1.1" + HOST,
    "a target beyond ASCII": b"GET /\xc3\xa9 HTTP/1.1" + HOST,
    "version 2": b"GET / HTTP/2.0" + HOST,
    "no host": b"GET / HTTP/1.1\r\nX-A: b",
    "two types": b"GET / HTTP/1.1" + HOST + b"\r\nContent-Type: a\r\ncontent-type: a",
    "a folded field": b"GET / HTTP/1.1" + HOST + b"\r\n b",
    "a bare line feed": b"GET / HTTP/1.1" + HOST + b"\r\nA: b\nC: d",
    "chunks in HTTP/1.0": b"GET / HTTP/1.0" + HOST + b"\r\nTransfer-Encoding: chunked",
    "chunks and a length": b"GET / HTTP/1.1"
    + HOST
    + b"\r\nTransfer-Encoding: chunked\r\nContent-Length: 0",
    "a length of 19 digits": b"GET / HTTP/1.1" + HOST + b"\r\nContent-Length: " + b"1" * 19,
}


@pytest.mark.parametrize("raw", UNREADABLE.values(), ids=UNREADABLE)
def test_what_is_no_head(raw: bytes) -> None:
    """What others might read in another way is 400."""
    assert refused(raw) == (400, "invalid_http")


def test_fields_are_counted() -> None:
    """So many fields are taken, and one more is 431."""
    line = b"GET / HTTP/1.1" + HOST
    assert len(read(line + b"\r\nA: b" * (head.MAX_FIELDS - 1)).fields) == head.MAX_FIELDS
    assert refused(line + b"\r\nA: b" * head.MAX_FIELDS) == (431, "headers_too_large")


def test_too_many_fields_are_not_looked_at() -> None:
    """A head of nothing but line ends costs no more than finding them."""
    reader = HeadReader()
    with pytest.raises(InvalidRequestError, match="too large"):
        reader.read(b"GET / HTTP/1.1" + HOST + b"\r\na:b" * 13_000)

    assert not reader._fields


BEGINNINGS = {
    "nothing": (b"", None),
    "half a method": (b"GE", None),
    "a carriage return": (b"GET / HTTP/1.1\r", None),
    "half a field": (b"GET / HTTP/1.1\r\nHos", None),
    "a bare line feed": (b"GET / HTTP/1.1\n", 400),
    "a bare carriage return": (b"GET / HTTP/1.1\rA", 400),
    "TLS": (b"\x16\x03\x01", 400),
    "a line that is none": (b"SSH-2.0-x\r\n", 400),
    "too much": (b"GET /" + b"a" * head.MAX_HEAD_BYTES, 431),
}


@pytest.mark.parametrize(("beginning", "status"), BEGINNINGS.values(), ids=BEGINNINGS)
def test_beginnings(beginning: bytes, status: int | None) -> None:
    """What can become no head, whatever follows, is refused before it is whole."""
    reader = HeadReader()
    if status is None:
        reader.check_beginning(beginning, 0)
        return
    with pytest.raises(InvalidRequestError) as caught:
        reader.check_beginning(beginning, 0)
    assert caught.value.status == status


def test_what_is_remembered_is_bounded_and_no_secret() -> None:
    """A line is read once, but for those that hold secrets, that are long, or that are too many."""
    reader = HeadReader()
    line = b"GET / HTTP/1.1" + HOST
    first = reader.read(line + b"\r\nAuthorization: Bearer k")
    second = reader.read(line + b"\r\nAuthorization: Bearer k")

    assert first.line is second.line
    assert first.fields[0] is second.fields[0]
    assert first.fields[1] == second.fields[1]
    assert first.fields[1] is not second.fields[1]
    reader.read(line + b"\r\nA: " + b"b" * head.MAX_KNOWN_LINE_BYTES)
    for n in range(head.MAX_KNOWN_LINES + 10):
        reader.read(b"GET /%d HTTP/1.1" % n + HOST + b"\r\nA: %d" % n)
    assert len(reader._lines) <= head.MAX_KNOWN_LINES
    assert len(reader._fields) <= head.MAX_KNOWN_LINES
    assert max(map(len, reader._fields)) <= head.MAX_KNOWN_LINE_BYTES


NAMES = st.text("ABCxyz-_.0", min_size=1, max_size=8).map(str.encode)
VALUES = st.binary(max_size=12).map(lambda value: bytes(b for b in value if b > 0x20 and b != 0x7F))


@given(st.lists(st.tuples(NAMES, VALUES), max_size=20))
def test_good_fields_come_back(fields: list[tuple[bytes, bytes]]) -> None:
    """Whatever names and values are, within HTTP's alphabet, is what was sent."""
    raw = b"".join(b"\r\n%b: %b" % field for field in fields)
    assert read(b"GET / HTTP/1.1" + HOST + raw).fields[1:] == tuple(fields)


@given(st.binary(max_size=120))
def test_any_bytes_are_read_or_refused(raw: bytes) -> None:
    """No bytes are a defect."""
    try:
        request = read(b"GET / HTTP/1.1" + HOST + b"\r\n" + raw)
    except InvalidRequestError as error:
        assert error.status in (400, 431)
    else:
        assert raw.count(b"\r\n") + 2 == len(request.fields)
