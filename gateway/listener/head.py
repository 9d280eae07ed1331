"""A request's head, without a socket: read in one walk, and refused where two readers could read it in two ways.

Sources: RFC 9112 (2.2 to 6.3: syntax and framing), RFC 9110 (5.3: fields on several lines).
"""

import re
from collections.abc import Callable
from typing import Final

from gateway.errors import InvalidRequestError
from gateway.listener.body import Body
from gateway.types import Headers

# Of a head as a whole (nginx's four buffers of 8 KiB hold half of it), and how many fields it may have.
MAX_HEAD_BYTES = 65_536
MAX_FIELDS = 256
# Lines that are remembered once they are read, since clients send the same ones again and again; longer ones are not.
MAX_KNOWN_LINES = 1024
MAX_KNOWN_LINE_BYTES = 256
# Far above any body: more digits would be no number that others can hold.
MAX_LENGTH_DIGITS = 18

_REQUEST_LINE = re.compile(rb"([A-Z-]+) ([\x21-\x7e]+) HTTP/1\.([01])")
_ABSOLUTE = re.compile(r"https?://([^/]*)(.*)", re.IGNORECASE)
_NAME = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
# What no head can hold that goes on: a line ends with CR and LF, and they stand nowhere else.
_HOPELESS = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|(?<!\r)\n|\r(?!\n|\Z)")

# The methods that have a meaning in HTTP or its extensions (IANA's registry, as far as servers are sent them).
_METHODS: Final = frozenset(
    b"ACL BIND CHECKOUT CONNECT COPY DELETE GET HEAD LINK LOCK M-SEARCH MERGE MKACTIVITY MKCALENDAR MKCOL MOVE NOTIFY "
    b"OPTIONS PATCH POST PROPFIND PROPPATCH PURGE PUT QUERY REBIND REPORT SEARCH SOURCE SUBSCRIBE TRACE UNBIND UNLINK "
    b"UNLOCK UNSUBSCRIBE".split()
)
# What may stand in a head once: the gateway or the upstream would go by one of two.
_ONCE: Final = frozenset(
    (
        b"content-length",
        b"content-location",
        b"content-range",
        b"content-type",
        b"host",
        b"max-forwards",
        b"transfer-encoding",
        b"user-agent",
    )
)
# What is judged by itself, where a head has it.
_UNUSUAL: Final = frozenset((b"connection", b"transfer-encoding"))
# What is read anew each time: secrets are not kept.
_SECRET: Final = frozenset(
    b"authorization proxy-authorization cookie api-key x-api-key x-goog-api-key x-auth-token "
    b"x-amz-security-token".split()
)


class RequestLine:
    """A head's first line."""

    __slots__ = ("authority", "http10", "method", "path", "path_and_query", "target")

    def __init__(self, method: str, target: str, *, http10: bool) -> None:
        self.method = method
        # As sent.
        self.target = target
        self.http10 = http10
        # Without what an absolute target has before its path (RFC 9112, 3.2.2); None: it is no path.
        self.path_and_query: str | None = None
        self.authority: bytes | None = None
        if target.startswith("/") or target == "*":
            self.path_and_query = target
        elif absolute := _ABSOLUTE.fullmatch(target):
            self.authority, self.path_and_query = absolute[1].encode(), absolute[2]
        self.path = (self.path_and_query or "").partition("?")[0]


class Request:
    """One request: what its head says, and its body or what will come of it."""

    __slots__ = ("body", "field", "fields", "keep_alive", "length_bytes", "line", "method", "rest")

    def __init__(
        self, line: RequestLine, fields: Headers, field: Callable[[bytes], bytes | None]
    ) -> None:
        self.line = line
        self.method = line.method
        # (name, value) as sent, in their order.
        self.fields = fields
        # The value of a field by its name in lower case, None where there is none; several lines of a name are a list.
        self.field = field
        self.keep_alive = not line.http10
        # Of the body; None: it is chunked.
        self.length_bytes: int | None = 0
        # All of it, where it came with the head; else it is read from `rest`.
        self.body = b""
        self.rest: Body | None = None

    def text(self, name: bytes) -> str | None:
        """Return the value of a field as text; what is no UTF-8 in it stays recognisable."""
        value = self.field(name)
        return None if value is None else value.decode("utf-8", "surrogateescape")


