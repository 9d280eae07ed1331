"""One connection to an upstream and the replies on it, one at a time: HTTP/1.1 on httptools, strictly.

Bytes are parsed first and handed on in the same turn of the loop; nothing is buffered but what comes before the reply
is wanted. Which connection takes a request is `pool.py`'s.
Sources: RFC 9112 (framing), RFC 9110 15.2 (1xx), 6.4.1 (bodies that cannot be).
"""

import asyncio
from collections.abc import Callable
from typing import cast

import httptools

from gateway.deadlines import Deadline, Deadlines
from gateway.errors import (
    UpstreamConnectError,
    UpstreamCutError,
    UpstreamError,
    UpstreamProtocolError,
    UpstreamTimeoutError,
)
from gateway.transport import Sink
from gateway.types import Headers, Upload, UpstreamRequest

MAX_HEAD_BYTES = 65_536
MAX_FIELDS = 256
MAX_TRAILER_BYTES = 65_536
MAX_INTERIM_REPLIES = 16
# The most that one read takes, and so the most that is held of a reply nobody takes yet.
READ_BYTES = 65_536


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

    def __init__(self, connection: "Connection", method: str) -> None:
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
            self._connection.release(self._reusable())
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
            self._trailer_bytes += len(name) + len(value)
            if self._trailer_bytes > MAX_TRAILER_BYTES:
                self._refuse("its trailer is too long")
            return
        self._fields.append((name, value))
        if len(self._fields) > MAX_FIELDS:
            raise UpstreamProtocolError("its head has too many fields")

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
        if self.head_done:
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


