"""Time, as everything in the gateway sees it: one protocol, and the real clock behind it.

Nothing else reads the time or starts a timer, so that a test can hand in a clock that it moves itself.
"""

import asyncio
import functools
import time
from collections.abc import Callable
from typing import Protocol


class Timer(Protocol):
    """A call that is still to come."""

    def cancel(self) -> None:
        """Forget the call; harmless after it was made."""


class Clock(Protocol):
    """What time it is, and a way to be called later."""

    def monotonic(self) -> float:
        """Return seconds since an arbitrary start; never steps back."""

    def time(self) -> float:
        """Return seconds since 1970-01-01T00:00Z: for stamps only, it may step."""

    def call_later(self, delay_seconds: float, callback: Callable[[], None]) -> Timer:
        """Run `callback` once, `delay_seconds` from now."""

    async def sleep(self, delay_seconds: float) -> None:
        """Return `delay_seconds` from now."""


class SystemClock:
    """The machine's clock and the running event loop's timers."""

    monotonic = staticmethod(time.monotonic)
    time = staticmethod(time.time)

    def call_later(self, delay_seconds: float, callback: Callable[[], None]) -> Timer:
        """Run `callback` once on the running loop, `delay_seconds` from now."""
        return asyncio.get_running_loop().call_later(delay_seconds, callback)

    async def sleep(self, delay_seconds: float) -> None:
        """Return `delay_seconds` from now."""
        await asyncio.sleep(delay_seconds)


def utc_stamp(seconds: float) -> str:
    """Return a moment, in seconds since 1970, as RFC 3339 writes it in UTC: 2027-01-31T12:00:00.250Z."""
    whole, milliseconds = divmod(round(seconds * 1000), 1000)
    return f"{_to_the_second(whole)}.{milliseconds:03d}Z"


@functools.lru_cache(maxsize=4)
def _to_the_second(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
