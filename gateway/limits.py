"""Limits on requests, tokens, money and concurrency: reserve to admit, settle what it came to.

Which limits weigh on a call is worked out in `limit_plans`, the words of a refusal stand in
`limit_headers`, the counting is done by `stores`. What is promised, and why it holds, is in
docs/limits.md.
"""

from collections.abc import Sequence
from types import TracebackType
from typing import Literal, Self

from gateway.clock import Clock
from gateway.errors import PermissionDeniedError, RateLimitError
from gateway.limit_estimates import Demand, Estimate, LearnedOutputs, Needs
from gateway.limit_headers import headers, tightest, told_by
from gateway.limit_plans import Plan, Plans
from gateway.limit_rules import LimitRule
from gateway.limit_taking import Grant, Taker
from gateway.prices import Price
from gateway.stores import Store
from gateway.types import Call, Headers, Record, Usage, User


class Limiter:
    """All limits of one configuration over one store, which outlives it on a reload."""

    def __init__(
        self,
        rules: Sequence[LimitRule],
        store: Store,
        clock: Clock,
        *,
        unpriced: Literal["allow", "refuse"] = "allow",
    ) -> None:
        self.clock = clock
        self.plans = Plans(rules, clock)
        self.taker = Taker(store, clock)
        self.outputs = LearnedOutputs()
        self.unpriced = unpriced
        # For metrics: (user, per, dimension, "allowed" or "refused") to how many calls; and dimension
        # to how much calls came to above what was reserved for them, in tokens and nanodollars.
        self.decisions = self.taker.decisions
        self.overshoot = {"tokens": 0, "budget": 0}

    def carry_on(self, before: "Limiter") -> None:
        """Go on counting and learning where the limits of an older configuration are, whose last calls still run."""
        self.decisions = self.taker.decisions = before.decisions
        self.overshoot = before.overshoot
        self.outputs = before.outputs

    def check(self, user: User) -> None:
        """Raise RateLimitError where any call of `user` is known to be refused, whatever it says.

        It costs next to nothing, and is meant for before the body is read.
        """
        if self.taker.remembers_refusals:
            self.taker.recall(self.plans.for_user(user), None)

    def admit(
        self,
        user: User,
        call: Call,
        estimate: Estimate,
        *,
        price: Price | None = None,
        shared: bool = False,
        record: Record | None = None,
    ) -> "Admission":
        """Return an admission to enter, which raises RateLimitError where a limit has no room.

        `price` is the model's; None: it has none. `shared`: the reply is stored or in flight already,
        and the call costs a request and nothing else. What it waits is noted in `record`.
        Entering raises UnavailableError where the store is away, PermissionDeniedError for an unpriced
        model under a budget, if so configured.
        """
        admission = Admission(self, user, call, estimate, price, shared)
        admission.record = record
        return admission

    def used_ratios(self) -> dict[tuple[str, str, str], float]:
        """Return the share in use by (user, per, dimension) as of the last admission, for gauges.

        Of concurrency it is the share that this process's calls have now.
        """
        return self.plans.used_ratios(self.taker.running)


