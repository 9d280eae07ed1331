"""One client's connection: requests come in, one call at a time is served, and it ends in order.

Here are the deadlines of what a client sends between calls, back-pressure both ways, and the end of a connection. What
bytes mean is `head.py`'s and `body.py`'s; what a call is, `serve`'s.
"""

import asyncio
import enum
import logging
import math
import socket
from collections.abc import Awaitable, Callable
from typing import Protocol, cast

from gateway.deadlines import Deadlines
from gateway.errors import GatewayError, InvalidRequestError, whereabouts
from gateway.listener.body import Body
from gateway.listener.head import MAX_HEAD_BYTES, HeadReader, Request, too_large

# What a client may send ahead of its turn before it has to wait.
MAX_AHEAD_BYTES = 65_536
# The most that one read takes: what it brings, chunks of a byte each, is parsed in one turn of the loop.
READ_BYTES = 65_536
# How long what a client still sends behind the last reply is read and dropped: a connection that is closed under unread
# bytes is reset, and the reply would be lost with it.
LINGER_SECONDS = 5.0

log = logging.getLogger(__name__)


class Phase(enum.Enum):
    """What a connection waits for."""

    REQUEST = "a request"
    HEAD = "the rest of a head"
    CALL = "the end of a call"
    READER = "its client to take a reply"
    LAST_BYTES = "the client's end"
    CLOSING = "its own end"


class Rules(Protocol):
    """What holds for all connections of a listener."""

    deadlines: Deadlines
    heads: HeadReader
    # Where all connections read to, one after the other: nothing is kept in it.
    buffer: memoryview
    connections: "set[Connection]"
    header_seconds: float
    keepalive_seconds: float
    draining: bool
    # Answers a call; says whether the connection may stay.
    serve: "Callable[[Request, Connection], Awaitable[bool]]"
    # Counts a request that never became a call; gives what its client is told.
    refusal: Callable[[GatewayError], bytes]


