"""Reading one reply: the parser's callbacks on one side, what the relay wants on the other.

Bytes are parsed strictly first and handed on in the same turn of the loop; nothing is kept but what comes before the
body is wanted. Sources: RFC 9112 (framing), RFC 9110 6.4.1 (bodies that cannot be), 15.2 (interim replies).
"""

import asyncio
from typing import Protocol

import httptools

from gateway.deadlines import Deadline, Deadlines
from gateway.errors import UpstreamCutError, UpstreamProtocolError, UpstreamTimeoutError
from gateway.transport import Sink
from gateway.types import Headers

MAX_HEAD_BYTES = 65_536
MAX_FIELDS = 256
MAX_TRAILER_BYTES = 65_536
MAX_INTERIM_REPLIES = 16


class Line(Protocol):
    """The connection that a reply comes on."""

    deadlines: Deadlines
    idle_seconds: float

    def pause_reading(self) -> None:
        """Stop reading; harmless when repeated."""

    def resume_reading(self) -> None:
        """Read on; harmless when repeated."""

    def release(self, *, reusable: bool) -> None:
        """End the exchange: the reply is whole."""

    def abort(self) -> None:
        """Close at once; harmless when repeated."""


class Reply:
    """One request's reply: the parser's callbacks on one side, `UpstreamReply` on the other."""

    __slots__ = (
        "_connection",
        "_deadline",
        "_dirty",
        "_early",
        "_fields",
        "_head_bytes",
        "_interim",
        "_keep_alive",
        "_parser",
        "_pieces",
        "_sink",
        "_trailer_bytes",
        "_waiter",
        "complete",
        "error",
        "head_done",
        "headers",
        "length_bytes",
        "method",
        "reason",
        "status",
    )

    def __init__(self, connection: Line, method: str) -> None:
        self.method = method
        self.status = 0
        self.reason = b""
        self.headers: Headers = ()
        self.length_bytes: int | None = None
        # Its head is whole; all of it is.
        self.head_done = False
        self.complete = False
        self._connection = connection
        self._parser = httptools.HttpResponseParser(self)
        self._fields: list[tuple[bytes, bytes]] = []
        self._head_bytes = 0
        self._trailer_bytes = 0
        self._interim = 0
        self._keep_alive = False
        self._pieces: list[bytes] = []
        self._early = b""
        self._sink: Sink | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._deadline: Deadline | None = None
        # What ended the reply before it was whole.
        self.error: BaseException | None = None
        # Something came after it was whole.
        self._dirty = False

    # For the relay

    async def copy(self, sink: Sink) -> None:
        """Hand the body to `sink` as it comes, and return when it is whole."""
        early, self._early = self._early, b""
        if early:
            sink(early)
        if self.complete:
            return
        if self.error is not None:
            raise self.error
        self._sink = sink
        self._watch()
        self._connection.resume_reading()
        try:
            await self.wait()
        finally:
            self._drop_deadline()
            self._sink = None
            if not self.complete:
                self.abort()

    def pause(self) -> None:
        """Stop reading: the client does not keep up, and its own deadline runs."""
        if not self.complete:
            self._drop_deadline()
            self._connection.pause_reading()

    def resume(self) -> None:
        """Read on."""
        if not self.complete and self._sink is not None:
            self._watch()
            self._connection.resume_reading()

    def abort(self) -> None:
        """Close the connection at once unless the reply is whole."""
        if not self.complete:
            self._end(UpstreamCutError("given up"))
            self._connection.abort()

    # For the connection

    async def wait(self) -> None:
        """Return when the head, or then the body, is whole; raise what ended it."""
        if self.error is not None:
            raise self.error
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def feed(self, data: memoryview) -> None:
        """Parse what came and hand its body on."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._refuse("it switches protocols")
        except httptools.HttpParserError as error:
            self._refuse(str(error))
        if not self.head_done:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES:
                self._refuse("its head is too long")
        if self._pieces:
            self._hand_on()
        if self.complete:
            self._wake(None)
            self._connection.release(reusable=self._reusable())
        elif self.error is not None:
            self._connection.abort()

    def ended(self, error: BaseException | None) -> None:
        """Take the connection's end: whole where that is how the reply ends, else a cut."""
        if error is None and not self.complete and self._until_close():
            self.complete = True
            self._wake(None)
            return
        self._end(UpstreamCutError(f"the connection ended: {error or 'closed'}"))

    def expire(self, why: str) -> None:
        """End a reply that is too slow."""
        self._end(UpstreamTimeoutError(why))
        self._connection.abort()

    def _hand_on(self) -> None:
        pieces = self._pieces
        data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        pieces.clear()
        if self._sink is None:
            self._early += data
            self._connection.pause_reading()
            return
        if self._deadline is not None:
            self._deadline.extend(self._connection.idle_seconds)
        try:
            self._sink(data)
        except BaseException as error:  # noqa: BLE001 - whatever the sink says comes out of copy()
            self.complete = False
            self._end(error)

    def _reusable(self) -> bool:
        return (
            not self._dirty
            and self.method != "HEAD"
            and not self._until_close()
            and self._keep_alive
        )

    def _until_close(self) -> bool:
        return self.head_done and self.length_bytes is None and not self._is_chunked()

    def _is_chunked(self) -> bool:
        return any(name.lower() == b"transfer-encoding" for name, _ in self.headers)

    def _refuse(self, why: str) -> None:
        self._end(UpstreamProtocolError(f"the reply cannot be read: {why}"))

    def _end(self, error: BaseException) -> None:
        if self.complete:
            self._dirty = True
        elif self.error is None:
            self.error = error
            self._wake(error)

    def _wake(self, error: BaseException | None) -> None:
        self._drop_deadline()
        waiter = self._waiter
        if waiter is None or waiter.done():
            return
        if error is None:
            waiter.set_result(None)
        else:
            waiter.set_exception(error)

    def _watch(self) -> None:
        self._drop_deadline()
        self._deadline = self._connection.deadlines.watch(
            self._connection.idle_seconds, lambda: self.expire("the reply stands still")
        )

    def _drop_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.drop()
            self._deadline = None

    # httptools' callbacks

    def on_message_begin(self) -> None:
        """Refuse a second reply to one request."""
        if self.complete:
            self._dirty = True

    def on_status(self, reason: bytes) -> None:
        """Note the reason phrase, which may come in parts."""
        self.reason += reason

    def on_header(self, name: bytes, value: bytes) -> None:
        """Note a field of the head; count one of the trailer."""
        if self.complete:
            return
        if self.head_done:
            self._trailer_bytes += len(name) + len(value) + 4
            if self._trailer_bytes > MAX_TRAILER_BYTES:
                self._refuse("its trailer is too long")
            return
        # White space around a value is no part of it (RFC 9110, 5.5); llhttp leaves what follows.
        self._fields.append((name, value.rstrip(b" \t")))

    def on_headers_complete(self) -> None:
        """Judge a head; skip an interim one."""
        if self.complete:
            return
        status = self._parser.get_status_code()
        if self._parser.get_http_version() not in ("1.0", "1.1") or not 100 <= status <= 599:
            self._refuse("its status line is not HTTP/1's")
        elif status < 200:
            self._skip_interim(status)
        else:
            self._take_head(status)

    def _skip_interim(self, status: int) -> None:
        self._interim += 1
        if status == 101 or self._interim > MAX_INTERIM_REPLIES:
            self._refuse("it is an interim reply that was not asked for")
        self._fields.clear()
        self.reason = b""

    def _take_head(self, status: int) -> None:
        self.status = status
        self.headers = tuple(self._fields)
        size = sum(len(name) + len(value) + 4 for name, value in self.headers)
        if size > MAX_HEAD_BYTES or len(self.headers) > MAX_FIELDS:
            self._refuse("its head is too long")
            return
        try:
            self.length_bytes = _length(self.headers)
        except ValueError as error:
            self._refuse(str(error))
            return
        # llhttp forgets it when the message is complete.
        self._keep_alive = self._parser.should_keep_alive()
        self.head_done = True
        if self.method == "HEAD" or status in (204, 304):
            # Whatever the head says of a length: no body can follow.
            self.length_bytes = 0
            self.complete = True
        else:
            self._wake(None)

    def on_body(self, data: bytes) -> None:
        """Take a piece of the body."""
        if self.complete:
            self._dirty = True
        else:
            self._pieces.append(data)

    def on_message_complete(self) -> None:
        """Note that the reply, unless an interim one, is whole."""
        if self.head_done and self.error is None:
            self.complete = True


def _length(headers: Headers) -> int | None:
    """Return Content-Length in bytes; None where the reply is chunked or ends with its connection."""
    lengths = [value for name, value in headers if name.lower() == b"content-length"]
    codings = [value for name, value in headers if name.lower() == b"transfer-encoding"]
    if codings:
        if lengths or [coding.strip().lower() for coding in codings] != [b"chunked"]:
            raise ValueError("its framing is ambiguous")
        return None
    if not lengths:
        return None
    if len(lengths) > 1 or not lengths[0].strip().isdigit():
        raise ValueError("its length is ambiguous")
    return int(lengths[0])
