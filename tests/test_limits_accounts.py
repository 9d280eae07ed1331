"""The accounts of many calls: sums that agree, and limits that hold whatever is going on."""

import asyncio
import random
from collections import deque
from decimal import Decimal

from gateway.errors import RateLimitError
from gateway.limit_estimates import Estimate
from gateway.limit_rules import Budget, LimitRule, Rate
from gateway.limits import Admission
from gateway.prices import Price
from gateway.types import Usage
from tests.support.limiting import ALICE, BOB, call, in_use, limiting, usage

PRICE = Price.from_usd(input=Decimal(2), cached_input=Decimal(1), output=Decimal(8))
FIFTY = Estimate(input_tokens=50)

LEDGER = LimitRule(
    per=("user",),
    requests=(Rate(10**9, 86_400),),
    tokens=(Rate(10**12, 86_400),),
    budget=(Budget(10**15, "month"),),
    concurrency=10**6,
)


async def test_the_sum_of_charges_is_the_sum_of_usage() -> None:
    """A hundred thousand calls that end in every way there is: nothing is lost, nothing is double."""
    chance = random.Random(11)
    bench = limiting(LEDGER)
    flying: deque[Admission] = deque()
    requests = tokens = money = 0
    for _ in range(100_000):
        await asyncio.sleep(0)  # nobody may hold a loop for long, a test neither
        shared = chance.random() < 0.1
        asked = chance.choice([None, 100, 5000])
        admission = bench.limiter.admit(
            ALICE,
            call(max_output_tokens=asked),
            Estimate(input_tokens=chance.randrange(5000)),
            price=PRICE,
            shared=shared,
        )
        await admission.__aenter__()
        flying.append(admission)
        if chance.random() < 0.3:
            flying.rotate()
        if len(flying) < 50:
            continue
        ending = flying.popleft()
        end = chance.choice(["refused", "failed", "cut", "whole", "whole", "whole"])
        was_shared = ending._shared
        final = Usage(input_tokens=chance.randrange(1, 5000), output_tokens=chance.randrange(8000))
        if end != "refused" and not was_shared:
            await ending.take_upstream("openai")
        if end in ("cut", "whole"):
            ending.settle(final)
        await ending.__aexit__(None, None, None)
        requests += was_shared or end != "refused"
        if end in ("cut", "whole") and not was_shared:
            tokens += final.input_tokens + final.output_tokens
            money += PRICE.cost(final)
    for ending in flying:
        ending.settle(None)
        requests += ending._shared

    assert in_use(bench, LEDGER) == [requests, tokens, money, 0]


async def test_a_hammer_stays_within_every_limit() -> None:
    """Hundreds of clients at once, ending and leaving as they like, several limits at a time."""
    chance = random.Random(13)
    bench = limiting(
        LimitRule(per=("user",), requests=(Rate(40, 60),), concurrency=4),
        LimitRule(per=("global",), tokens=(Rate(9000, 60),), concurrency=6),
    )
    running = {"alice": 0, "bob": 0}
    admitted: list[tuple[float, str]] = []
    spent: list[tuple[float, int]] = []

    async def client(number: int) -> None:
        user = chance.choice([ALICE, BOB])
        try:
            async with bench.limiter.admit(user, call(), FIFTY) as admission:
                at = bench.clock.monotonic()
                running[user.name] += 1
                try:
                    assert running[user.name] <= 4
                    assert sum(running.values()) <= 6
                    await admission.take_upstream("openai")
                    admitted.append((at, user.name))
                    for _ in range(chance.randrange(4)):
                        await asyncio.sleep(0)
                    final = chance.randrange(1, 100)
                    spent.append((at, 50 + final))
                    admission.settle(usage(50, final))
                finally:
                    running[user.name] -= 1
        except RateLimitError:
            pass

    for _ in range(60):
        tasks = [asyncio.ensure_future(client(number)) for number in range(100)]
        await asyncio.sleep(0)
        for task in chance.sample(tasks, 10):
            task.cancel()
        ends = await asyncio.gather(*tasks, return_exceptions=True)
        assert {type(end) for end in ends} <= {type(None), asyncio.CancelledError}
        bench.clock.advance(chance.random() * 5)

    assert len(admitted) > 100
    for at, _ in admitted:
        for name in running:
            assert sum(at - 60 < t <= at and n == name for t, n in admitted) <= 40
        assert sum(n for t, n in spent if at - 60 < t <= at) <= 9000
    assert bench.limiter.taker.running == {}
