"""State in this process: exact, and as fast as a few dictionary look-ups. Nothing here waits."""

import math
from collections import deque
from collections.abc import Sequence

from gateway.clock import Clock, Timer
from gateway.stores import NEVER, SLOTS, Bucket, Charges, Decision, Refusal

# The least time between two looks for states that are as good as new, and how many are looked at.
MIN_SWEEP_SECONDS = 1.0
MIN_SWEPT = 1000

# How long states of one sort last: the window's seconds, and its slots' (0.0: nothing slides).
Lasts = tuple[float, float]


class Window:
    """What is booked and held in one bucket; slots count from the monotonic clock's start."""

    __slots__ = ("booked", "current", "held", "older", "slot")

    def __init__(self, slot: float) -> None:
        # The latest slot and what is booked in it; where nothing slides, `slot` is the time of birth.
        self.slot = slot
        self.current = 0
        # Earlier slots in order, and what is booked in each; made only when there is one.
        self.older: dict[float, int] | None = None
        # The sum over all slots that count, and what is held beside.
        self.booked = 0
        self.held = 0

    def roll(self, slot: float) -> None:
        """Go on to `slot`, and forget the slots that no longer count."""
        older = self.older
        if self.current or self.held:  # what is held now may still be booked into this slot
            if older is None:
                older = self.older = {}
            older[self.slot] = self.current
        self.slot = slot
        self.current = 0
        while older:
            first = next(iter(older))
            if first >= slot - SLOTS:
                return
            self.booked -= older.pop(first)
        self.older = None

    def book(self, slot: float, amount: int) -> None:
        """Book `amount` in an earlier slot, or nothing where that one has left the window."""
        if slot == self.slot:
            self.current += amount
        elif self.older and slot in self.older:
            self.older[slot] += amount
        else:
            return
        self.booked += amount

    def settle(self, slot: float, held: int, final: int) -> None:
        """End a hold: book what it came to in its slot, and now what goes beyond it."""
        self.held -= held
        if slot == self.slot:
            self.current += final
            self.booked += final
            return
        self.book(slot, min(final, held))
        if final > held:
            self.book(self.slot, final - held)

    def freed_by(self, need: int) -> float | None:
        """Return the slot that has to leave until `need` is free; None: no slot frees that much."""
        for slot, amount in [*(self.older or {}).items(), (self.slot, self.current)]:
            need -= amount
            if need <= 0:
                return slot
        return None

    def last(self) -> float:
        """Return the latest slot with anything in it; what is held may yet be booked in it."""
        if self.current or self.held or not self.older:
            return self.slot
        return max((slot for slot, amount in self.older.items() if amount), default=self.slot)