class Connection(asyncio.BufferedProtocol):
    """One connection: writes requests, reads their replies, never more than one at a time."""

    def __init__(
        self,
        *,
        buffer: bytearray,
        deadlines: Deadlines,
        idle_seconds: float,
        on_free: Callable[["Connection"], None],
        on_lost: Callable[["Connection"], None],
    ) -> None:
        self.deadlines = deadlines
        self.idle_seconds = idle_seconds
        # Requests answered so far: a connection that served one may have gone stale.
        self.served = 0
        self.idle_since = 0.0
        self._buffer = memoryview(buffer)
        self._on_free = on_free
        self._on_lost = on_lost
        self._transport: asyncio.Transport | None = None
        self._reply: Reply | None = None
        self._ended_cleanly = False
        self._sent = False
        self._reading = True
        self._room: asyncio.Future[None] | None = None
        self._full = False

        # Whether a byte of a reply to the newest request came.
        self.answering = False

    @property
    def open(self) -> bool:
        """Whether a request can still be written."""
        return self._transport is not None and not self._transport.is_closing()

    async def ask(self, request: UpstreamRequest, head: bytes, first_byte_seconds: float) -> Reply:
        """Write a request and return its reply once the head is there."""
        reply = self._reply = Reply(self, request.method)
        self._sent = self.answering = False
        deadline = self.deadlines.watch(
            first_byte_seconds, lambda: reply.expire("no reply in time")
        )
        try:
            if isinstance(request.body, Upload):
                await self._send_upload(request.body, head, reply, deadline, first_byte_seconds)
            else:
                self._write(head + request.body if len(request.body) < READ_BYTES else head)
                if len(request.body) >= READ_BYTES:
                    self._write(request.body)
                self._sent = True
            if not reply.head_done:
                await reply.wait()
        except UpstreamError:
            reply.abort()
            # What ended the reply says more than the write that failed of it.
            raise (reply.error or UpstreamCutError("the connection is closed")) from None
        except BaseException:
            reply.abort()
            raise
        finally:
            deadline.drop()
        return reply

    async def _send_upload(
        self,
        upload: Upload,
        head: bytes,
        reply: Reply,
        deadline: Deadline,
        first_byte_seconds: float,
    ) -> None:
        """Send the body as it comes; stop where the reply comes first (it then ends the connection)."""
        self._write(head)
        sent_bytes = 0
        async for piece in upload.pieces:
            sent_bytes += len(piece)
            if upload.length_bytes is None:
                self._write(b"%x\r\n%b\r\n" % (len(piece), piece))
            elif sent_bytes <= upload.length_bytes:
                self._write(piece)
            # The clock for the reply starts when the body is sent: until then each piece has its own time.
            deadline.extend(self.idle_seconds)
            await self._has_room()
            if reply.head_done:
                return
        deadline.extend(first_byte_seconds)
        if upload.length_bytes is None:
            self._write(b"0\r\n\r\n")
        elif sent_bytes != upload.length_bytes:
            raise UpstreamCutError("the upload has not the length that it announced")
        self._sent = True

    async def _has_room(self) -> None:
        if self._full and self._transport is not None:
            self._room = asyncio.get_running_loop().create_future()
            try:
                await self._room
            finally:
                self._room = None

    def _write(self, data: bytes) -> None:
        transport = self._transport
        if transport is None or transport.is_closing():
            raise UpstreamCutError("the connection is closed")
        transport.write(data)

    def release(self, reusable: bool) -> None:
        """End an exchange: back to the pool, or closed."""
        self._reply = None
        self.served += 1
        if reusable and self._sent and self.open:
            self.resume_reading()
            self._on_free(self)
        else:
            self.abort()

    def abort(self) -> None:
        """Close at once; harmless when repeated."""
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.abort()
            self._lost(None)

    def pause_reading(self) -> None:
        """Stop reading; harmless when repeated."""
        if self._reading and self._transport is not None:
            self._reading = False
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Read on; harmless when repeated."""
        if not self._reading and self._transport is not None:
            self._reading = True
            self._transport.resume_reading()

    # asyncio's callbacks

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast(asyncio.Transport, transport)

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - asyncio's signature
        """Return where to read to: all connections of a loop share it, none keeps anything in it."""
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Take what was read; bytes that nobody asked for end the connection."""
        if self._reply is None:
            self.abort()
        else:
            self.answering = True
            self._reply.feed(self._buffer[:nbytes])

    def eof_received(self) -> None:
        """Note that the upstream's end is a clean one."""
        self._ended_cleanly = True

    def connection_lost(self, exc: Exception | None) -> None:
        """End what was in progress."""
        if self._transport is not None:
            self._transport = None
            self._lost(exc)

    def pause_writing(self) -> None:
        """Hold an upload back."""
        self._full = True

    def resume_writing(self) -> None:
        """Let an upload go on."""
        self._full = False
        self._make_room()

    def _make_room(self) -> None:
        if self._room is not None and not self._room.done():
            self._room.set_result(None)

    def _lost(self, exc: Exception | None) -> None:
        reply, self._reply = self._reply, None
        if reply is not None:
            clean = exc is None and self._ended_cleanly
            reply.ended(None if clean else exc or ConnectionResetError("reset"))
        self._make_room()
        self._on_lost(self)


def request_head(request: UpstreamRequest, host: bytes) -> bytes:
    """Return the head of `request` as it goes on the wire, with the framing that its body needs.

    Raises ValueError where a name or a value would break out of its line.
    """
    fields = [b"%b: %b\r\n" % field for field in request.headers]
    fields.append(_framing(request))
    target = request.target.encode("ascii")
    head = b"%b %b HTTP/1.1\r\nHost: %b\r\n%b\r\n" % (
        request.method.encode("ascii"),
        target,
        host,
        b"".join(fields),
    )
    lines = len(request.headers) + 3 + bool(fields[-1])
    if head.count(b"\r") != lines or head.count(b"\n") != lines or b"\0" in head or b" " in target:
        raise ValueError("a header field or the target holds a line end or a NUL")
    return head


def _framing(request: UpstreamRequest) -> bytes:
    if isinstance(request.body, Upload):
        if request.body.length_bytes is None:
            return b"Transfer-Encoding: chunked\r\n"
        return b"Content-Length: %d\r\n" % request.body.length_bytes
    if request.body or request.method in ("POST", "PUT", "PATCH"):
        return b"Content-Length: %d\r\n" % len(request.body)
    return b""


def connect_error(error: OSError) -> UpstreamConnectError:
    """Return what a failed connection is called here."""
    return UpstreamConnectError(f"no connection: {error.strerror or error}")
