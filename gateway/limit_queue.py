"""Calls that wait for room in a limit: users take turns, and each user's calls keep their order.

Only the call whose turn it is asks the store; leaving, for whatever reason, passes the turn on.
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from gateway.clock import Clock
from gateway.limit_rules import Row
from gateway.stores import Decision

# How often the call whose turn it is asks again where only calls in flight stand in its way: another
# process may have ended one. And the shortest of its pauses.
_POLL_SECONDS = 0.25
_SHORTEST_PAUSE_SECONDS = 0.001


@dataclass(slots=True)
class Attempt:
    """What one call wants: all of `rows`; `ask` tries to take them."""

    user: str
    rows: Sequence[Row]
    ask: Callable[[], Awaitable[Decision]]


class Turn:
    """One waiting call's place in a queue."""

    __slots__ = ("_future", "user")

    def __init__(self, user: str) -> None:
        self.user = user
        self._future: asyncio.Future[None] | None = None

    def wake(self) -> None:
        """Let `wait` return."""
        if self._future is not None and not self._future.done():
            self._future.set_result(None)

    async def wait(self, clock: Clock, seconds: float) -> None:
        """Return when woken, or after `seconds`."""
        self._future = asyncio.get_running_loop().create_future()
        timer = clock.call_later(seconds, self.wake)
        try:
            await self._future
        finally:
            timer.cancel()
            self._future = None


class FairQueue:
    """Who waits for one limit, user by user."""

    def __init__(self) -> None:
        self._users: OrderedDict[str, deque[Turn]] = OrderedDict()

    def __len__(self) -> int:
        return sum(map(len, self._users.values()))

    def join(self, user: str) -> Turn:
        """Queue behind the user's other calls."""
        turn = Turn(user)
        self._users.setdefault(user, deque()).append(turn)
        return turn

    def leave(self, turn: Turn, *, served: bool) -> None:
        """Give up a place; a user who was served goes behind the others."""
        turns = self._users[turn.user]
        turns.remove(turn)
        if not turns:
            del self._users[turn.user]
        elif served:
            self._users.move_to_end(turn.user)
        self.wake()

    def is_next(self, turn: Turn) -> bool:
        """Tell whether it is this call's turn."""
        return self._first() is turn

    def wake(self) -> None:
        """Let the call whose turn it is try."""
        first = self._first()
        if first is not None:
            first.wake()

    def _first(self) -> Turn | None:
        return next((turns[0] for turns in self._users.values()), None)


class WaitingRoom:
    """The queues of all limits that calls wait for in this process."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.queues: dict[str, FairQueue] = {}

    def __len__(self) -> int:
        return sum(map(len, self.queues.values()))

    def ahead(self, rows: Sequence[Row]) -> Row | None:
        """Return the row, if any, that others wait for already: nobody overtakes them."""
        if not self.queues:
            return None
        return next((row for row in rows if row.bucket.key in self.queues), None)

    def wake(self, rows: Sequence[Row]) -> None:
        """Let those try who wait for one of these rows: there may be room."""
        if self.queues:
            for row in rows:
                queue = self.queues.get(row.bucket.key)
                if queue is not None:
                    queue.wake()

    async def take(self, attempt: Attempt, row: Row, decision: Decision | None) -> Decision:
        """Queue for `row`, then for what else is short, until all is taken or a row's time is up.

        `decision` is the refusal that led here; None: others are ahead.
        """
        began = self._clock.monotonic()
        while True:
            deadline = began + row.wait_seconds
            soonest = self._clock.monotonic() + _pause(decision)
            if decision is not None and soonest > deadline:
                return decision
            decision = await self._queue_up(attempt, row, deadline, decision)
            if decision.refusal is None:
                return decision
            row = attempt.rows[decision.refusal.charge]

    async def _queue_up(
        self, attempt: Attempt, row: Row, deadline: float, decision: Decision | None
    ) -> Decision:
        """Return the answer that was got in turn, or too late, or that speaks of another row."""
        queue = self.queues.setdefault(row.bucket.key, FairQueue())
        turn = queue.join(attempt.user)
        served = False
        try:
            while True:
                left = deadline - self._clock.monotonic()
                pause = left
                if queue.is_next(turn):
                    pause = min(left, _pause(decision))
                if pause > 0:
                    await turn.wait(self._clock, pause)
                late = self._clock.monotonic() >= deadline
                if not late and not queue.is_next(turn):
                    continue
                decision = await attempt.ask()
                refusal = decision.refusal
                served = refusal is None
                if refusal is None or late or attempt.rows[refusal.charge] is not row:
                    return decision
        finally:
            queue.leave(turn, served=served)
            if not queue:
                del self.queues[row.bucket.key]


def _pause(decision: Decision | None) -> float:
    """Return for how long the next call in turn lets the store alone, unless it is woken."""
    if decision is None or decision.refusal is None:
        return 0.0
    seconds = decision.refusal.retry_after_seconds
    return _POLL_SECONDS if seconds is None else max(seconds, _SHORTEST_PAUSE_SECONDS)