class Admission:
    """One call's place within its limits: enter it, choose upstreams by it, settle it.

    Whatever was reserved and not settled is given back on the way out.
    """

    __slots__ = (
        "_asked", "_call", "_demand", "_estimate", "_grant", "_limiter", "_price", "_settled",
        "_shared", "_started", "_upstream_grant", "_user", "headers", "record", "upstream_refusal",
    )  # fmt: skip

    def __init__(
        self,
        limiter: Limiter,
        user: User,
        call: Call,
        estimate: Estimate,
        price: Price | None,
        shared: bool,
    ) -> None:
        # The `x-ratelimit-*` headers of all limits that weigh on the call, those of the upstream that was tried last
        # among them; none where no rule covers it.
        self.headers: Headers = ()
        # Why `take_upstream` said no last: to be raised where no target is left.
        self.upstream_refusal: RateLimitError | None = None
        # Where it is noted how long the call had to wait.
        self.record: Record | None = None
        self._limiter = limiter
        self._user = user
        self._call = call
        self._estimate = estimate
        self._price = price
        self._shared = shared
        # Whether the request counts: an upstream was asked, or its answer is another call's.
        self._asked = shared
        self._settled = False
        self._demand: Demand | None = None
        self._grant: Grant | None = None
        self._upstream_grant: Grant | None = None
        self._started = 0.0

    async def __aenter__(self) -> Self:
        limiter = self._limiter
        self._started = limiter.clock.monotonic()
        plan = limiter.plans.for_call(self._user, self._call)
        if self._shared:
            plan = plan.shared
        elif plan.has_budget and self._price is None and limiter.unpriced == "refuse":
            raise PermissionDeniedError(
                f"The model `{self._call.model}` has no price, and a budget covers it.",
                code="model_not_priced",
            )
        if plan.rows:
            self._grant = await self._take(plan, may_wait=True)
            self.headers = headers(plan.rates, self._grant.decision)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.settle(None)

    async def take_upstream(self, upstream: str, *, last: bool = False) -> bool:
        """Take what `per: upstream` rules need before `upstream` is asked; False: it has no room.

        Call it before every attempt, also where there are no such rules: from then on the request
        counts. What the attempt before took for its upstream is settled. `last`: no other target is
        left, so that a rule's `wait` applies. Raises UnavailableError.
        """
        limiter = self._limiter
        if self._upstream_grant is not None:
            limiter.taker.settle(self._upstream_grant, Needs(1))
            self._upstream_grant = None
        plan = limiter.plans.for_upstream(self._user, self._call, upstream)
        if plan is not None:
            theirs: Headers = ()
            if plan.rows:
                try:
                    self._upstream_grant = await self._take(plan, may_wait=last)
                except RateLimitError as error:
                    self.upstream_refusal = error
                    self.headers = self._beside(told_by(error))
                    return False
                theirs = headers(plan.rates, self._upstream_grant.decision)
            self.headers = self._beside(theirs)
        self._asked = True
        return True

    def settle(self, usage: Usage | None, price: Price | None = None) -> None:
        """Charge what the call came to and give the rest back; only the first call does anything.

        `usage` None: nothing was used. `price` is that of the model that answered, where it is not
        the admitted one's. It never waits: nothing can cancel it.
        """
        if self._settled:
            return
        self._settled = True
        final = Needs(int(self._asked or usage is not None))
        if usage is not None and not self._shared:
            price = price or self._price
            tokens = usage.input_tokens + usage.output_tokens
            cost = 0 if price is None else price.cost(usage)
            final = Needs(1, tokens, tokens, cost, cost)
            self._learn(usage, final)
        for grant in (self._grant, self._upstream_grant):
            if grant is not None:
                self._limiter.taker.settle(grant, final)

    def _beside(self, theirs: Headers) -> Headers:
        """Return the headers of the call's own limits and those of an upstream."""
        if self._grant is None:
            return theirs
        return tightest(headers(self._grant.plan.rates, self._grant.decision), theirs)

    async def _take(self, plan: Plan, *, may_wait: bool) -> Grant:
        """Take a plan's rows; what that waited, also in vain, is not the gateway's own time."""
        limiter = self._limiter
        began = limiter.clock.monotonic()
        try:
            return await limiter.taker.take(plan, self._wanted(), may_wait=may_wait)
        finally:
            if self.record is not None:
                queued_seconds = limiter.clock.monotonic() - began
                self.record.queued_seconds += queued_seconds
                self.record.waited_seconds += queued_seconds

    def _wanted(self) -> Demand:
        if self._demand is None:
            user, call = self._user.name, self._call
            if self._shared:
                self._demand = Demand(user, call, Estimate(max_output_tokens=0), None, 0)
            else:
                expected = 0
                if call.max_output_tokens is None:
                    expected = self._limiter.outputs.expect(call.model, user)
                self._demand = Demand(user, call, self._estimate, self._price, expected)
        return self._demand

    def _learn(self, usage: Usage, final: Needs) -> None:
        """Note what the call teaches about those to come, and by how much it outdid what it had."""
        limiter, call = self._limiter, self._call
        limiter.taker.note_duration(limiter.clock.monotonic() - self._started)
        if usage.output_tokens and call.max_output_tokens is None:
            limiter.outputs.learn(call.model, self._user.name, usage.output_tokens)
        if self._grant is None:
            return
        plan, decision = self._grant
        excess: dict[str, int] = {}
        for index in plan.estimated:
            row = plan.rows[index]
            over = final[row.need] - decision.charges[index][1]
            if over > excess.get(row.dimension, 0):
                excess[row.dimension] = over
        for dimension, over in excess.items():
            limiter.overshoot[dimension] += over
