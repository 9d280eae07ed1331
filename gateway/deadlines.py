"""All deadlines of the gateway behind one coarse timer: watching a wait costs a dict entry, not a timer each."""

from collections.abc import Callable

from gateway.clock import Clock, Timer

# How late a deadline may fire, in seconds.
RESOLUTION_SECONDS = 0.05


class Deadline:
    """One watched wait: move it while bytes come, drop it when the wait is over."""

    __slots__ = ("_deadlines", "due", "on_expire")

    def __init__(self, deadlines: "Deadlines", due: float, on_expire: Callable[[], None]) -> None:
        self._deadlines = deadlines
        self.due = due
        self.on_expire = on_expire

    def extend(self, seconds: float) -> None:
        """Fall due `seconds` from now instead."""
        self.due = self._deadlines.now() + seconds

    def drop(self) -> None:
        """Stop watching; harmless when repeated or after it fired."""
        self._deadlines.discard(self)


class Deadlines:
    """The sweeper: looks at every watched wait some twenty times a second, and sleeps while there is none."""

    def __init__(self, clock: Clock) -> None:
        self.now = clock.monotonic
        self._clock = clock
        self._watched: dict[Deadline, None] = {}
        self._timer: Timer | None = None

    def __len__(self) -> int:
        return len(self._watched)

    def watch(self, seconds: float, on_expire: Callable[[], None]) -> Deadline:
        """Call `on_expire` once, `seconds` from now, unless the deadline is dropped or extended before."""
        deadline = Deadline(self, self.now() + seconds, on_expire)
        self._watched[deadline] = None
        if self._timer is None:
            self._timer = self._clock.call_later(RESOLUTION_SECONDS, self._sweep)
        return deadline

    def discard(self, deadline: Deadline) -> None:
        """Forget a deadline; harmless when it is not there."""
        self._watched.pop(deadline, None)
        if not self._watched and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _sweep(self) -> None:
        now = self.now()
        self._timer = None
        try:
            for deadline in [d for d in self._watched if d.due <= now]:
                # One that fires may drop or extend others.
                if deadline in self._watched and deadline.due <= now:
                    del self._watched[deadline]
                    deadline.on_expire()
        finally:
            if self._watched and self._timer is None:
                self._timer = self._clock.call_later(RESOLUTION_SECONDS, self._sweep)
