"""Asking the store: refusals that are remembered, guesses that are cut, stores that do not answer."""

from collections.abc import Sequence

import pytest

from gateway.errors import RateLimitError, StoreError, UnavailableError
from gateway.limit_estimates import Demand, Estimate, Needs
from gateway.limit_plans import Plans
from gateway.limit_rules import LimitRule, Rate
from gateway.limit_taking import Grant, Taker
from gateway.stores import Charges, Decision
from gateway.stores.memory import MemoryStore
from tests.support.clock import FakeClock
from tests.support.limiting import ALICE, BOB, call

PER_USER = LimitRule(per=("user",), requests=(Rate(2, 60),), tokens=(Rate(1000, 60),))


class CountingStore(MemoryStore):
    """A memory store that counts how often it is asked, and can be away."""

    asked = 0
    away = False

    def take_now(self, charges: Charges) -> None:  # type: ignore[override]
        """Want to be awaited, as a server does."""

    async def take(self, charges: Charges) -> Decision:
        """Count, then take."""
        self.asked += 1
        if self.away:
            raise StoreError("away")
        return super().take_now(charges)


class Bench:
    """A taker with its store, its plans and its time."""

    def __init__(self, *rules: LimitRule) -> None:
        self.clock = FakeClock()
        self.store = CountingStore(self.clock)
        self.taker = Taker(self.store, self.clock)
        self.plans = Plans(rules, self.clock)

    async def take(self, *, output_tokens: int | None = 10, expected: int = 0) -> Grant:
        """Take for a call of alice's."""
        one = call(max_output_tokens=output_tokens)
        demand = Demand("alice", one, Estimate(input_tokens=100), None, expected)
        return await self.taker.take(self.plans.for_call(ALICE, one), demand, may_wait=True)


async def refused(bench: Bench) -> RateLimitError:
    """Return the refusal of one more call."""
    with pytest.raises(RateLimitError) as caught:
        await bench.take()
    return caught.value


async def test_a_refusal_is_remembered_until_its_time() -> None:
    """A flood costs the store one question; the times it is told run on."""
    bench = Bench(PER_USER)
    await bench.take()
    await bench.take()
    first = await refused(bench)
    asked = bench.store.asked
    bench.clock.advance(20)
    second = await refused(bench)

    assert bench.store.asked == asked
    assert first.headers["retry-after-ms"] == "61001"
    assert second.headers["retry-after-ms"] == "41001"
    assert first.headers["x-ratelimit-reset-requests"] == "1m1s"
    assert second.headers["x-ratelimit-reset-requests"] == "41s"
    bench.clock.advance(41)
    await bench.take()
    assert bench.store.asked == asked + 1


async def test_a_place_that_comes_back_ends_the_memory() -> None:
    """A request that turned out to be none makes room at once."""
    bench = Bench(PER_USER)
    grant = await bench.take()
    await bench.take()
    await refused(bench)
    assert bench.taker.refusals

    bench.taker.settle(grant, Needs(0))

    await bench.take()


async def test_only_what_holds_for_every_call_is_remembered() -> None:
    """A smaller call may fit where a large one had no room."""
    bench = Bench(LimitRule(per=("user",), tokens=(Rate(250, 60),)))
    await bench.take(output_tokens=50)
    with pytest.raises(RateLimitError):
        await bench.take(output_tokens=50)

    assert not bench.taker.refusals
    await bench.take(output_tokens=0)


async def test_refusals_of_one_user_are_not_anothers() -> None:
    """Each has a bucket, and a memory, of their own."""
    bench = Bench(PER_USER)
    await bench.take()
    await bench.take()
    await refused(bench)

    bench.taker.recall(bench.plans.for_user(BOB), None)
    with pytest.raises(RateLimitError, match="Rate limit reached for user alice on requests per"):
        bench.taker.recall(bench.plans.for_user(ALICE), None)


async def test_a_guess_makes_no_call_too_large() -> None:
    """It is cut to what the limit has; what the client itself asks for is not."""
    bench = Bench(PER_USER)
    grant = await bench.take(output_tokens=None, expected=5000)
    assert grant[1].used == [1, 1000]
    bench.taker.settle(grant, Needs(1))

    with pytest.raises(RateLimitError, match=r"Request too large .*Requested 5100\."):
        await bench.take(output_tokens=5000)


async def test_a_store_that_does_not_answer_is_told_as_such() -> None:
    """Without what it said."""
    bench = Bench(PER_USER)
    bench.store.away = True

    with pytest.raises(UnavailableError) as caught:
        await bench.take()
    assert (caught.value.status, caught.value.code) == (503, "store_unavailable")
    assert "away" not in caught.value.message


@pytest.mark.parametrize(
    ("durations", "told"), [([], "1001"), ([9.0] * 200, "9000"), ([0.0] * 400, "101")]
)
async def test_behind_calls_in_flight_the_typical_duration_is_told(
    durations: Sequence[float], told: str
) -> None:
    """Nobody knows when they end; how long calls take is known."""
    bench = Bench(LimitRule(per=("user",), concurrency=1))
    for seconds in durations:
        bench.taker.note_duration(seconds)
    await bench.take()

    assert (await refused(bench)).headers["retry-after-ms"] == told


async def test_decisions_are_counted() -> None:
    """By user, `per`, dimension and outcome; a refusal by what refused."""
    bench = Bench(PER_USER, LimitRule(per=("global",), concurrency=1))
    grant = await bench.take()
    assert bench.taker.running == {"concurrency:global=": 1}
    await refused(bench)
    bench.taker.settle(grant, Needs(1, 110, 110))

    assert bench.taker.decisions == {
        ("alice", "user", "requests", "allowed"): 1,
        ("alice", "user", "tokens", "allowed"): 1,
        ("alice", "global", "concurrency", "allowed"): 1,
        ("alice", "global", "concurrency", "refused"): 1,
    }
    assert bench.taker.running == {}


async def test_the_memory_of_refusals_is_bounded() -> None:
    """The oldest is forgotten: it costs a question more."""
    bench = Bench(LimitRule(per=("end_user",), requests=(Rate(1, 86_400),)))
    for number in range(10_100):
        one = call(end_user=str(number))
        plan = bench.plans.for_call(ALICE, one)
        demand = Demand("alice", one, Estimate(), None, 0)
        await bench.taker.take(plan, demand, may_wait=True)
        with pytest.raises(RateLimitError):
            await bench.taker.take(plan, demand, may_wait=True)

    assert len(bench.taker.refusals) == 10_000