class MemoryStore:
    """One process's state; what is as good as new is dropped, bit by bit, as time passes."""

    up = True

    def __init__(self, clock: Clock) -> None:
        self.errors: dict[str, int] = {}
        self._clock = clock
        self._now = clock.monotonic
        self._windows: dict[str, Window] = {}
        self._latest_slots: dict[float, float] = {}
        # By how long a state lasts: the keys, in the order in which they are looked at.
        self._sweeps: dict[Lasts, deque[str]] = {}
        self._timers: dict[Lasts, Timer] = {}

    def __len__(self) -> int:
        return len(self._windows)

    async def run(self) -> None:
        """Return: there is nothing to do beside the calls."""

    async def take(self, charges: Charges) -> Decision:
        """Take every charge, or none; never suspends."""
        return self.take_now(charges)

    def take_now(self, charges: Charges) -> Decision:
        """Take every charge, or none."""
        now = self._now()
        windows = self._windows
        touched: list[Window] = []
        fits = True
        for bucket, amount in charges:
            width = bucket.slot_seconds
            window = windows.get(bucket.key)
            if window is None:
                window = self._open(bucket, now)
            elif width and now // width > window.slot:
                window.roll(self._slot(width, now))
            if window.booked + window.held + amount > bucket.capacity and amount:
                fits = False
            touched.append(window)
        if not fits:
            return self._refuse(charges, touched, now)
        slots: list[float] = []
        used: list[int] = []
        for (bucket, amount), window in zip(charges, touched, strict=True):
            if bucket.holds:
                window.held += amount
            else:
                window.current += amount
                window.booked += amount
            slots.append(window.slot)
            used.append(window.booked + window.held)
        decision = Decision(self, charges, slots, used)
        decision.at = now
        return decision

    def settle(self, decision: Decision, actual: Sequence[int]) -> None:
        """Book what each charge came to."""
        now = self._now()
        windows = self._windows
        for (bucket, amount), slot, final in zip(
            decision.charges, decision.slots, actual, strict=True
        ):
            if final >= amount and not bucket.holds:
                continue
            window = windows.get(bucket.key)
            if window is None:
                continue
            width = bucket.slot_seconds
            if width and now // width > window.slot:
                window.roll(self._slot(width, now))
            if not bucket.holds:
                window.book(slot, final - amount)
            elif bucket.window_seconds:
                window.settle(slot, amount, final)
            else:
                window.held -= amount
                if not window.held:
                    del windows[bucket.key]

    async def aclose(self) -> None:
        """Stop sweeping."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()

    def _slot(self, width: float, now: float) -> float:
        """Return the number of the present slot: one object for all windows that remember it."""
        slot = now // width
        if self._latest_slots.get(width) == slot:
            return self._latest_slots[width]
        self._latest_slots[width] = slot
        return slot

    def _open(self, bucket: Bucket, now: float) -> Window:
        width = bucket.slot_seconds
        window = self._windows[bucket.key] = Window(self._slot(width, now) if width else now)
        if bucket.window_seconds:  # a lease's state goes with its last hold
            lasts = (bucket.window_seconds, width)
            self._sweeps.setdefault(lasts, deque()).append(bucket.key)
            if lasts not in self._timers:
                self._schedule(lasts)
        return window

    def _refuse(self, charges: Charges, windows: Sequence[Window], now: float) -> Decision:
        """Return the refusal by the charge that has to wait longest."""
        used = [window.booked + window.held for window in windows]
        decision = Decision(self, charges, [window.slot for window in windows], used)
        decision.resets = resets = []
        longest = -1.0
        for index, (bucket, amount) in enumerate(charges):
            window = windows[index]
            last = (window.last() + SLOTS + 1) * bucket.slot_seconds - now
            resets.append(last if bucket.slot_seconds and used[index] else 0.0)
            if amount and used[index] + amount > bucket.capacity:
                wait = _wait_seconds(bucket, amount, window, now)
                if (wait or 0.0) > longest:
                    longest = wait or 0.0
                    decision.refusal = Refusal(index, wait)
            if not bucket.window_seconds and not window.held:
                self._windows.pop(bucket.key, None)
        return decision

    def _schedule(self, lasts: Lasts) -> None:
        self._timers[lasts] = self._clock.call_later(
            max(MIN_SWEEP_SECONDS, lasts[0] / SLOTS), lambda: self._sweep(lasts)
        )

    def _sweep(self, lasts: Lasts) -> None:
        """Look at so many states that each has its turn once in a window."""
        keys = self._sweeps[lasts]
        now = self._now()
        seconds, width = lasts
        share = max(MIN_SWEEP_SECONDS / seconds, 1 / SLOTS)
        for _ in range(min(len(keys), max(MIN_SWEPT, math.ceil(len(keys) * share)))):
            key = keys.popleft()
            window = self._windows[key]
            since = now // width - window.slot > SLOTS if width else now - window.slot > seconds
            if since and not window.held:
                del self._windows[key]
            else:
                keys.append(key)
        if keys:
            self._schedule(lasts)
        else:
            del self._timers[lasts], self._sweeps[lasts]


def _wait_seconds(bucket: Bucket, amount: int, window: Window, now: float) -> float | None:
    """Return the seconds until `amount` fits; None: when calls in flight end; NEVER: not at all."""
    if amount > bucket.capacity:
        return NEVER
    need = window.booked + window.held + amount - bucket.capacity
    if not bucket.slot_seconds:
        return None if need <= window.held else NEVER
    slot = window.freed_by(need)
    return None if slot is None else (slot + SLOTS + 1) * bucket.slot_seconds - now
