"""Admissions: what they take, what they tell, and that everything comes back."""

import asyncio
from decimal import Decimal

import pytest

from gateway.errors import PermissionDeniedError, RateLimitError
from gateway.limit_estimates import Estimate
from gateway.limit_rules import Budget, LimitRule, Rate
from gateway.limits import Admission, Limiter
from gateway.prices import Price, nanodollars
from gateway.stores import Decision
from gateway.types import Record, Usage
from tests.support.limiting import ALICE, BOB, Bench, call, in_use, limiting, usage

PRICE = Price.from_usd(input=Decimal(2), cached_input=Decimal(1), output=Decimal(8))
RULE = LimitRule(
    per=("user",),
    requests=(Rate(5, 60), Rate(1000, 86_400)),
    tokens=(Rate(1000, 60),),
    budget=(Budget(nanodollars(Decimal("0.01")), "day"),),
    concurrency=2,
)
FIFTY = Estimate(input_tokens=50)


def used(bench: Bench, rule: LimitRule = RULE) -> list[int]:
    """Return what alice has in use of each limit of a rule."""
    return in_use(bench, rule)


async def refusal(bench: Bench, estimate: Estimate = FIFTY, **more: object) -> RateLimitError:
    """Return why one more call of alice's is refused."""
    with pytest.raises(RateLimitError) as caught:
        async with bench.limiter.admit(ALICE, call(), estimate, price=PRICE):
            pass
    return caught.value


async def test_a_call_reserves_and_settles() -> None:
    """The prompt and the output that it allows are held; what it used stays."""
    bench = limiting(RULE)
    async with bench.limiter.admit(ALICE, call(), FIFTY, price=PRICE) as admission:
        assert used(bench) == [1, 1, 150, 50 * 2000 + 100 * 8000, 1]
        assert await admission.take_upstream("openai")
        admission.settle(usage(50, 20))

        assert used(bench) == [1, 1, 70, 50 * 2000 + 20 * 8000, 0]
    assert used(bench) == [1, 1, 70, 50 * 2000 + 20 * 8000, 0]


async def test_what_was_not_used_comes_back_on_every_way_out() -> None:
    """No upstream asked: nothing counts. One asked: the request does, whatever came of it."""
    bench = limiting(RULE)
    with pytest.raises(ZeroDivisionError):
        async with bench.limiter.admit(ALICE, call(), FIFTY, price=PRICE):
            raise ZeroDivisionError
    assert used(bench) == [0, 0, 0, 0, 0]

    async def answered() -> None:
        async with bench.limiter.admit(ALICE, call(), FIFTY, price=PRICE) as admission:
            await admission.take_upstream("openai")
            raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await answered()
    assert used(bench) == [1, 1, 0, 0, 0]


async def test_only_the_first_settlement_counts() -> None:
    """Settling twice charges once."""
    bench = limiting(RULE)
    async with bench.limiter.admit(ALICE, call(), FIFTY, price=PRICE) as admission:
        admission.settle(usage(50, 20))
        admission.settle(usage(500, 200))

    assert used(bench)[2] == 70


async def test_the_answering_models_price_counts() -> None:
    """A fallback may be cheaper, and cached input is apart."""
    bench = limiting(RULE)
    cheap = Price.from_usd(input=Decimal("0.2"), cached_input=Decimal("0.1"), output=Decimal(1))
    async with bench.limiter.admit(ALICE, call(), FIFTY, price=PRICE) as admission:
        admission.settle(Usage(input_tokens=50, cached_input_tokens=20, output_tokens=10), cheap)

    assert used(bench)[3] == 30 * 200 + 20 * 100 + 10 * 1000


async def test_the_headers_tell_of_the_tightest_limits() -> None:
    """As OpenAI writes them; nothing where no rule covers the call."""
    bench = limiting(RULE)
    async with bench.limiter.admit(ALICE, call(), FIFTY, price=PRICE) as admission:
        assert admission.headers == (
            (b"x-ratelimit-limit-requests", b"5"),
            (b"x-ratelimit-remaining-requests", b"4"),
            (b"x-ratelimit-reset-requests", b"1m1s"),
            (b"x-ratelimit-limit-tokens", b"1000"),
            (b"x-ratelimit-remaining-tokens", b"850"),
            (b"x-ratelimit-reset-tokens", b"1m1s"),
        )
    async with limiting().limiter.admit(ALICE, call(), FIFTY) as free:
        assert free.headers == ()
        assert await free.take_upstream("openai")


