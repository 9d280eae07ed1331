"""What every store promises, whichever it is: memory, a file's journal, a real Redis server."""

import asyncio
import random
from collections import Counter

import pytest

from gateway.stores import NEVER, SLOTS, Bucket, Charges, Decision, Kind
from tests.stores.conftest import Bench

# Short enough for a server's real time, long enough for a slow machine.
WINDOW_SECONDS = 0.6
DAY_SECONDS = 86_400.0

REQUESTS = Bucket("requests", 3, WINDOW_SECONDS, Kind.COUNT)
TOKENS = Bucket("tokens", 100, WINDOW_SECONDS, Kind.RESERVE)
LONG_TOKENS = Bucket("long-tokens", 100, 3600.0, Kind.RESERVE)
BUDGET = Bucket("budget", 1000, DAY_SECONDS, Kind.TOTAL)
PLACES = Bucket("places", 2, 0, Kind.LEASE)


async def granted(bench: Bench, *charges: tuple[Bucket, int]) -> Decision:
    """Take what has to be granted."""
    decision = await bench.store.take(charges)
    assert decision.refusal is None
    return decision


async def fits(bench: Bench, *charges: tuple[Bucket, int]) -> bool:
    """Tell whether charges are granted; they stay taken."""
    return (await bench.store.take(charges)).refusal is None


async def pass_window(bench: Bench) -> None:
    """Let a window of WINDOW_SECONDS pass, by the store's own time."""
    marker = Bucket("marker", 1, WINDOW_SECONDS, Kind.COUNT)
    await granted(bench, (marker, 1))
    await bench.until(lambda: fits(bench, (marker, 1)), WINDOW_SECONDS / 20)


async def test_no_window_holds_more_than_the_capacity(bench: Bench) -> None:
    """However hard a bucket is asked, any SLOTS + 1 successive slots hold at most its capacity."""
    taken: Counter[float] = Counter()

    async def ask() -> bool:
        decision = await bench.store.take([(REQUESTS, 1)])
        if decision.refusal is None:
            taken[decision.slots[0]] += 1
        return taken.total() >= 12

    await bench.until(ask, WINDOW_SECONDS / 50)

    assert all(
        sum(n for slot, n in taken.items() if first <= slot <= first + SLOTS) <= 3
        for first in taken
    )


async def test_charges_are_taken_all_or_none(bench: Bench) -> None:
    """A charge that does not fit leaves the others' buckets as they were."""
    await granted(bench, (PLACES, 2))
    refused = await bench.store.take([(LONG_TOKENS, 10), (BUDGET, 10), (PLACES, 1)])

    assert refused.refusal is not None
    assert refused.refusal.charge == 2
    assert refused.used == [0, 0, 2]
    assert (await granted(bench, (LONG_TOKENS, 1), (BUDGET, 1))).used == [1, 1]


async def test_what_is_settled_below_its_reservation_makes_room_at_once(bench: Bench) -> None:
    """Only what was used stays booked."""
    first = await granted(bench, (LONG_TOKENS, 90), (BUDGET, 900))
    assert not await fits(bench, (LONG_TOKENS, 20))
    assert not await fits(bench, (BUDGET, 200))

    bench.store.settle(first, [30, 300])

    assert (await granted(bench, (LONG_TOKENS, 70), (BUDGET, 700))).used == [100, 1000]


async def test_what_is_settled_above_its_reservation_is_charged_in_full(bench: Bench) -> None:
    """A debt keeps everything out until it has left the window; a period's debt stays."""
    first = await granted(bench, (TOKENS, 10), (BUDGET, 10))
    bench.store.settle(first, [150, 1500])

    refused = await bench.store.take([(TOKENS, 1), (BUDGET, 1)])
    assert refused.refusal is not None
    assert refused.used == [150, 1500]
    await bench.until(lambda: fits(bench, (TOKENS, 1)), WINDOW_SECONDS / 20)
    assert not await fits(bench, (BUDGET, 1))


async def test_a_reservation_counts_for_as_long_as_it_is_open(bench: Bench) -> None:
    """A call in flight keeps its tokens when its admission has left the window."""
    first = await granted(bench, (TOKENS, 100))
    await pass_window(bench)

    refused = await bench.store.take([(TOKENS, 1)])
    assert refused.refusal is not None
    assert refused.refusal.retry_after_seconds is None
    bench.store.settle(first, [100])
    assert await fits(bench, (TOKENS, 100))


async def test_a_place_comes_back_when_its_call_ends(bench: Bench) -> None:
    """Never more than the capacity at once, and nothing is left behind."""
    one, _ = await granted(bench, (PLACES, 1)), await granted(bench, (PLACES, 1))

    refused = await bench.store.take([(PLACES, 1)])
    assert refused.refusal is not None
    assert refused.refusal.retry_after_seconds is None
    bench.store.settle(one, [0])
    assert await fits(bench, (PLACES, 1))
    assert not await fits(bench, (PLACES, 1))


