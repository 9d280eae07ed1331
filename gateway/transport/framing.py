"""HTTP/1.1's framing, without a socket: a request's head as bytes, a parser that refuses ambiguous replies.

Header fields and chunks are llhttp's to read (by way of httptools, in its strict mode); the status line, the bounds and
how long a body is are judged here. Sources: RFC 9112 (framing), RFC 9110 15.2 (interim replies).
"""

import re

import httptools

from gateway.errors import UpstreamCutError, UpstreamProtocolError
from gateway.transport.head import (
    KEEP_ALIVE_TIMEOUT,
    MAX_FIELDS,
    MAX_HEAD_BYTES,
    MAX_LENGTH_DIGITS,
    Head,
    plain_chunks,
    plain_head,
)
from gateway.types import Headers, Upload, UpstreamRequest

_WITH_BODY = frozenset({b"POST", b"PUT", b"PATCH"})
MAX_INTERIM_REPLIES = 16
# What may stand between two bytes of a chunked body, or after the last one: chunk sizes, extensions, a trailer.
MAX_UNSEEN_BYTES = 65_536

# llhttp takes RTSP, HTTP/0.9 and HTTP/2.0, statuses of 000 and 600, and control characters in the reason.
_STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-5][0-9]{2})(?: ([\t\x20-\x7e\x80-\xff]*))?\r\n")
_PROTOCOL = b"HTTP/1."
# The fields that say how the message is framed and what becomes of its connection.
_FRAMING_FIELDS = frozenset({b"connection", b"content-length", b"keep-alive", b"transfer-encoding"})
_FRAMING_LENGTHS = frozenset(map(len, _FRAMING_FIELDS))
# What a parser has read of a reply whose head and first chunks needed none.
_CHUNKED_HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


