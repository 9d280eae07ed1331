"""One request's reply on its way from a connection to the relay: what `UpstreamReply` promises, over HTTP/1.1.

Nothing is kept of a body but what comes before it is wanted, one read at the most.
"""

import asyncio
import math
from collections.abc import Callable
from typing import Protocol

from gateway.errors import UpstreamCutError, UpstreamError
from gateway.transport import Sink
from gateway.transport.framing import ReplyParser
from gateway.types import Headers


class Wire(Protocol):
    """The connection that a reply comes on."""

    def due_at(self, when: float) -> None:
        """Give the upstream until `when`, in monotonic seconds."""

    def due_in_idle_seconds(self) -> None:
        """Give the upstream its longest pause, from now."""

    def pause_reading(self) -> None:
        """Stop reading; harmless when repeated."""

    def resume_reading(self) -> None:
        """Read on; harmless when repeated."""

    def release(self, *, reusable: bool, keepalive_seconds: int | None) -> None:
        """Note that the reply is whole, and whether another request may follow it."""

    def abort(self) -> None:
        """Close at once."""


class Reply:
    """One request's reply, on its way from a connection to the relay: what `UpstreamReply` promises."""

    # Of the class until they change: one is made for each request.
    status = 0
    reason = b""
    headers: Headers = ()
    length_bytes: int | None = None
    whole: bytes | None = None
    head_done = False
    complete = False
    # What ended the reply before it was whole.
    error: Exception | None = None
    # Called once, when the head came or will not come.
    on_news: Callable[[], None] | None = None
    _early = b""
    _paused = False
    _sink: Sink | None = None
    _waiter: asyncio.Future[None] | None = None

    def __init__(self, wire: Wire, method: str) -> None:
        self._wire = wire
        self._parser = ReplyParser(method)

    # For the relay

    async def copy(self, sink: Sink) -> None:
        """Hand the body to `sink` as it comes, and return when it is whole."""
        try:
            early, self._early = self._early, b""
            if early:
                sink(early)
            if not self.complete:
                self._sink = sink
                self._flow()
                await self.news()
        finally:
            self._sink = None
            self.abort()

    def pause(self) -> None:
        """Stop reading: the client does not keep up, and its own deadline runs."""
        self._paused = True
        self._flow()

    def resume(self) -> None:
        """Read on."""
        self._paused = False
        self._flow()

    def abort(self) -> None:
        """Close the connection at once unless the reply is whole."""
        self.fail(UpstreamCutError("given up"))

    # For the connection

    def news(self) -> asyncio.Future[None]:
        """Return what is done when the head, or then the body, is whole; it raises what ended it."""
        waiter = self._waiter = asyncio.get_running_loop().create_future()
        if self.error is not None:
            waiter.set_exception(self.error)
        return waiter

    def take(self, data: memoryview) -> None:
        """Judge what came, and hand the body's bytes on."""
        parser = self._parser
        sink = self._sink
        try:
            body = parser.feed(data)
            if sink is not None:
                if body:
                    self._wire.due_in_idle_seconds()
                    sink(body)
            else:
                self._take_early(parser, body)
        except Exception as error:  # noqa: BLE001 - what the sink raises comes out of copy(), whatever it is
            self.fail(error)
            return
        if parser.complete and self.error is None:
            self.complete = True
            self._wake()
            self._wire.release(
                reusable=parser.keeps_alive and not parser.surplus,
                keepalive_seconds=parser.keepalive_seconds,
            )

    def ended(self, error: Exception | None) -> None:
        """Take the connection's end; no error: the upstream closed it in order."""
        if error is not None:
            self.fail(
                UpstreamCutError(f"the connection broke: {str(error) or type(error).__name__}")
            )
            return
        try:
            self._parser.ended()
        except UpstreamError as cut:
            self.fail(cut)
        else:
            self.complete = True
            self._wake()

    def fail(self, error: Exception) -> None:
        """End a reply that is not whole, and its connection; harmless when repeated."""
        if not self.complete and self.error is None:
            self.error = error
            self._wake()
            self._wire.abort()

    def _take_early(self, parser: ReplyParser, body: bytes) -> None:
        """Take the head, and keep what came of the body before it is wanted; nothing more is read."""
        if parser.head_done and not self.head_done:
            self.status = parser.status
            self.reason = parser.reason
            self.headers = parser.headers
            self.length_bytes = parser.length_bytes
            self.head_done = True
            if parser.complete:
                self._early = body
                if parser.length_bytes is not None:
                    self.whole = body
                return
            # Nobody waits for the upstream until the body is asked for.
            self._wire.due_at(math.inf)
            self._wake()
        if body:
            self._early += body
            if not parser.complete:
                self._wire.pause_reading()

    def _flow(self) -> None:
        """Read, and watch the upstream, just while both sides are there and the client keeps up."""
        if self.complete or self._sink is None:
            return
        if self._paused:
            self._wire.due_at(math.inf)
            self._wire.pause_reading()
        else:
            self._wire.due_in_idle_seconds()
            self._wire.resume_reading()

    def _wake(self) -> None:
        on_news, self.on_news = self.on_news, None
        if on_news is not None:
            on_news()
        waiter = self._waiter
        if waiter is None or waiter.done():
            return
        if self.error is None:
            waiter.set_result(None)
        else:
            waiter.set_exception(self.error)
