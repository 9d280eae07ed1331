"""One connection to an upstream: writes requests, hands what is read to the reply in progress, one at a time.

How a reply is read is `reply.py`'s, which connection takes a request `pool.py`'s.
"""

import asyncio
from collections.abc import Callable
from typing import cast

from gateway.deadlines import Deadline, Deadlines
from gateway.errors import UpstreamConnectError, UpstreamCutError, UpstreamError
from gateway.transport.reply import Reply
from gateway.types import Upload, UpstreamRequest

# The most that one read takes, and so the most that is held of a reply nobody takes yet.
READ_BYTES = 65_536


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
            if reply.head_done:
                return
            sent_bytes += len(piece)
            if upload.length_bytes is None:
                self._write(b"%x\r\n%b\r\n" % (len(piece), piece))
            elif sent_bytes <= upload.length_bytes:
                self._write(piece)
            # The clock for the reply starts when the body is sent: until then each piece has its own time.
            deadline.extend(self.idle_seconds)
            await self._has_room()
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

    def release(self, *, reusable: bool) -> None:
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
