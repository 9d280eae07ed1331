"""The listener's own rules: what holds for a client's connection before, between and after its calls.

aiohttp's low-level server parses and keeps connections; here are the deadline for a request's head, parser errors in
OpenAI's shape, back-pressure towards whoever produces a reply, and closing in order. What a call means is `handler.py`.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final

from aiohttp import EMPTY_PAYLOAD, StreamReader, web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http import RawRequestMessage
from aiohttp.http_exceptions import LineTooLong
from aiohttp.web_protocol import _ErrInfo
from yarl import URL

from gateway.deadlines import Deadline, Deadlines
from gateway.downstream import BadFramingError, RawReply, error_reply
from gateway.errors import GatewayError, InvalidRequestError
from gateway.types import Headers

MAX_LINE_BYTES = 65_536
MAX_HEADERS = 256
# Of a request's head as a whole (nginx's four buffers of 8 KiB hold half of it); besides, what one read brings.
MAX_HEAD_BYTES = 65_536
# How long what is left of a refused body is read and dropped, so that the client can read the refusal.
LINGER_SECONDS = 5.0

# aiohttp logs parser errors with the request's own bytes, keys and prompts included: nothing of that is kept.
_SILENT = logging.getLogger("gateway.aiohttp")
_SILENT.addHandler(logging.NullHandler())
_SILENT.propagate = False

Handle = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class ClientConnection(web.RequestHandler):
    """One client's connection."""

    __slots__ = (
        "_body",
        "_head_bytes",
        "_head_deadline",
        "_more_seen",
        "_refused",
        "_server",
        "on_pause",
        "on_resume",
    )

    def __init__(self, server: "DataServer", **kwargs: Any) -> None:
        super().__init__(server, **kwargs)
        self._server = server
        self._head_deadline: Deadline | None = None
        # The body of the call in progress; None between calls.
        self._body: StreamReader | None = None
        self._more_seen = False
        # What was read since a head began, while it is not whole.
        self._head_bytes = 0
        # Nothing more is read of a client whose head had no end.
        self._refused = False
        # Told when the client stops and starts to keep up with what is written.
        self.on_pause: Callable[[], None] | None = None
        self.on_resume: Callable[[], None] | None = None

    @property
    def idle(self) -> bool:
        """Whether no call is in progress, or about to be."""
        return self._body is None and not self._messages

    @property
    def draining(self) -> bool:
        """Whether no further call is to come."""
        return self._server.draining

    def begin(self, body: StreamReader) -> None:
        """Note that a request's head is whole and its call begins."""
        self._body = body
        self._drop_head_deadline()

    async def start(self) -> None:
        """Serve the connection's calls; a failure of that itself ends it, since nobody else would."""
        try:
            await super().start()
        except Exception:
            if self.transport is not None:
                self.transport.abort()
            raise

    def data_received(self, data: bytes) -> None:
        """Parse what came; a head that has begun must be whole within its deadline."""
        body = self._body
        if body is None:
            if self._head_deadline is None and len(data) <= MAX_HEAD_BYTES:
                super().data_received(data)
                self._head_bytes = 0 if self._messages else len(data)
            else:
                self._take(data)
            # A head that came whole begins a call at once.
            if data and self._head_deadline is None and not self._messages:
                self._watch_head()
            return
        # aiohttp calls with nothing when it reads on.
        if data and body.is_eof():
            self._more_seen = True
        self._take(data)
        # No request can follow a body that is not over: what is queued now is a parser's error. aiohttp would
        # tell the reader of the body nothing.
        if not body.is_eof() and self._messages:
            body.set_exception(BadFramingError())

    def _take(self, data: bytes) -> None:
        """Parse, and refuse a head that is too large, whole or not (431)."""
        if self._refused:
            return
        before = len(self._messages)
        payload = self._messages[-1][1] if self._messages else self._body
        self._head_bytes = (
            self._head_bytes + len(data) if payload is None or payload.is_eof() else 0
        )
        super().data_received(data)
        heads_came = len(self._messages) > before
        if self._head_bytes > MAX_HEAD_BYTES:
            if not heads_came:
                self._refused = True
                self._messages.append(_TOO_LARGE)
                if self._waiter is not None and not self._waiter.done():
                    self._waiter.set_result(None)
            for at in range(before, len(self._messages)):
                if _head_size(self._messages[at][0]) > MAX_HEAD_BYTES:
                    self._messages[at] = _TOO_LARGE
        if heads_came:
            self._head_bytes = 0

    def eof_received(self) -> None:
        """Treat a client that stops sending in the middle of its call as one that left, as nginx does."""
        if self._body is not None and self.transport is not None:
            self.transport.abort()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Let aiohttp cancel the call in progress."""
        self._drop_head_deadline()
        self.on_pause = self.on_resume = None
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """Hold back whoever produces the reply."""
        super().pause_writing()
        if self.on_pause is not None:
            self.on_pause()

    def resume_writing(self) -> None:
        """Let the reply come again."""
        super().resume_writing()
        if self.on_resume is not None:
            self.on_resume()

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """End a call; its reply is taken, but for what fits a connection's buffer, before another one begins."""
        try:
            ended = await super().finish_response(request, resp, start_time)
            if self.writing_paused:
                await self._taken()
            return ended
        finally:
            self._body = None
            self.on_pause = self.on_resume = None
            if not resp.keep_alive:
                self._watch_last_bytes()
            if self._server.draining:
                self.close()
            if self._more_seen:
                self._more_seen = False
                self._watch_head()

    def handle_error(
        self,
        request: web.BaseRequest,  # noqa: ARG002 - aiohttp's signature
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer what the parser could not read in OpenAI's shape; cut what escaped from a handler."""
        if status >= 500:
            # Failures are told before they get here: this one may have come after a reply.
            if self.transport is not None:
                self.transport.abort()
            return RawReply()
        if isinstance(exc, LineTooLong) or "many" in (message or ""):
            error = InvalidRequestError(
                "The request's header fields are too large.", code="headers_too_large", status=431
            )
        else:
            error = InvalidRequestError(
                "The request could not be read: it breaks HTTP's syntax.", code="invalid_http"
            )
        return self._server.refuse(error)

    def force_close(self) -> None:
        """Close, once the client has taken what is written."""
        self._drop_head_deadline()
        self._watch_last_bytes()
        super().force_close()

    async def _taken(self) -> None:
        transport = self.transport
        if transport is None:
            return
        deadline = self._server.deadlines.watch(self._server.keepalive_seconds, transport.abort)
        try:
            await self._drain_helper()
        finally:
            deadline.drop()

    def _watch_last_bytes(self) -> None:
        # Closing waits for the client to take what is written: one that never does would hold the socket for ever.
        transport = self.transport
        if transport is None or transport.is_closing() or not transport.get_write_buffer_size():
            return
        self._server.deadlines.watch(self._server.keepalive_seconds, transport.abort)

    def _watch_head(self) -> None:
        self._head_deadline = self._server.deadlines.watch(
            self._server.header_seconds, self._head_too_slow
        )

    def _drop_head_deadline(self) -> None:
        if self._head_deadline is not None:
            self._head_deadline.drop()
            self._head_deadline = None

    def _head_too_slow(self) -> None:
        self._head_deadline = None
        # The rest of a refused body is no head.
        if self.transport is None or not self.idle or not self._keepalive:
            return
        error = InvalidRequestError(
            "The request's head did not arrive in time.", code="request_timeout", status=408
        )
        self.transport.write(self._server.refusal(error))
        self.force_close()


# What aiohttp's own parser queues for a head that it refuses.
_TOO_LARGE: Final = (
    _ErrInfo(status=400, exc=LineTooLong(b"", MAX_HEAD_BYTES), message=""),
    EMPTY_PAYLOAD,
)


def _head_size(message: RawRequestMessage | _ErrInfo) -> int:
    """Return the size of a request's head in bytes, line ends and the like left out."""
    if isinstance(message, _ErrInfo):
        return 0
    return len(message.path or "") + sum(
        len(name) + len(value) for name, value in message.raw_headers
    )


class DataServer(web.Server):
    """The factory and register of the client connections of one listener."""

    def __init__(
        self,
        handle: Handle,
        *,
        deadlines: Deadlines,
        header_seconds: float,
        keepalive_seconds: float,
        on_parser_error: Callable[[GatewayError], Headers],
    ) -> None:
        super().__init__(handle, request_factory=self._begin, handler_cancellation=True)
        self.deadlines = deadlines
        self.header_seconds = header_seconds
        self.keepalive_seconds = keepalive_seconds
        self.draining = False
        self._on_parser_error = on_parser_error

    def __call__(self) -> ClientConnection:
        """Return the protocol of a new connection."""
        return ClientConnection(
            self,
            loop=asyncio.get_running_loop(),
            keepalive_timeout=self.keepalive_seconds,
            access_log=None,
            logger=_SILENT,
            max_line_size=MAX_LINE_BYTES,
            max_field_size=MAX_LINE_BYTES,
            max_headers=MAX_HEADERS,
            lingering_time=LINGER_SECONDS,
            auto_decompress=False,
        )

    def refuse(self, error: GatewayError) -> web.StreamResponse:
        """Answer a request that never became a call."""
        return RawReply(self.refusal(error))

    def refusal(self, error: GatewayError) -> bytes:
        """Count a request that never became a call; return what its client is told."""
        head, body = error_reply(error, self._on_parser_error(error), close=True)
        return head + body

    def drain(self) -> None:
        """Close the connections on which no call is in progress, and from now on the others after their call."""
        self.draining = True
        for connection in self.connections:
            if isinstance(connection, ClientConnection) and connection.idle:
                connection.force_close()

    def held_bytes(self) -> list[int]:
        """Return the size of what waits to be taken by each client, in bytes."""
        transports = [c.transport for c in self.connections if c.transport is not None]
        return [transport.get_write_buffer_size() for transport in transports]

    def abort_all(self) -> None:
        """Cut every connection: what is not whole by now must not look whole."""
        for connection in self.connections:
            if connection.transport is not None:
                connection.transport.abort()

    def _begin(
        self,
        message: RawRequestMessage,
        payload: StreamReader,
        protocol: web.RequestHandler,
        writer: AbstractStreamWriter,
        task: "asyncio.Task[None]",
    ) -> web.BaseRequest:
        if isinstance(protocol, ClientConnection):
            protocol.begin(payload)
        if message.path is None:
            # What aiohttp makes of CONNECT with nothing behind it: it has no target to be found.
            message = message._replace(path="", url=URL())
        return web.BaseRequest(message, payload, protocol, writer, task, asyncio.get_running_loop())
