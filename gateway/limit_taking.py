"""Asking the store for what a call needs; refusals are remembered, and a call may wait its turn.

What a call needs, and what it came to, is worked out in `limits`.
"""

from typing import NamedTuple

from gateway.clock import Clock
from gateway.errors import RateLimitError, StoreError, UnavailableError
from gateway.limit_estimates import Demand, Needs
from gateway.limit_headers import headers, refusal
from gateway.limit_plans import Plan
from gateway.limit_queue import Attempt, WaitingRoom
from gateway.stores import NEVER, Bucket, Charges, Decision, Refusal, Store

# How many refusals are remembered; beyond, the oldest is forgotten.
_MAX_REFUSALS = 10_000

# How many kinds of decisions are counted apart.
_MAX_DECIDED = 10_000

# What is told at least where only calls in flight stand in the way.
_LEAST_TYPICAL_SECONDS = 0.1

# The weight of the latest call in the typical duration.
_LATEST_WEIGHT = 0.05


# What a store granted for a plan's rows.
Grant = tuple[Plan, Decision]

# Whose, by which rule's `per` and dimension, and what: "allowed" or "refused".
Decided = tuple[str, str, str, str]


class _Known(NamedTuple):
    """A refusal that holds for every request until a time; times are monotonic seconds."""

    plan: Plan
    decision: Decision
    refusal: Refusal
    at: float
    until: float