async def test_a_refusal_tells_the_headers_too() -> None:
    """And when to come back: the first retry after that is let in."""
    bench = limiting(LimitRule(per=("user",), requests=(Rate(2, 1),)))
    for _ in range(2):
        async with bench.limiter.admit(ALICE, call(), FIFTY) as admission:
            admission.settle(usage(1, 1))
    bench.clock.advance(0.4)
    error = await refusal(bench)

    assert error.message == (
        "Rate limit reached for gpt-4o for user alice on requests per sec (RPS): Limit 2, Used 2,"
        " Requested 1. Please try again in 617ms."
    )
    assert error.headers == {
        "retry-after": "1",
        "retry-after-ms": "617",
        "x-ratelimit-limit-requests": "2",
        "x-ratelimit-remaining-requests": "0",
        "x-ratelimit-reset-requests": "617ms",
    }
    bench.clock.advance(0.617)
    async with bench.limiter.admit(ALICE, call(), FIFTY) as admission:
        pass


async def test_all_limits_or_none_are_taken() -> None:
    """A call that one limit refuses leaves no trace in the others."""
    bench = limiting(RULE, LimitRule(per=("global",), concurrency=0))

    await refusal(bench)

    assert used(bench) == [0, 0, 0, 0, 0]


async def test_a_shared_reply_costs_a_request_and_nothing_else() -> None:
    """It is let in without tokens, money or a free place, and counts even if no upstream is asked."""
    bench = limiting(RULE)
    async with (
        bench.limiter.admit(ALICE, call(), FIFTY, price=PRICE),
        bench.limiter.admit(ALICE, call(), FIFTY, price=PRICE),
        bench.limiter.admit(ALICE, call(), FIFTY, price=PRICE, shared=True) as hit,
    ):
        assert len(hit.headers) == 6
        hit.settle(usage(1000, 1000))

    assert used(bench) == [1, 1, 0, 0, 0]


async def test_a_call_dearer_than_its_reservation_leaves_a_debt() -> None:
    """It is charged in full and counted; nothing more is let in until the debt has left."""
    bench = limiting(RULE)
    async with bench.limiter.admit(ALICE, call(), FIFTY, price=PRICE) as admission:
        bench.clock.advance(30)
        admission.settle(usage(50, 1300))

    assert bench.limiter.overshoot == {"tokens": 1200, "budget": 1200 * 8000}
    error = await refusal(bench)
    assert error.code == "insufficient_quota"
    tokens = limiting(LimitRule(per=("user",), tokens=(Rate(1000, 60),)))
    async with tokens.limiter.admit(ALICE, call(), FIFTY) as admission:
        tokens.clock.advance(30)
        admission.settle(usage(50, 1300))
    error = await refusal(tokens)
    assert "Used 1350, Requested 150." in error.message
    # The reservation leaves at 61 s, what went beyond it at 91 s.
    tokens.clock.advance(60.9)
    await refusal(tokens)
    tokens.clock.advance(0.1)
    async with tokens.limiter.admit(ALICE, call(), FIFTY):
        pass


async def test_reserve_max_is_a_hard_bound() -> None:
    """The most that a call can come to is held; where nothing bounds it, all there is."""
    hard = LimitRule(per=("user",), tokens=(Rate(1000, 60),), reserve="max")
    bench = limiting(hard)
    bound = Estimate(input_tokens=50, max_input_tokens=80, max_output_tokens=400)
    unasked = call(max_output_tokens=None)
    async with bench.limiter.admit(ALICE, unasked, bound):
        assert used(bench, hard) == [480]
    async with bench.limiter.admit(ALICE, unasked, FIFTY):
        assert used(bench, hard) == [1000]
    with pytest.raises(RateLimitError, match="Request too large"):
        async with bench.limiter.admit(ALICE, unasked, Estimate(max_output_tokens=4096)):
            pass