class ReplyParser:
    """Reads one reply: feed it bytes, and it gives back the body's; ask it for the rest.

    After `feed` or `ended` raised, it is of no more use.
    """

    # Of the class until they change: a parser is made for each reply.
    status = 0
    reason = b""
    headers: Headers = ()
    # 0 where no body can follow; None: chunked, or it ends with the connection.
    length_bytes: int | None = None
    head_done = False
    complete = False
    # Something came after the reply's end: nobody asked for it.
    surplus = False
    # Whether another request may follow on the connection, and how long its server will wait for one.
    keeps_alive = False
    keepalive_seconds: int | None = None
    _head = b""
    _interim = 0
    _chunked = False
    _body_left = 0
    _unseen_bytes = 0

    # Made where something is not as in most replies. The two hold each other: let go of as soon as it is of no more
    # use, it costs the collector nothing.
    _llhttp: httptools.HttpResponseParser | None = None

    def __init__(self, method: str) -> None:
        self._method = method

    def feed(self, data: memoryview) -> bytes:
        """Take the next bytes of the connection and return those of the body among them.

        Raises UpstreamProtocolError.
        """
        if self.head_done:
            return self._feed_body(data)
        if self._llhttp is None and self._method != "HEAD":
            received = bytes(data)
            head = plain_head(received)
            if head is not None:
                return self._take_head(head, received)
        data = self._feed_head(data)
        return self._feed_body(data) if data else b""

    def ended(self) -> None:
        """Note that the connection ended, cleanly.

        Raises UpstreamCutError unless the reply is whole, which one that nothing else delimits now is.
        """
        if self.head_done and not self._chunked and self.length_bytes is None:
            self.complete = True
        if not self.complete:
            raise UpstreamCutError("the connection ended before the reply was whole")

    # The head

    def _take_head(self, head: Head, received: bytes) -> bytes:
        """Take a head that needed no parser, and return what of the body `received` holds behind it."""
        self.status, self.reason, self.headers, length, self.keeps_alive, seconds, begin = head
        self.keepalive_seconds = seconds
        self.length_bytes = length
        self.head_done = True
        body = received[begin:]
        if length is None:
            self._chunked = True
        else:
            self._body_left = length
            self.complete = length == 0
        return self._feed_body(body) if body else b""

    def _feed_head(self, data: memoryview) -> memoryview:
        """Take bytes up to the end of the final head, and return what follows it."""
        if self._llhttp is None:
            self._begin_parsing()
        while data and not self.head_done:
            known = len(self._head)
            self._head += data
            end = self._head.find(b"\r\n\r\n", max(0, known - 3)) + 4
            if end < 4:
                self._check_start(len(self._head))
                self._run(data)
                return data[:0]
            self._check_start(end)
            self._run(data[: end - known])
            self._judge_head()
            data = data[end - known :]
        return data

    def _check_start(self, length_bytes: int) -> None:
        if length_bytes > MAX_HEAD_BYTES:
            raise UpstreamProtocolError("its head is too long")
        if not self._head.startswith(_PROTOCOL[:length_bytes]):
            raise UpstreamProtocolError("it is not HTTP/1")

    def _judge_head(self) -> None:
        line = _STATUS_LINE.match(self._head)
        if line is None:
            raise UpstreamProtocolError("its status line is not HTTP/1's")
        minor, status, reason = line.groups()
        self.status = int(status)
        if self.status < 200:
            self._skip_interim()
            return
        self.reason = reason or b""
        self.headers = self._stripped()
        framing = self._framing()
        http10 = minor == b"0"
        self._judge_length(framing, http10=http10)
        self._judge_connection(framing, http10=http10)
        self.head_done = True
        # Chunks are read by a parser that begins at them: whether there are any is judged here, and not by it, which
        # takes a coding with a tab behind it for none.
        self._llhttp = None

    def _skip_interim(self) -> None:
        self._interim += 1
        if self.status == 101 or self._interim > MAX_INTERIM_REPLIES:
            raise UpstreamProtocolError("an interim reply came that was not asked for")
        self._head = b""
        self._begin_parsing()

    def _begin_parsing(self) -> httptools.HttpResponseParser:
        self._fields: list[tuple[bytes, bytes]] = []
        self._pieces: list[bytes] = []
        self._llhttp = httptools.HttpResponseParser(self)
        return self._llhttp

    def _stripped(self) -> Headers:
        """Return the fields without the blanks that may follow a value, which llhttp leaves; forget the head."""
        head, self._head = self._head, b""
        fields, self._fields = self._fields, []
        if b" \r\n" in head or b"\t\r\n" in head:
            return tuple([(name, value.rstrip(b" \t")) for name, value in fields])
        return tuple(fields)

    def _framing(self) -> dict[bytes, bytes]:
        """Return the fields that frame the message; two of a name are one list (RFC 9110, 5.3)."""
        framing: dict[bytes, bytes] = {}
        for name, value in self.headers:
            # Most names are told apart by their length.
            if len(name) in _FRAMING_LENGTHS and (lower := name.lower()) in _FRAMING_FIELDS:
                framing[lower] = b"%b,%b" % (framing[lower], value) if lower in framing else value
        return framing

    def _judge_length(self, framing: dict[bytes, bytes], *, http10: bool) -> None:
        """Decide how long the body is (RFC 9112, 6.3)."""
        length = framing.get(b"content-length")
        coding = framing.get(b"transfer-encoding")
        if coding is not None and (length is not None or http10 or coding.lower() != b"chunked"):
            raise UpstreamProtocolError("its framing is ambiguous")
        if length is not None and not (length.isdigit() and len(length) <= MAX_LENGTH_DIGITS):
            raise UpstreamProtocolError("its length is ambiguous")
        if self._method == "HEAD" or self.status in (204, 304):
            self.length_bytes = 0
        elif coding is not None:
            self._chunked = True
        elif length is not None:
            self.length_bytes = self._body_left = int(length)
        self.complete = self.length_bytes == 0

    def _judge_connection(self, framing: dict[bytes, bytes], *, http10: bool) -> None:
        """Decide whether the connection stays (RFC 9112, 9.3)."""
        self.keeps_alive = not http10 and (self._chunked or self.length_bytes is not None)
        if framing.get(b"connection", b"keep-alive") != b"keep-alive":
            options = framing[b"connection"].lower().split(b",")
            self.keeps_alive &= b"close" not in [option.strip() for option in options]
        if b"keep-alive" in framing:
            hint = KEEP_ALIVE_TIMEOUT.search(framing[b"keep-alive"].lower())
            self.keepalive_seconds = int(hint[1]) if hint else None

    # The body

    def _feed_body(self, data: memoryview | bytes) -> bytes:
        if self.complete:
            self.surplus = True
            return b""
        if self._chunked:
            return self._feed_chunks(data)
        if self.length_bytes is None:
            return bytes(data)
        body = bytes(data[: self._body_left])
        self._body_left -= len(body)
        self.complete = self._body_left == 0
        self.surplus = len(data) > len(body)
        return body

    def _feed_chunks(self, data: memoryview | bytes) -> bytes:
        llhttp = self._llhttp
        if llhttp is None:
            plain = plain_chunks(bytes(data))
            if plain is not None:
                body, self.complete = plain
                return body
            llhttp = self._begin_parsing()
            llhttp.feed_data(_CHUNKED_HEAD)
        try:
            # Not by way of `_run`: this is done for each piece of a stream.
            llhttp.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            # What follows the last chunk is no part of the reply, whatever it is.
            if not self.complete:
                raise UpstreamProtocolError(f"it cannot be read: {error}") from None
            self.surplus = True
        pieces = self._pieces
        if pieces:
            self._unseen_bytes = 0
        else:
            self._unseen_bytes += len(data)
            if self._unseen_bytes > MAX_UNSEEN_BYTES:
                raise UpstreamProtocolError("its chunk extensions or its trailer are too long")
        body = b"".join(pieces)
        pieces.clear()
        if self.complete:
            self._llhttp = None
            self.surplus = self.surplus or not _ends_a_message(data)
        return body

    def _run(self, data: memoryview) -> None:
        if self._llhttp is None:
            raise UpstreamProtocolError("it cannot be read any more")
        try:
            self._llhttp.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            raise UpstreamProtocolError(f"it cannot be read: {error}") from None
        if len(self._fields) > MAX_FIELDS:
            raise UpstreamProtocolError("its head has too many fields")

    # httptools' callbacks

    def on_header(self, name: bytes, value: bytes) -> None:
        """Note a field of the head; those of a trailer are dropped."""
        if not self.head_done:
            self._fields.append((name, value))

    def on_body(self, data: bytes) -> None:
        """Take a piece of a chunked body."""
        if not self.complete:
            self._pieces.append(data)

    def on_message_begin(self) -> None:
        """Notice a second reply to one request."""
        if self.complete:
            self.surplus = True

    def on_message_complete(self) -> None:
        """Note that the last chunk, with its trailer, is whole."""
        if self.head_done:
            self.complete = True


