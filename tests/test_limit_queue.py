"""Calls that wait for room: in turn, fairly, and never past their time."""

import asyncio

import pytest

from gateway.errors import RateLimitError
from gateway.limit_estimates import Estimate
from gateway.limit_queue import FairQueue
from gateway.limit_rules import LimitRule, Rate
from gateway.limits import Admission
from gateway.types import User
from tests.support.limiting import ALICE, BOB, Bench, call, limiting


async def settled() -> None:
    """Let every task go as far as it can."""
    for _ in range(20):
        await asyncio.sleep(0)


class Caller:
    """A call of its own task, which holds its place until it is told to end."""

    def __init__(self, bench: Bench, user: User, model: str = "gpt-4o") -> None:
        self.admitted = False
        self.error: RateLimitError | None = None
        self._end = asyncio.Event()
        self._admission = bench.limiter.admit(user, call(model), Estimate())
        self.task = asyncio.ensure_future(self._run())

    async def _run(self) -> None:
        try:
            async with self._admission as admission:
                self.admitted = True
                await self._hold(admission)
        except RateLimitError as error:
            self.error = error

    async def _hold(self, admission: Admission) -> None:
        await admission.take_upstream("openai")
        await self._end.wait()

    async def end(self) -> None:
        """Let the call end."""
        self._end.set()
        await self.task
        await settled()


GPU = LimitRule(per=("global",), concurrency=1, wait_seconds=30)


async def test_users_take_turns() -> None:
    """One who asks for much waits behind one who asks for little; each one's calls keep their order."""
    bench = limiting(GPU)
    callers = [Caller(bench, user) for user in (ALICE, ALICE, ALICE, BOB, ALICE, BOB)]
    await settled()
    order = []
    for _ in callers:
        (now,) = [i for i, c in enumerate(callers) if c.admitted and not c.task.done()]
        order.append(now)
        await callers[now].end()

    assert order == [0, 1, 3, 2, 5, 4]


async def test_a_call_waits_no_longer_than_its_rule_allows() -> None:
    """Then it is refused, as if it had not waited."""
    bench = limiting(GPU)
    first, second = Caller(bench, ALICE), Caller(bench, BOB)
    await settled()
    bench.clock.advance(29.9)
    await settled()
    assert not second.task.done()
    bench.clock.advance(0.1)
    await settled()

    assert second.error is not None
    assert "on concurrent requests: Limit 1, Used 1, Requested 1." in second.error.message
    await first.end()


async def test_who_leaves_leaves_the_queue() -> None:
    """The next one's turn comes, whether it was the first in line or in the middle."""
    bench = limiting(GPU)
    first, second, third = (Caller(bench, ALICE) for _ in range(3))
    await settled()
    second.task.cancel()
    await settled()
    await first.end()
    assert third.admitted
    await third.end()

    with pytest.raises(asyncio.CancelledError):
        await second.task
    assert len(bench.store) == 0


async def test_nobody_overtakes_who_waits() -> None:
    """A call that comes when a place is free waits behind those that came before."""
    rule = LimitRule(per=("global",), requests=(Rate(2, 60),), wait_seconds=120)
    bench = limiting(rule)
    early = [Caller(bench, ALICE) for _ in range(4)]
    await settled()
    assert [c.admitted for c in early] == [True, True, False, False]
    # Freed places are there; nobody has been woken yet when another call comes.
    bench.clock.advance(61)
    late = Caller(bench, ALICE)
    await settled()

    assert [c.admitted for c in early] == [True] * 4
    assert not late.admitted
    bench.clock.advance(61)
    await settled()
    assert late.admitted
    for caller in [*early, late]:
        await caller.end()


async def test_a_wait_that_is_too_long_is_not_begun() -> None:
    """When the place is known to come back later than the rule lets a call wait."""
    rule = LimitRule(per=("user",), requests=(Rate(1, 60),), wait_seconds=30)
    bench = limiting(rule)
    first, second = Caller(bench, ALICE), Caller(bench, ALICE)
    await settled()

    assert second.error is not None
    await first.end()
    bench.clock.advance(31)
    third = Caller(bench, ALICE)
    await settled()
    assert not third.task.done()
    bench.clock.advance(30)
    await settled()
    assert third.admitted
    await third.end()


async def test_who_waits_for_one_limit_may_have_to_wait_for_another() -> None:
    """It changes queues, and holds up nobody in the first."""
    own = LimitRule(per=("user",), match={"user": "alice"}, concurrency=1, wait_seconds=50)
    bench = limiting(GPU, own)
    bobs, alices = Caller(bench, BOB), Caller(bench, ALICE)
    await settled()
    assert not alices.admitted
    await bobs.end()
    assert alices.admitted
    second, other = Caller(bench, ALICE), Caller(bench, BOB)
    await settled()
    await alices.end()

    assert second.admitted or other.admitted
    for caller in (second, other) if second.admitted else (other, second):
        await caller.end()


async def test_no_timer_is_left_behind() -> None:
    """Whoever waits is woken by one timer, which ends with the wait."""
    bench = limiting(GPU)
    first, second = Caller(bench, ALICE), Caller(bench, BOB)
    await settled()
    assert bench.clock.pending == 1
    await first.end()
    await second.end()

    assert bench.clock.pending == 0


def test_a_queue_knows_who_is_next() -> None:
    """By user, then by arrival."""
    queue = FairQueue()
    first, second, other = queue.join("a"), queue.join("a"), queue.join("b")

    assert [queue.is_next(turn) for turn in (first, second, other)] == [True, False, False]
    queue.leave(first, served=False)
    assert queue.is_next(second)
    queue.leave(second, served=True)
    assert queue.is_next(other)
    queue.leave(other, served=True)
    assert len(queue) == 0
