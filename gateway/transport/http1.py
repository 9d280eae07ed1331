"""One connection to an upstream: requests go out, replies come in, one at a time: HTTP/1.1 over asyncio.

Bytes are judged by `framing.py` and handed on by `reply.py` in the same turn of the loop. Which connection takes a
request is `pool.py`'s.
"""

import asyncio
import math
import select
import socket
from collections.abc import Callable
from typing import Protocol, cast

from gateway.deadlines import Deadlines
from gateway.errors import UpstreamCutError, UpstreamTimeoutError
from gateway.transport.reply import Reply
from gateway.types import Upload

# The most that one read takes, and so the most that is held of a reply nobody takes yet.
READ_BYTES = 65_536

# How much of a stalled stream TLS holds: above the first it stops reading, below the second it goes on. Either is more
# than a record (16 KiB and its rim), of which a part can wait for the rest.
_TLS_HIGH_BYTES = 65_536
_TLS_LOW_BYTES = 32_768

# Scheme, host, port.
Origin = tuple[str, str, int]


class _TlsTransport(Protocol):
    """What a transport under TLS can do beside."""

    def set_read_buffer_limits(self, high: int, low: int) -> None:
        """Say how much encrypted data is kept while reading is paused."""


class Connection(asyncio.BufferedProtocol):
    """One connection: writes requests, reads their replies, never more than one at a time.

    It exists, and counts, before it is connected: `transport` None and `served` 0.
    """

    def __init__(
        self,
        origin: Origin,
        *,
        buffer: memoryview,
        deadlines: Deadlines,
        idle_seconds: float,
        on_free: Callable[["Connection", int | None], None],
        on_lost: Callable[["Connection"], None],
    ) -> None:
        self.origin = origin
        # Requests answered so far: a connection that served one may have gone stale.
        self.served = 0
        # Whether a byte of a reply to the newest request came.
        self.answering = False
        self._buffer = buffer
        self._deadlines = deadlines
        self._idle_seconds = idle_seconds
        self._on_free = on_free
        self._on_lost = on_lost
        self._transport: asyncio.Transport | None = None
        # One deadline for the connection's life, moved as what is waited for changes.
        self._deadline = deadlines.watch(math.inf, self._expired)
        self._poll = select.poll()
        self._reply: Reply | None = None
        self._sent = False
        self._reading = True
        self._ended_in_order = False
        self._full = False
        self._room: asyncio.Future[None] | None = None

    @property
    def open(self) -> bool:
        """Whether a request can be written."""
        return self._transport is not None and not self._transport.is_closing()

    @property
    def quiet(self) -> bool:
        """Whether the upstream has neither closed it nor sent anything that is still to be read.

        Asked of the kernel: what lies there before a request is sent is no reply to it.
        """
        transport = self._transport
        return transport is not None and not transport.is_closing() and not self._poll.poll(0)

    def begin(self, method: str, until: float) -> Reply:
        """Return what will be the reply to a request that is about to be sent, its head there by `until`."""
        reply = self._reply = Reply(self, method)
        self._sent = self.answering = False
        self._deadline.due = until
        if self._transport is None:
            reply.fail(UpstreamCutError("the connection is closed"))
        return reply

    def send(self, head: bytes, body: bytes) -> None:
        """Send a request, unless the connection is closing: then `connection_lost` tells."""
        transport = self._transport
        if transport is not None and not transport.is_closing():
            if len(body) < READ_BYTES:
                transport.write(head + body)
            else:
                transport.write(head)
                transport.write(body)
        self._sent = True

    async def send_upload(self, upload: Upload, head: bytes, reply: Reply, until: float) -> None:
        """Send an upload; stop where its reply comes first, or will not come (RFC 9112, 9.5).

        Its client sets the pace: what remains of the time until `until` begins when it is sent.
        Raises UpstreamCutError, UpstreamTimeoutError; and what the upload's pieces raise.
        """
        loop = asyncio.get_running_loop()
        sending = asyncio.timeout(None)  # noqa: TID251 - not for the time: it can be ended from outside
        try:
            async with sending:
                reply.on_news = lambda: sending.reschedule(loop.time())
                await self._send(upload, head, until)
        except TimeoutError:
            if not sending.expired():
                raise
        finally:
            reply.on_news = None

    async def _send(self, upload: Upload, head: bytes, until: float) -> None:
        left_seconds = until - self._deadlines.now()
        self._write(head)
        left_bytes = upload.length_bytes
        self.due_at(math.inf)
        async for piece in upload.pieces:
            if not piece:
                continue
            if left_bytes is None:
                self._write(b"%x\r\n%b\r\n" % (len(piece), piece))
            else:
                left_bytes -= len(piece)
                if left_bytes < 0:
                    break
                self._write(piece)
            await self._has_room()
        if left_bytes:
            raise UpstreamCutError("the upload has not the length that it announced")
        if left_bytes is None:
            self._write(b"0\r\n\r\n")
        self._sent = True
        self.due_at(self._deadlines.now() + left_seconds)

    async def _has_room(self) -> None:
        """Return when more can be written; an upstream that stands still meanwhile has `idle_seconds`."""
        if self._full:
            self._room = asyncio.get_running_loop().create_future()
            self.due_in_idle_seconds()
            try:
                await self._room
            finally:
                self._room = None
            self.due_at(math.inf)

    def _write(self, data: bytes) -> None:
        """Write, unless the connection is closing: then `connection_lost` tells."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def release(self, *, reusable: bool, keepalive_seconds: int | None) -> None:
        """End an exchange: back to the pool, or closed.

        A reply may come before its request's end, which would belong to nothing.
        """
        self._reply = None
        self.served += 1
        transport = self._transport
        if (
            reusable
            and self._sent
            and transport is not None
            and not transport.is_closing()
            and not transport.get_write_buffer_size()
        ):
            if not self._reading:
                self.resume_reading()
            self._on_free(self, keepalive_seconds)
        else:
            self.abort()

    def abort(self) -> None:
        """Close at once; harmless when repeated."""
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.abort()
        self._lost(None)

    # What is waited for

    def due_at(self, when: float) -> None:
        """Give the upstream until `when`, in monotonic seconds."""
        self._deadline.due = when

    def due_in_idle_seconds(self) -> None:
        """Give the upstream its longest pause, from now."""
        self._deadline.due = self._deadlines.now() + self._idle_seconds

    def _expired(self) -> None:
        if self._reply is None:
            self.abort()
        elif self._reply.head_done:
            self._reply.fail(UpstreamTimeoutError("the reply stands still"))
        else:
            self._reply.fail(UpstreamTimeoutError("no reply in time"))

    def pause_reading(self) -> None:
        """Stop reading; harmless when repeated."""
        if self._reading and self.open:
            self._reading = False
            cast(asyncio.Transport, self._transport).pause_reading()

    def resume_reading(self) -> None:
        """Read on; harmless when repeated."""
        if not self._reading and self.open:
            self._reading = True
            cast(asyncio.Transport, self._transport).resume_reading()

    # asyncio's callbacks

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast(asyncio.Transport, transport)
        kernel_socket: socket.socket = transport.get_extra_info("socket")
        self._poll.register(kernel_socket.fileno(), select.POLLIN)
        bound_tls(transport)

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - asyncio's signature
        """Return where to read to: all connections of a pool share it, and none keeps anything in it."""
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Take what was read; bytes that nobody asked for end the connection."""
        if self._reply is None:
            self.abort()
        else:
            self.answering = True
            self._reply.take(self._buffer[:nbytes])

    def eof_received(self) -> None:
        """Note that the upstream ended in order: by FIN, under TLS by close_notify."""
        self._ended_in_order = True

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
        if self._room is not None and not self._room.done():
            self._room.set_result(None)

    def _lost(self, exc: Exception | None) -> None:
        self._deadline.drop()
        reply, self._reply = self._reply, None
        if reply is not None:
            in_order = exc is None and self._ended_in_order
            reply.ended(None if in_order else exc or ConnectionResetError("reset"))
        self._on_lost(self)


def bound_tls(transport: asyncio.BaseTransport) -> None:
    """Bound what TLS holds of a stalled stream; do nothing without TLS."""
    if transport.get_extra_info("sslcontext") is not None:
        tls = cast(_TlsTransport, transport)
        tls.set_read_buffer_limits(high=_TLS_HIGH_BYTES, low=_TLS_LOW_BYTES)