async def test_output_is_learned_from_calls_that_set_no_maximum() -> None:
    """By model and user; a call's own maximum says nothing about what it would have written."""
    rule = LimitRule(per=("global",), tokens=(Rate(10**6, 60),))
    bench = limiting(rule)
    unasked = call(max_output_tokens=None)
    for _ in range(3):
        async with bench.limiter.admit(ALICE, unasked, FIFTY) as admission:
            admission.settle(usage(50, 30))
        async with bench.limiter.admit(ALICE, call(), FIFTY) as admission:
            admission.settle(usage(50, 100))
        async with bench.limiter.admit(ALICE, unasked, FIFTY) as admission:
            admission.settle(usage(0, 0))
    before = used(bench, rule)[0]

    async with bench.limiter.admit(ALICE, unasked, FIFTY):
        assert used(bench, rule)[0] == before + 80
    async with bench.limiter.admit(BOB, unasked, FIFTY):
        assert used(bench, rule)[0] == before + 1050


async def test_a_model_without_a_price_under_a_budget() -> None:
    """Costs nothing, or is refused, as configured; a shared reply needs no price."""
    bench = limiting(RULE)
    async with bench.limiter.admit(ALICE, call(), FIFTY) as admission:
        admission.settle(usage(50, 20))
    assert used(bench)[3] == 0

    strict = Limiter([RULE], bench.store, bench.clock, unpriced="refuse")
    with pytest.raises(PermissionDeniedError) as caught:
        async with strict.admit(ALICE, call(), FIFTY):
            pass
    assert caught.value.code == "model_not_priced"
    async with strict.admit(ALICE, call(), FIFTY, shared=True):
        pass


async def test_a_spent_budget_comes_back_at_midnight() -> None:
    """UTC; until then it is an insufficient quota that no retry cures."""
    bench = limiting(LimitRule(per=("user",), budget=(Budget(10**6, "day"),)))
    async with bench.limiter.admit(ALICE, call(), FIFTY, price=PRICE) as admission:
        admission.settle(usage(50, 113))
    error = await refusal(bench)
    assert error.headers["retry-after"] == str(16 * 3600 + 1)
    assert error.headers["x-should-retry"] == "false"

    bench.clock.advance(16 * 3600)

    async with bench.limiter.admit(ALICE, call(), FIFTY, price=PRICE):
        pass


async def test_an_upstreams_limit_is_taken_where_it_is_chosen() -> None:
    """One without room is passed over; what an attempt held of its upstream ends with it."""
    rule = LimitRule(per=("upstream",), requests=(Rate(3, 60),), concurrency=1)
    bench = limiting(rule)
    async with (
        bench.limiter.admit(ALICE, call(), FIFTY) as first,
        bench.limiter.admit(BOB, call(), FIFTY) as second,
    ):
        assert await first.take_upstream("openai")
        assert not await second.take_upstream("openai")
        assert second.upstream_refusal is not None
        assert "for upstream openai on concurrent requests" in second.upstream_refusal.message
        assert await second.take_upstream("azure")
        assert await first.take_upstream("ollama")
        assert await second.take_upstream("openai")
        first.settle(usage(1, 1))
        assert await second.take_upstream("ollama")

    assert len(bench.limiter.taker.running) == 0


async def test_an_upstreams_limit_is_told_where_it_is_the_tightest() -> None:
    """In each dimension the least share left of all that weighs on a call, with the upstream that was tried last."""
    bench = limiting(
        LimitRule(per=("user",), requests=(Rate(10, 60),), tokens=(Rate(1000, 60),)),
        LimitRule(per=("upstream",), match={"upstream": "gpu"}, requests=(Rate(2, 60),)),
        LimitRule(per=("upstream",), match={"upstream": "big"}, requests=(Rate(100, 60),)),
    )

    def told(admission: Admission) -> list[bytes]:
        fields = dict(admission.headers)
        assert len(admission.headers) == len(fields) == 6
        return [
            fields[b"x-ratelimit-%b" % name]
            for name in (b"limit-requests", b"remaining-requests", b"limit-tokens")
        ]

    async with bench.limiter.admit(ALICE, call(), FIFTY) as admission:
        assert told(admission) == [b"10", b"9", b"1000"]
        await admission.take_upstream("big")
        assert told(admission) == [b"10", b"9", b"1000"]
        for left in (b"1", b"0"):
            await admission.take_upstream("gpu")
            assert told(admission) == [b"2", left, b"1000"]
        assert not await admission.take_upstream("gpu")
        assert told(admission) == [b"2", b"0", b"1000"]
        await admission.take_upstream("free")
        assert told(admission) == [b"10", b"9", b"1000"]