class HeadReader:
    """Reads the heads of a listener's requests, and remembers the lines that they have in common."""

    def __init__(self) -> None:
        self._lines: dict[bytes, RequestLine] = {}
        # A line -> (name, value) as sent, and the name in lower case.
        self._fields: dict[bytes, tuple[tuple[bytes, bytes], bytes]] = {}

    def read(self, head: bytes) -> Request:
        """Return the request that `head`, without the empty line at its end, begins; its body is not looked at.

        Raises InvalidRequestError: 400, 431.
        """
        first, *lines = head.split(b"\r\n")
        if len(lines) > MAX_FIELDS:
            raise too_large()
        line = self._lines.get(first) or self._read_line(first)
        fields = []
        values: dict[bytes, bytes] = {}
        known_fields = self._fields
        for raw in lines:
            known = known_fields.get(raw) or self._read_field(raw)
            field, name = known
            fields.append(field)
            values[name] = field[1] if name not in values else _listed(name, values[name], field[1])
        request = Request(line, tuple(fields), values.get)
        if b"host" not in values or not _UNUSUAL.isdisjoint(values):
            _judge(request, values)
        elif b"content-length" in values:
            request.length_bytes = _length(values[b"content-length"])
        return request

    def check_beginning(self, head: bytes, known_bytes: int) -> None:
        """Refuse a head that can be none, whatever comes; its first `known_bytes` were checked before.

        Raises InvalidRequestError: 400, 431.
        """
        if len(head) > MAX_HEAD_BYTES:
            raise too_large()
        if _HOPELESS.search(head, max(0, known_bytes - 1)):
            raise unreadable()
        first, line_end, _ = head.partition(b"\r\n")
        if line_end and first not in self._lines:
            self._read_line(first)

    def _read_line(self, raw: bytes) -> RequestLine:
        parts = _REQUEST_LINE.fullmatch(raw)
        if parts is None or parts[1] not in _METHODS:
            raise unreadable()
        line = RequestLine(parts[1].decode(), parts[2].decode(), http10=parts[3] == b"0")
        # A query may hold a secret.
        if len(raw) <= MAX_KNOWN_LINE_BYTES and b"?" not in raw:
            if len(self._lines) >= MAX_KNOWN_LINES:
                self._lines.clear()
            self._lines[raw] = line
        return line

    def _read_field(self, raw: bytes) -> tuple[tuple[bytes, bytes], bytes]:
        name, colon, value = raw.partition(b":")
        if not colon or not _NAME.fullmatch(name) or _CONTROL.search(value):
            raise unreadable()
        lower = name.lower()
        known = ((name, value.strip(b" \t")), lower)
        if len(raw) <= MAX_KNOWN_LINE_BYTES and lower not in _SECRET:
            if len(self._fields) >= MAX_KNOWN_LINES:
                self._fields.clear()
            self._fields[raw] = known
        return known


def unreadable() -> InvalidRequestError:
    """Return the refusal of what is no HTTP."""
    return InvalidRequestError(
        "The request could not be read: it breaks HTTP's syntax.", code="invalid_http"
    )


def too_large() -> InvalidRequestError:
    """Return the refusal of a head above its bounds."""
    return InvalidRequestError(
        "The request's header fields are too large.", code="headers_too_large", status=431
    )


def _listed(name: bytes, value: bytes, more: bytes) -> bytes:
    if name in _ONCE:
        raise unreadable()
    return b"%b, %b" % (value, more)


def _length(value: bytes) -> int:
    digits = value.lstrip(b"0")
    if not value.isdigit() or len(digits) > MAX_LENGTH_DIGITS:
        raise unreadable()
    # Python reads no number with thousands of zeros before it.
    return int(digits or b"0")


def _judge(request: Request, values: dict[bytes, bytes]) -> None:
    """Decide how long the body is and whether the connection stays (RFC 9112, 6.3 and 9.3)."""
    http10 = request.line.http10
    if not http10 and b"host" not in values:
        raise InvalidRequestError(
            "The request must have exactly one Host header.", code="invalid_http"
        )
    if b"transfer-encoding" in values:
        coding = values[b"transfer-encoding"]
        if http10 or b"content-length" in values or coding.lower() != b"chunked":
            raise InvalidRequestError(
                "The request's framing can be read in two ways.", code="invalid_http"
            )
        request.length_bytes = None
    elif b"content-length" in values:
        request.length_bytes = _length(values[b"content-length"])
    if b"connection" in values:
        options = [o.strip() for o in values[b"connection"].lower().split(b",")]
        request.keep_alive = b"close" not in options and (not http10 or b"keep-alive" in options)