class Connection(asyncio.BufferedProtocol):
    """One connection."""

    __slots__ = (
        "_ahead",
        "_at",
        "_deadline",
        "_loop",
        "_phase",
        "_reading",
        "_request",
        "_room",
        "_task",
        "_waiter",
        "on_pause",
        "on_resume",
        "rules",
        "transport",
        "writing_paused",
    )

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        # None: the connection is gone.
        self.transport: asyncio.Transport | None = None
        self.writing_paused = False
        # Told when the client stops and starts to keep up with what is written.
        self.on_pause: Callable[[], None] | None = None
        self.on_resume: Callable[[], None] | None = None
        self._loop = asyncio.get_running_loop()
        self._phase = Phase.REQUEST
        # One deadline for the connection's life, moved as what is waited for changes.
        self._deadline = rules.deadlines.watch(rules.keepalive_seconds, self._expired)
        # What came and was not looked at yet: from `_at` on.
        self._ahead = b""
        self._at = 0
        self._reading = True
        # The call in progress.
        self._request: Request | None = None
        self._task: asyncio.Task[None] | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._room: asyncio.Future[None] | None = None

    # asyncio's callbacks

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self.transport = cast(asyncio.Transport, transport)
        self.rules.connections.add(self)
        kernel_socket: socket.socket = transport.get_extra_info("socket")
        # Who is gone without a word is found out in the end.
        kernel_socket.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - asyncio's signature
        """Return where to read to."""
        return self.rules.buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Take what was read."""
        self.received(bytes(self.rules.buffer[:nbytes]))

    def received(self, data: bytes) -> None:
        """Take what came: a request, more of the body of the one in progress, or what has to wait for its turn."""
        request = self._request
        if request is None:
            if self._phase is Phase.LAST_BYTES or self._phase is Phase.CLOSING:
                return
            known_bytes = len(self._ahead)
            self._take(self._ahead + data if known_bytes else data, 0, known_bytes)
            return
        rest = request.rest
        if rest is not None and not rest.complete:
            data = rest.feed(data)
            if not data:
                return
        self._ahead, self._at = self._ahead[self._at :] + data, 0
        if len(self._ahead) > MAX_AHEAD_BYTES:
            self.pause_reading()

    def eof_received(self) -> None:
        """Treat a client that stops sending in the middle of its call as one that left, as nginx does."""
        if self._request is not None:
            self.abort()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """End the call in progress."""
        self.transport = None
        self._deadline.drop()
        self.rules.connections.discard(self)
        self.on_pause = self.on_resume = None
        if self._task is not None:
            self._task.cancel()

    def pause_writing(self) -> None:
        """Hold back whoever produces the reply."""
        self.writing_paused = True
        if self.on_pause is not None:
            self.on_pause()

    def resume_writing(self) -> None:
        """Let the reply come again."""
        self.writing_paused = False
        if self.on_resume is not None:
            self.on_resume()
        if self._room is not None and not self._room.done():
            self._room.set_result(None)

    # Between calls

    def _take(self, data: bytes, at: int, known_bytes: int) -> None:
        """Begin the request that stands in `data` from `at` on; of it `known_bytes` were looked at before."""
        while data.startswith(b"\r\n", at):  # RFC 9112, 2.2
            at += 2
        end = data.find(b"\r\n\r\n", max(at, known_bytes - 3))
        try:
            if end < 0:
                self._keep(data[at:], known_bytes)
                return
            if end - at > MAX_HEAD_BYTES:
                raise too_large()
            request = self.rules.heads.read(data[at:end])
        except InvalidRequestError as error:
            self._refuse(error)
            return
        end += 4
        length = request.length_bytes
        self._ahead = b""
        if length == 0:
            stop = end
        elif length is not None and len(data) - end >= length:
            stop = end + length
            request.body = data[end:stop]
        else:
            request.rest = Body(length, self)
            data, stop = request.rest.feed(data[end:]), 0
        if len(data) > stop:
            self._ahead, self._at = data, stop
        self._begin(request)

    def _keep(self, beginning: bytes, known_bytes: int) -> None:
        """Wait for the rest of a head. Raises InvalidRequestError."""
        self.rules.heads.check_beginning(beginning, known_bytes)
        self._ahead, self._at = beginning, 0
        # Empty lines alone begin nothing: old clients send one behind a body, and are owed no 408 for it.
        if beginning and self._phase is not Phase.HEAD:
            self._wait(Phase.HEAD, self.rules.header_seconds)

    def _begin(self, request: Request) -> None:
        self._request = request
        self._phase = Phase.CALL
        self._deadline.due = math.inf
        waiter, self._waiter = self._waiter, None
        if waiter is not None:
            if not waiter.done():
                waiter.set_result(None)
        elif self._task is None:
            self._task = self._loop.create_task(self._serve())

    def _wait(self, phase: Phase, seconds: float) -> None:
        self._phase = phase
        self._deadline.due = self.rules.deadlines.now() + seconds

    def _expired(self) -> None:
        phase = self._phase
        self._deadline = self.rules.deadlines.watch(math.inf, self._expired)
        if phase is Phase.HEAD:
            self._refuse(
                InvalidRequestError(
                    "The request's head did not arrive in time.", code="request_timeout", status=408
                )
            )
        elif phase is Phase.REQUEST or phase is Phase.LAST_BYTES:
            self.close()
        else:
            self.abort()

    # Calls

    async def _serve(self) -> None:
        """Serve the connection's calls; a failure of that itself ends it, since nobody else would."""
        try:
            while self._request is not None:
                stays = await self.rules.serve(self._request, self)
                if self.writing_paused:
                    # What is written is taken, but for what fits the connection's buffer, before another call begins.
                    self._wait(Phase.READER, self.rules.keepalive_seconds)
                    await self.drained()
                if self._next(stays=stays):
                    self._waiter = self._loop.create_future()
                    await self._waiter
                elif self._request is not None:
                    # One of many that came at once: other clients have their turn before it.
                    await asyncio.sleep(0)  # noqa: TID251 - no time is meant to pass
        except Exception as error:  # noqa: BLE001 - the last line: a reply may have been written, none can follow
            fields = {"error": type(error).__name__, "where": whereabouts(error)}
            log.error("internal error", extra={"fields": fields})
            self.abort()
        finally:
            self._task = None

    def _next(self, *, stays: bool) -> bool:
        """End a call, and begin the one behind it, if any; return whether one is to be waited for."""
        request, self._request = self._request, None
        self.on_pause = self.on_resume = None
        rules, transport = self.rules, self.transport
        if transport is None or transport.is_closing() or request is None:
            return False
        whole = request.rest is None or request.rest.complete
        if not stays or not whole or rules.draining:
            if whole and not self._ahead:
                self.close()
            else:
                self._linger()
            return False
        self._phase = Phase.REQUEST
        self._deadline.due = rules.deadlines.now() + rules.keepalive_seconds
        if self._ahead:
            self._take(self._ahead, self._at, 0)
        # A read for each call would let what waits grow without end: most requests are shorter than a read.
        if len(self._ahead) - self._at <= MAX_AHEAD_BYTES:
            self.resume_reading()
        return self._phase is Phase.REQUEST or self._phase is Phase.HEAD

    async def drained(self) -> None:
        """Return when the client has taken what was written, up to the connection's own buffer."""
        if self.writing_paused:
            self._room = self._loop.create_future()
            try:
                await self._room
            finally:
                self._room = None

    def write(self, data: bytes) -> None:
        """Write now; harmless where the client has left."""
        if self.transport is not None and not self.transport.is_closing():
            self.transport.write(data)

    # The end

    @property
    def idle(self) -> bool:
        """Whether no call is in progress."""
        return self._request is None

    def close(self) -> None:
        """Close, once the client has taken what is written; one that never does is cut."""
        transport = self.transport
        if transport is not None and not transport.is_closing():
            self._wait(Phase.CLOSING, self.rules.keepalive_seconds)
            transport.close()

    def abort(self) -> None:
        """Close at once; harmless when repeated."""
        if self.transport is not None:
            self.transport.abort()

    def _refuse(self, error: GatewayError) -> None:
        """Answer what never became a call, and read no further."""
        self.write(self.rules.refusal(error))
        self._linger()

    def _linger(self) -> None:
        """Say that nothing follows, and let the client finish what it sends: it will not be read."""
        self._ahead = b""
        self.resume_reading()
        self._wait(Phase.LAST_BYTES, LINGER_SECONDS)
        if self.transport is not None and not self.transport.is_closing():
            self.transport.write_eof()

    def pause_reading(self) -> None:
        """Let the client wait; harmless when repeated."""
        if self._reading and self.transport is not None and not self.transport.is_closing():
            self._reading = False
            self.transport.pause_reading()

    def resume_reading(self) -> None:
        """Read on; harmless when repeated."""
        if not self._reading and self.transport is not None and not self.transport.is_closing():
            self._reading = True
            self.transport.resume_reading()
