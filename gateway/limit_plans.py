"""Which limits weigh on which kind of call, worked out once and remembered."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from gateway.clock import Clock
from gateway.limit_rules import ONE, LimitRule, Row, decide, period, rows
from gateway.stores import NEVER, Decision, Kind
from gateway.types import Call, User

# How many kinds of call are remembered; beyond, all are forgotten together.
_MAX_PLANS = 10_000

# What is not known before a call's body was read, and before its upstream is chosen.
_BEFORE_BODY = frozenset({"upstream", "model", "end_user"})
_BEFORE_UPSTREAM = frozenset({"upstream"})
_NOTHING: frozenset[str] = frozenset()

# The dimensions that have headers.
_RATES = ("requests", "tokens")

# Users that do not stand in the configuration, as metrics name them.
_OTHER = "other"


class Share(NamedTuple):
    """How much of one bucket was in use at a time (monotonic seconds)."""

    key: str
    at: float
    # User, `per` and dimension.
    kind: tuple[str, str, str]
    used_ratio: float


class Plan:
    """The limits that weigh on one kind of call."""

    __slots__ = (
        "allowed", "estimated", "has_budget", "last", "leases", "rates", "rows", "shared", "since", "until",
        "user",
    )  # fmt: skip

    def __init__(self, user: str, rows: Sequence[Row], since: float, until: float) -> None:
        self.user = user
        self.rows = tuple(rows)
        # The wall-clock time in which the periods of its budgets are the present ones.
        self.since = since
        self.until = until
        self.has_budget = any(row.dimension == "budget" for row in rows)
        self.leases = tuple(row.bucket.key for row in rows if row.bucket.kind == Kind.LEASE)
        # By which index the headers find their rows.
        self.rates = tuple(
            (
                dimension,
                tuple(index for index, row in enumerate(rows) if row.dimension == dimension),
            )
            for dimension in dict.fromkeys(row.dimension for row in rows if row.dimension in _RATES)
        )
        # What may come to more than was reserved: which rows.
        self.estimated = tuple(index for index, row in enumerate(rows) if row.need != ONE)
        self.allowed = tuple(dict.fromkeys((user, r.per, r.dimension, "allowed") for r in rows))
        # What weighs on such a call where its reply is stored, or in flight already.
        self.shared = self
        # The store's last answer and its time (monotonic seconds), for gauges.
        self.last: tuple[Decision, float] | None = None

    def shares(self, running: Mapping[str, int], now: float, wall: float) -> Iterator[Share]:
        """Yield what of each limit is in use; see `Plans.used_ratios`."""
        if self.last is None:
            return
        decision, at = self.last
        for index, row in enumerate(self.rows):
            used = decision.used[index]
            if row.bucket.key in self.leases:
                used = running.get(row.bucket.key, 0)
            elif now >= at + decision.reset_seconds(index) and wall >= row.renewed_at:
                used = 0
            kind = (self.user, row.per, row.dimension)
            yield Share(row.bucket.key, at, kind, used / row.bucket.capacity)


class Plans:
    """The plans of one configuration's rules."""

    def __init__(self, rules: Sequence[LimitRule], clock: Clock) -> None:
        self._rules = rules
        self._clock = clock
        self._time = clock.time
        self._plans: dict[tuple[str | None, ...], Plan] = {}
        named = {name for rule in rules for name in (*rule.per, *rule.match)}
        self._by_end_user = "end_user" in named
        # Whether anything weighs on a call once its upstream is chosen; whether any limit is of money.
        self.by_upstream = "upstream" in named
        self.by_cost = any(rule.budget for rule in rules)

    def __len__(self) -> int:
        return len(self._plans)

    def for_user(self, user: User) -> Plan:
        """Return what weighs on every call of a user, whatever its body says."""
        return self._find(("user", user.name, user.group), user, None, None)

    def for_call(self, user: User, call: Call) -> Plan:
        """Return what weighs on a call before its upstream is chosen."""
        end_user = call.end_user if self._by_end_user else None
        kind = ("call", user.name, user.group, call.model, end_user)
        plan = self._plans.get(kind)
        if plan is not None and (plan.until == NEVER or plan.since <= self._time() < plan.until):
            return plan
        return self._find(kind, user, call, None)

    def for_upstream(self, user: User, call: Call, upstream: str) -> Plan | None:
        """Return what weighs on a call beside that, now that its upstream is chosen."""
        if not self.by_upstream:
            return None
        end_user = call.end_user if self._by_end_user else None
        kind = (upstream, user.name, user.group, call.model, end_user, "upstream")
        return self._find(kind, user, call, upstream)

    def used_ratios(self, running: Mapping[str, int]) -> dict[tuple[str, str, str], float]:
        """Return the share in use by (user, per, dimension), of a limit's last admission.

        Of concurrency it is the share of `running`: by bucket, how many of its places are taken.
        """
        now, wall = self._clock.monotonic(), self._clock.time()
        latest: dict[str, Share] = {}
        for plan in self._plans.values():
            for share in (
                *plan.shares(running, now, wall),
                *plan.shared.shares(running, now, wall),
            ):
                if share.key not in latest or latest[share.key].at < share.at:
                    latest[share.key] = share
        ratios: dict[tuple[str, str, str], float] = {}
        for share in latest.values():
            ratios[share.kind] = max(share.used_ratio, ratios.get(share.kind, 0.0))
        return ratios

    def _find(
        self, kind: tuple[str | None, ...], user: User, call: Call | None, upstream: str | None
    ) -> Plan:
        plan = self._plans.get(kind)
        if plan is None or not plan.since <= self._time() < plan.until:
            if len(self._plans) >= _MAX_PLANS:
                self._plans.clear()
            plan = self._plans[kind] = self._make(user, call, upstream)
        return plan

    def _make(self, user: User, call: Call | None, upstream: str | None) -> Plan:
        subject = {"user": user.name, "group": user.group, "upstream": upstream}
        if call is not None:
            subject |= {"end_user": call.end_user, "model": call.model}
        now = self._time()
        decided = decide(self._rules, subject, _BEFORE_BODY if call is None else _BEFORE_UPSTREAM)
        if upstream is not None:
            before, decided = decided, decide(self._rules, subject, _NOTHING)
            decided = {pair: rule for pair, rule in decided.items() if pair not in before}
        found = [
            row for (_, what), rule in decided.items() for row in rows(rule, what, subject, now)
        ]
        since, until = -NEVER, NEVER
        if any(row.dimension == "budget" for row in found):
            begun, ended = period("day", now)  # a month begins with a day
            since, until = begun.timestamp(), ended.timestamp()
        label = user.name if user.configured else _OTHER
        plan = Plan(label, found, since, until)
        plan.shared = Plan(label, [row for row in found if row.dimension in _RATES], since, until)
        return plan