def _ends_a_message(data: memoryview | bytes) -> bool:
    """Return whether what ended a chunked message ended there: llhttp passes over empty lines that follow."""
    tail = bytes(data[-6:])
    if len(tail) < 6:
        return tail == b"0\r\n\r\n"
    return tail.endswith(b"\r\n\r\n") and tail != b"\r\n\r\n\r\n"


def request_head(request: UpstreamRequest, host: bytes) -> bytes:
    """Return the head of `request` as it goes on the wire, with the framing that its body needs.

    Raises ValueError where a name, a value or the target would break out of its line.
    """
    target = request.target.encode("ascii")
    method = request.method.encode("ascii")
    body = request.body
    fields = [*map(b": ".join, request.headers)]
    # How long the body is, where there is one or one would be expected.
    if isinstance(body, Upload):
        if body.length_bytes is None:
            fields.append(b"Transfer-Encoding: chunked")
        else:
            fields.append(b"Content-Length: %d" % body.length_bytes)
    elif body or method in _WITH_BODY:
        fields.append(b"Content-Length: %d" % len(body))
    lines = [b"%b %b HTTP/1.1\r\nHost: %b" % (method, target, host), *fields, b"\r\n"]
    head = b"\r\n".join(lines)
    ends = len(fields) + 3
    if not head.count(b"\r") == head.count(b"\n") == head.count(b"\r\n") == ends or b"\0" in head:
        raise ValueError("a header field, the method or the target holds a line end or a NUL")
    if b" " in target or b"\t" in target or not target:
        raise ValueError("the target is empty or holds a blank")
    return head