class Taker:
    """The store, as admissions see it."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        # By bucket: the refusals that may hold still.
        self.refusals: dict[str, _Known] = {}
        self._room = WaitingRoom(clock)
        # How long calls take: when a place that a call in flight holds may come back.
        self._typical_seconds = 1.0
        # By bucket of a concurrency limit: how many calls of this process hold a place in it.
        self.running: dict[str, int] = {}
        self.decisions: dict[Decided, int] = {}

    def recall(self, plan: Plan, model: str | None) -> None:
        """Raise RateLimitError where a refusal that was given before still holds."""
        if not self.refusals:
            return
        now = self._clock.monotonic()
        for row in plan.rows:
            known = self.refusals.get(row.bucket.key)
            if known is None:
                continue
            if known.until > now:
                raise self._error(known.plan, known.decision, known.refusal, model, now - known.at)
            del self.refusals[row.bucket.key]

    def _decided(self, kind: Decided) -> None:
        if kind not in self.decisions and len(self.decisions) >= _MAX_DECIDED:
            # Names that callers bring along are many; those that are left out are nobody's.
            kind = ("", *kind[1:])
        self.decisions[kind] = self.decisions.get(kind, 0) + 1

    def take_now(self, plan: Plan, demand: Demand) -> Grant | None:
        """Take all of a plan's rows for one call where nobody waits; None: `take` has to be awaited.

        Raises RateLimitError.
        """
        if self.refusals:
            self.recall(plan, demand.model)
        if self._room.queues:
            return None
        needs = demand.needs
        charges: list[tuple[Bucket, int]] = []
        for row in plan.rows:
            charges.append((row.bucket, needs[row.need]))  # a comprehension is a call
        decision = self._store.take_now(charges)
        if decision is None:
            return None
        refused = decision.refusal
        if refused is not None:
            if refused.retry_after_seconds == NEVER or plan.rows[refused.charge].wait_seconds:
                return None
            raise self._refused(plan, decision, refused, demand.model)
        return self._granted(plan, decision)

    def _granted(self, plan: Plan, decision: Decision) -> Grant:
        decisions = self.decisions
        for kind in plan.allowed:
            if kind in decisions:
                decisions[kind] += 1
            else:
                self._decided(kind)
        for key in plan.leases:
            self.running[key] = self.running.get(key, 0) + 1
        plan.last = (decision, self._clock.monotonic())
        return plan, decision

    async def take(self, plan: Plan, demand: Demand, *, may_wait: bool) -> Grant:
        """Take all of a plan's rows for one call. Raises RateLimitError, UnavailableError.

        `may_wait`: the call may queue where the rule that has no room says so.
        """
        self.recall(plan, demand.model)
        ahead = self._room.ahead(plan.rows) if may_wait else None
        if ahead is not None:
            decision = await self._room.take(self._attempt(plan, demand), ahead, None)
        else:
            decision = await self._ask(plan, demand)
            if decision.refusal is not None and may_wait:
                row = plan.rows[decision.refusal.charge]
                decision = await self._room.take(self._attempt(plan, demand), row, decision)
        if decision.refusal is not None:
            raise self._refused(plan, decision, decision.refusal, demand.model)
        return self._granted(plan, decision)

    def settle(self, grant: Grant, final: Needs) -> None:
        """Say what a grant came to."""
        plan, decision = grant
        actual: list[int] = []
        for row in plan.rows:
            actual.append(final[row.need])  # a comprehension is a call
        decision.store.settle(decision, actual)
        for key in plan.leases:
            self.running[key] -= 1
            if not self.running[key]:
                del self.running[key]
        if self.refusals and not final.one:  # a place came back before its time
            for row in plan.rows:
                self.refusals.pop(row.bucket.key, None)
        if self._room.queues:
            self._room.wake(plan.rows)

    def note_duration(self, seconds: float) -> None:
        """Note how long a call took."""
        self._typical_seconds += _LATEST_WEIGHT * (seconds - self._typical_seconds)

    def _attempt(self, plan: Plan, demand: Demand) -> Attempt:
        return Attempt(demand.user, plan.rows, lambda: self._ask(plan, demand))

    async def _ask(self, plan: Plan, demand: Demand) -> Decision:
        needs = demand.needs
        charges: Charges = [(row.bucket, needs[row.need]) for row in plan.rows]
        try:
            decision = await self._store.take(charges)
            if decision.refusal is None or decision.refusal.retry_after_seconds != NEVER:
                return decision
            least = demand.without_guess()
            smaller = [
                _reduced(charge, least[row.need])
                for charge, row in zip(charges, plan.rows, strict=True)
            ]
            return decision if smaller == charges else await self._store.take(smaller)
        except StoreError:
            raise UnavailableError(
                "The store that counts the limits does not answer.", code="store_unavailable"
            ) from None

    def _refused(
        self, plan: Plan, decision: Decision, refused: Refusal, model: str | None
    ) -> RateLimitError:
        """Return a refusal, remembered where the next request would get the same."""
        row = plan.rows[refused.charge]
        seconds = refused.retry_after_seconds
        if row.dimension == "requests" and not row.wait_seconds and seconds is not None:
            if len(self.refusals) >= _MAX_REFUSALS:
                del self.refusals[next(iter(self.refusals))]
            now = self._clock.monotonic()
            self.refusals[row.bucket.key] = _Known(plan, decision, refused, now, now + seconds)
        return self._error(plan, decision, refused, model, 0.0)

    def _error(
        self,
        plan: Plan,
        decision: Decision,
        refused: Refusal,
        model: str | None,
        age_seconds: float,
    ) -> RateLimitError:
        row = plan.rows[refused.charge]
        kind = (plan.user, row.per, row.dimension, "refused")
        self._decided(kind)
        bucket, requested = decision.charges[refused.charge]
        seconds = refused.retry_after_seconds
        if seconds is None:
            seconds = max(_LEAST_TYPICAL_SECONDS, self._typical_seconds)
        elif seconds == NEVER and row.renewed_at and requested <= bucket.capacity:
            seconds = row.renewed_at - self._clock.time()
        error = refusal(
            row,
            model=model,
            requested=requested,
            used=decision.used[refused.charge],
            retry_after_seconds=seconds - age_seconds,
        )
        for name, value in headers(plan.rates, decision, age_seconds):
            error.headers[name.decode()] = value.decode()
        return error


def _reduced(charge: tuple[Bucket, int], least: int) -> tuple[Bucket, int]:
    """Return a charge that only a guess makes too large for its limit as all that the limit has."""
    bucket, amount = charge
    return bucket, bucket.capacity if least <= bucket.capacity < amount else amount
