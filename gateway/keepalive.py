"""Comments in a stream of events while its upstream is silent, so that nothing between the two takes it for dead."""

import contextlib
from typing import Protocol

from gateway.deadlines import Deadlines
from gateway.downstream import ClientLeftError

# An SSE comment.
KEEPALIVE = b": keep-alive\n\n"


class Client(Protocol):
    """Where a stream is written."""

    @property
    def paused(self) -> bool:
        """Whether the client does not keep up."""

    def comment(self, data: bytes) -> None:
        """Write what is no part of the upstream's reply."""


class Keepalive:
    """Writes a comment between the events of a stream while its upstream is silent."""

    def __init__(self, down: Client, deadlines: Deadlines, seconds: float) -> None:
        self._down = down
        self._deadlines = deadlines
        self._seconds = seconds
        self._now = deadlines.now
        # The end of what was sent: an event ends with an empty line, in any of SSE's three line ends.
        self._tail = b"\n\n"
        self._deadline = deadlines.watch(seconds, self._silent)

    def note(self, data: bytes) -> None:
        """Note what was sent: the silence begins anew."""
        self._tail = data[-4:] if len(data) >= 4 else (self._tail + data)[-4:]
        self._deadline.due = self._now() + self._seconds

    def stop(self) -> None:
        """Write no more."""
        self._deadline.drop()

    def _silent(self) -> None:
        self._deadline = self._deadlines.watch(self._seconds, self._silent)
        if self._tail.endswith((b"\n\n", b"\r\n\r\n", b"\r\r")) and not self._down.paused:
            # A client that left is found by whoever waits for the upstream.
            with contextlib.suppress(ClientLeftError):
                self._down.comment(KEEPALIVE)