async def test_a_count_can_be_given_back(bench: Bench) -> None:
    """A request that was no request leaves no trace; one that was, stays."""
    bucket = Bucket("given-back", 2, 3600.0, Kind.COUNT)
    one, other = await granted(bench, (bucket, 1)), await granted(bench, (bucket, 1))

    bench.store.settle(one, [0])
    bench.store.settle(other, [1])

    assert (await granted(bench, (bucket, 1))).used == [2]
    assert not await fits(bench, (bucket, 1))


@pytest.mark.parametrize(
    ("bucket", "amount", "seconds"),
    [(LONG_TOKENS, 101, NEVER), (BUDGET, 1001, NEVER), (PLACES, 3, NEVER), (PLACES, 2, None)],
)
async def test_a_refusal_says_when_waiting_is_no_use(
    bench: Bench, bucket: Bucket, amount: int, seconds: float | None
) -> None:
    """Larger than the whole: never. Behind calls in flight: nobody knows when."""
    await granted(bench, (bucket, 1))

    refused = await bench.store.take([(bucket, amount)])

    assert refused.refusal is not None
    assert refused.refusal.retry_after_seconds == seconds


async def test_of_several_refusals_the_longest_is_told(bench: Bench) -> None:
    """A client that waits for the one it is told finds room for all."""
    used = await granted(bench, (REQUESTS, 3), (BUDGET, 1000))
    bench.store.settle(used, [3, 1000])
    await granted(bench, (PLACES, 2))

    refused = await bench.store.take([(PLACES, 1), (REQUESTS, 1)])
    assert refused.refusal is not None
    assert refused.refusal.charge == 1
    assert refused.refusal.retry_after_seconds is not None
    assert 0 < refused.refusal.retry_after_seconds <= WINDOW_SECONDS * (SLOTS + 2) / SLOTS
    refused = await bench.store.take([(REQUESTS, 1), (BUDGET, 1)])
    assert refused.refusal == (1, NEVER)


async def test_nothing_asked_always_fits(bench: Bench) -> None:
    """A charge of nothing is granted even where there is a debt."""
    first = await granted(bench, (LONG_TOKENS, 1), (BUDGET, 1))
    bench.store.settle(first, [500, 5000])

    assert (await granted(bench, (LONG_TOKENS, 0), (BUDGET, 0))).used == [500, 5000]


async def test_it_tells_when_a_bucket_is_as_good_as_new(bench: Bench) -> None:
    """A window, and up to a slot, after the last charge."""
    decision = await granted(bench, (LONG_TOKENS, 1), (PLACES, 1))

    assert 3600 <= decision.reset_seconds(0) <= 3660
    assert decision.reset_seconds(1) == 0


async def test_a_hammer_never_gets_more_than_there_is(bench: Bench) -> None:
    """Two hundred callers at once, with pauses, cancels and refunds in between."""
    chance = random.Random(5)
    bucket = Bucket("hammered", 50, 3600.0, Kind.COUNT)
    running = peak = kept = 0

    async def call() -> None:
        nonlocal running, peak, kept
        decision = await bench.store.take([(bucket, 1), (PLACES, 1)])
        if decision.refusal is not None:
            return
        running += 1
        peak = max(peak, running)
        counts = chance.random() < 0.7
        try:
            await asyncio.sleep(0)
        finally:
            running -= 1
            kept += counts
            bench.store.settle(decision, [int(counts), 0])

    for _ in range(12):
        tasks = [asyncio.ensure_future(call()) for _ in range(200)]
        await asyncio.sleep(0)
        for task in chance.sample(tasks, 60):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    assert 0 < peak <= 2
    assert kept <= 50
    last = await bench.store.take([(bucket, 1), (PLACES, 2)])
    assert last.used[0] - (last.refusal is None) == kept


async def test_the_sum_of_charges_is_the_sum_of_usage(bench: Bench) -> None:
    """Whatever was reserved, and however much at once: what is booked is what was used."""
    chance = random.Random(7)
    ledger = Bucket("ledger", 10**12, DAY_SECONDS, Kind.TOTAL)
    window = Bucket("window", 10**12, DAY_SECONDS, Kind.RESERVE)
    open_calls: list[Decision] = []
    used = 0
    for _ in range(500):
        if open_calls and chance.random() < 0.5:
            final = chance.choice([0, chance.randrange(2000)])
            used += final
            one = open_calls.pop(chance.randrange(len(open_calls)))
            bench.store.settle(one, [final, final])
        else:
            amount = chance.randrange(1000)
            open_calls.append(await granted(bench, (ledger, amount), (window, amount)))
    for one in open_calls:
        bench.store.settle(one, [0, 0])

    assert (await granted(bench, (ledger, 0), (window, 0))).used == [used, used]


async def test_a_cancelled_take_takes_nothing(bench: Bench) -> None:
    """Cancelled at any moment, asked or answered: everything is given back."""
    charges: Charges = [(PLACES, 2), (LONG_TOKENS, 100)]
    for turns in range(6):
        task = asyncio.ensure_future(bench.store.take(charges))
        for _ in range(turns):
            await asyncio.sleep(0)
        if not task.cancel():
            bench.store.settle(task.result(), [0, 0])
        await asyncio.gather(task, return_exceptions=True)

    # What was sent is answered in order, so this is answered after all of it.
    await bench.until(lambda: fits(bench, *charges), 0.01)
