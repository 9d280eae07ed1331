"""A clock that stands still until a test moves it."""

import asyncio
import heapq
import itertools
from collections.abc import Callable


class FakeTimer:
    """A call that a `FakeClock` will make."""

    def __init__(self, callback: Callable[[], None]) -> None:
        self.callback: Callable[[], None] | None = callback

    def cancel(self) -> None:
        """Forget the call."""
        self.callback = None


class FakeClock:
    """Time that passes only by `advance`; timers fire in order on the way."""

    def __init__(self, start: float = 1_800_000_000.0) -> None:
        self._now = start
        self._epoch = 0.0
        self._order = itertools.count()
        self._timers: list[tuple[float, int, FakeTimer]] = []

    def monotonic(self) -> float:
        """Return the seconds advanced so far, from an arbitrary start."""
        return self._now

    def time(self) -> float:
        """Return the same, moved by `step`."""
        return self._now + self._epoch

    def step(self, seconds: float) -> None:
        """Let the wall clock jump; monotonic time does not notice."""
        self._epoch += seconds

    def call_later(self, delay_seconds: float, callback: Callable[[], None]) -> FakeTimer:
        """Remember `callback` for `advance`."""
        timer = FakeTimer(callback)
        heapq.heappush(self._timers, (self._now + delay_seconds, next(self._order), timer))
        return timer

    async def sleep(self, delay_seconds: float) -> None:
        """Wait until `advance` has gone that far; for no time at all it is only everybody else's turn."""
        if delay_seconds <= 0:
            await asyncio.sleep(0)
            return
        done = asyncio.Event()
        self.call_later(delay_seconds, done.set)
        await done.wait()

    @property
    def pending(self) -> int:
        """How many timers are still to fire."""
        return sum(1 for *_, timer in self._timers if timer.callback is not None)

    def advance(self, seconds: float) -> None:
        """Move time on, firing what falls due on the way."""
        end = self._now + seconds
        while self._timers and self._timers[0][0] <= end:
            due, _, timer = heapq.heappop(self._timers)
            self._now = max(self._now, due)
            if timer.callback is not None:
                timer.callback()
        self._now = end