async def test_the_last_upstream_is_waited_for() -> None:
    """Where its rule says so, and no other target is left."""
    bench = limiting(LimitRule(per=("upstream",), concurrency=1, wait_seconds=30))
    async with (
        bench.limiter.admit(ALICE, call(), FIFTY) as first,
        bench.limiter.admit(BOB, call(), FIFTY) as second,
    ):
        await first.take_upstream("gpu")
        assert not await second.take_upstream("gpu")
        waiting = asyncio.ensure_future(second.take_upstream("gpu", last=True))
        await asyncio.sleep(0)
        assert not waiting.done()
        first.settle(None)
        assert await waiting


async def test_queueing_in_vain_is_not_own_time() -> None:
    """What a call waited for a place that it did not get is noted as waited."""
    bench = limiting(LimitRule(per=("user",), concurrency=1, wait_seconds=5))
    record = Record(request_id="r", endpoint="e", method="POST", started=0.0)
    async with bench.limiter.admit(ALICE, call(), FIFTY):
        second = bench.limiter.admit(ALICE, call(), FIFTY, record=record)
        waiting = asyncio.ensure_future(second.__aenter__())
        for _ in range(60):
            await asyncio.sleep(0)
            bench.clock.advance(0.1)
        with pytest.raises(RateLimitError):
            await waiting

    assert record.waited_seconds == pytest.approx(5, abs=0.2)


async def test_a_known_refusal_is_given_before_the_body_is_read() -> None:
    """By the user alone, for as long as it holds."""
    bench = limiting(LimitRule(per=("user",), requests=(Rate(1, 60),)))
    bench.limiter.check(ALICE)
    async with bench.limiter.admit(ALICE, call(), FIFTY) as admission:
        await admission.take_upstream("openai")
    bench.limiter.check(ALICE)
    await refusal(bench)

    with pytest.raises(RateLimitError, match="for user alice"):
        bench.limiter.check(ALICE)
    bench.limiter.check(BOB)
    bench.clock.advance(61)
    bench.limiter.check(ALICE)


async def test_a_reload_keeps_what_was_counted() -> None:
    """A limiter of other rules over the same store goes on from where the old one was."""
    bench = limiting(RULE)
    async with bench.limiter.admit(ALICE, call(), FIFTY, price=PRICE) as admission:
        admission.settle(usage(50, 20))
    tighter = LimitRule(per=("user",), requests=(Rate(1, 60),))

    with pytest.raises(RateLimitError):
        async with Limiter([tighter], bench.store, bench.clock).admit(ALICE, call(), FIFTY):
            pass


async def test_used_ratios_are_of_the_last_admission() -> None:
    """For gauges."""
    bench = limiting(RULE)
    async with bench.limiter.admit(ALICE, call(), FIFTY, price=PRICE):
        ratios = bench.limiter.used_ratios()

    assert ratios[("alice", "user", "requests")] == 0.2
    assert ratios[("alice", "user", "tokens")] == 0.15
    assert ratios[("alice", "user", "concurrency")] == 0.5
    assert bench.limiter.used_ratios()[("alice", "user", "concurrency")] == 0.0


async def test_an_admission_is_made_of_one_round_trip() -> None:
    """Whatever the number of rules."""
    bench = limiting(RULE, LimitRule(per=("global",), requests=(Rate(10, 60),)))
    asked: list[int] = []
    take_now = bench.store.take_now

    def counted(charges: list[object]) -> Decision:
        asked.append(len(charges))
        return take_now(charges)  # type: ignore[arg-type]

    bench.store.take_now = counted  # type: ignore[method-assign, assignment]
    async with bench.limiter.admit(ALICE, call(), FIFTY, price=PRICE):
        assert asked == [6]
