"""The stream of events: one look at the board a second for all viewers, and none where nobody looks.

A viewer that does not read is let go; what is held for it is bounded.
"""

import asyncio
import json
from collections.abc import Callable, Mapping
from typing import Protocol

from gateway.clock import Clock, Timer
from gateway.status.history import POINT_SECONDS

# How often a page is told something new.
TELL_SECONDS = 1.0
MAX_VIEWERS = 20
# Events that wait for a viewer that does not read; one more and it is let go.
MAX_BEHIND = 5


class Board(Protocol):
    """What is shown."""

    def sample(self) -> None:
        """Note the counters of now where the last note is old enough."""

    def whole(self) -> Mapping[str, object]:
        """Return all there is, for a page that was just opened."""

    def news(self) -> Mapping[str, object]:
        """Return the figures of now, and what was added since it was asked last."""


class Viewer:
    """One open page."""

    def __init__(self, cut: Callable[[], None]) -> None:
        """`cut` ends the viewer's connection at once."""
        self.cut = cut
        self._events: asyncio.Queue[bytes | None] = asyncio.Queue(MAX_BEHIND)

    async def next(self) -> bytes | None:
        """Return the next event; None: there will be none."""
        return await self._events.get()

    def tell(self, event: bytes | None) -> bool:
        """Take an event, or cut the connection where too many wait; return whether it was taken."""
        try:
            self._events.put_nowait(event)
        except asyncio.QueueFull:
            self.cut()
            return False
        return True


class Feed:
    """Tells all viewers of one board."""

    def __init__(self, board: Board, clock: Clock) -> None:
        self._board = board
        self._clock = clock
        self._viewers: set[Viewer] = set()
        self._timer: Timer | None = None
        self._closed = False

    def __len__(self) -> int:
        return len(self._viewers)

    def start(self) -> None:
        """Begin to note the counters now and then, so that a page has a past when it is opened."""
        self._look()

    def close(self) -> None:
        """End every stream, and take no more viewers."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for viewer in self._viewers:
            # Also one that hangs in the middle of an event: nobody waits for it.
            viewer.tell(None)
            viewer.cut()
        self._viewers.clear()

    def join(self, cut: Callable[[], None]) -> Viewer | None:
        """Return a viewer that has been told all; None: there are too many."""
        if self._closed or len(self._viewers) >= MAX_VIEWERS:
            return None
        viewer = Viewer(cut)
        self._board.sample()
        viewer.tell(event("whole", self._board.whole()))
        self._viewers.add(viewer)
        if len(self._viewers) == 1:
            self._wait()
        return viewer

    def leave(self, viewer: Viewer) -> None:
        """Forget a viewer; harmless when repeated."""
        self._viewers.discard(viewer)

    def _look(self) -> None:
        self._wait()
        self._board.sample()
        if self._viewers:
            self._tell(event("news", self._board.news()))

    def _wait(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        wait = TELL_SECONDS if self._viewers else POINT_SECONDS
        self._timer = self._clock.call_later(wait, self._look)

    def _tell(self, told: bytes | None) -> None:
        self._viewers = {viewer for viewer in self._viewers if viewer.tell(told)}


def event(name: str, data: Mapping[str, object]) -> bytes:
    """Return one event as it stands on the wire (WHATWG HTML, 9.2.5)."""
    # ASCII without line breaks, whatever names hold.
    return f"event: {name}\ndata: {json.dumps(data, separators=(',', ':'))}\n\n".encode()
