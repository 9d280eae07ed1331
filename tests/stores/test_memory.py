"""State in this process: compared with a model that remembers everything, over any interleaving."""

import random
from dataclasses import dataclass

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from gateway.stores import NEVER, SLOTS, Bucket, Decision, Kind
from gateway.stores.memory import MemoryStore
from tests.support.clock import FakeClock

MINUTE = 60.0
COUNT = Bucket("count", 4, MINUTE, Kind.COUNT)
SECOND_COUNT = Bucket("second-count", 3, 1.0, Kind.COUNT)
TOKENS = Bucket("tokens", 100, MINUTE, Kind.RESERVE)
BUDGET = Bucket("budget", 1000, 2 * 86_400.0, Kind.TOTAL)
PLACES = Bucket("places", 3, 0, Kind.LEASE)
BUCKETS = (COUNT, SECOND_COUNT, TOKENS, BUDGET, PLACES)

# Times are multiples of this: exact in floats, as are the slots' borders.
TICK = 1 / 64


@dataclass
class Entry:
    """One charge that was granted, as the model remembers it."""

    bucket: Bucket
    at: float
    amount: int
    final: int | None = None
    settled_at: float = 0.0

    def weight(self, now: float, window: float) -> int:
        """Return what it weighs if a window is this long."""
        inside = now - self.at < window
        if self.bucket.kind == Kind.COUNT:
            return (self.amount if self.final is None else self.final) if inside else 0
        if self.final is None:
            return self.amount
        if self.bucket.kind == Kind.LEASE:
            return 0
        if self.bucket.kind == Kind.TOTAL:
            return self.final
        late = max(0, self.final - self.amount) if now - self.settled_at < window else 0
        return late + (min(self.final, self.amount) if inside else 0)


class StoreMachine(RuleBasedStateMachine):
    """Calls that come, end and wait in any order, beside a list of all that ever happened."""

    @initialize(offset=st.integers(0, 64 * 60))
    def start(self, offset: int) -> None:
        """Start anywhere between the slots' borders."""
        self.clock = FakeClock()
        self.clock.advance(offset * TICK)
        self.store = MemoryStore(self.clock)
        self.entries: list[Entry] = []
        self.open: list[tuple[Decision, list[Entry]]] = []

    def weight(self, bucket: Bucket, window: float) -> int:
        """Return what the model says is used of a bucket."""
        now = self.clock.monotonic()
        return sum(e.weight(now, window) for e in self.entries if e.bucket is bucket)

    def take(self, charges: list[tuple[Bucket, int]]) -> Decision:
        """Take, and compare the answer with the model's."""
        decision = self.store.take_now(charges)
        window_fits = True
        for index, (bucket, amount) in enumerate(charges):
            own = amount if decision.refusal is None else 0
            least = self.weight(bucket, bucket.window_seconds) + own
            most = self.weight(bucket, bucket.window_seconds * (SLOTS + 1) / SLOTS) + own
            assert least <= decision.used[index] <= most
            if decision.refusal is None:
                assert least <= bucket.capacity
            window_fits = window_fits and most + amount - own <= bucket.capacity
        if decision.refusal is None:
            now = self.clock.monotonic()
            entries = [Entry(bucket, now, amount) for bucket, amount in charges]
            self.entries += entries
            self.open.append((decision, entries))
        else:
            assert not window_fits, "it refused what fits"
        return decision

    @rule(
        amounts=st.fixed_dictionaries(
            {},
            optional={
                COUNT: st.just(1),
                SECOND_COUNT: st.just(1),
                TOKENS: st.integers(1, 110),
                BUDGET: st.integers(1, 300),
                PLACES: st.just(1),
            },
        )
    )
    def ask(self, amounts: dict[Bucket, int]) -> None:
        """Ask for some of everything, as a call does."""
        self.take(list(amounts.items()))

    @rule(amount=st.integers(1, 100), count=st.integers(0, 1))
    def ask_as_told(self, amount: int, count: int) -> None:
        """Be refused, wait as told, and be let in, if nothing is in flight."""
        charges = [(TOKENS, amount), (COUNT, count), (SECOND_COUNT, count)]
        refusal = self.take(charges).refusal
        in_flight = any(e.final is None and e.bucket is TOKENS for e in self.entries)
        if refusal is not None and refusal.retry_after_seconds not in (None, NEVER):
            assert refusal.retry_after_seconds is not None
            self.clock.advance(refusal.retry_after_seconds)
            assert self.take(charges).refusal is None or in_flight

    @precondition(lambda self: self.open)
    @rule(which=st.integers(0), factor=st.sampled_from([0.0, 0.5, 1.0, 1.5]))
    def end(self, which: int, factor: float) -> None:
        """End a call in flight: as reserved, cheaper, dearer, or as if it had never been."""
        decision, entries = self.open.pop(which % len(self.open))
        finals = [
            min(e.amount, round(e.amount * factor))
            if e.bucket.kind == Kind.COUNT
            else round(e.amount * factor)
            for e in entries
        ]
        self.store.settle(decision, finals)
        for entry, final in zip(entries, finals, strict=True):
            entry.final, entry.settled_at = final, self.clock.monotonic()

    @rule(ticks=st.one_of(st.integers(1, 64), st.integers(1, 64 * 90)))
    def wait(self, ticks: int) -> None:
        """Let time pass."""
        self.clock.advance(ticks * TICK)

    def teardown(self) -> None:
        """When all has ended and left, nothing is left behind."""
        for decision, _ in getattr(self, "open", []):
            self.store.settle(decision, [0] * len(decision.charges))
        if hasattr(self, "clock"):
            self.clock.advance(10 * 86_400)
            assert len(self.store) == 0
            assert self.clock.pending == 0


StoreMachine.TestCase.settings = settings(max_examples=300, stateful_step_count=50, deadline=None)
TestStoreMachine = StoreMachine.TestCase


@pytest.mark.parametrize("window", [1.0, 60.0, 3600.0, 86_400.0])
@pytest.mark.parametrize("capacity", [1, 7, 60, 1000])
def test_steady_demand_gets_nearly_all(window: float, capacity: int) -> None:
    """Who always asks gets at least 95 % of the capacity in the long run, whatever the window."""
    clock = FakeClock()
    store = MemoryStore(clock)
    bucket = Bucket("requests", capacity, window, Kind.COUNT)
    step = window / 997
    admitted = 0
    for _ in range(997 * 20):
        admitted += store.take_now([(bucket, 1)]).refusal is None
        if capacity > 200:
            admitted += store.take_now([(bucket, 1)]).refusal is None
        clock.advance(step)

    assert 0.95 * capacity * 20 <= admitted <= capacity * 21


def test_a_burst_is_let_in_whole() -> None:
    """The whole capacity may come at once, and comes back at once when it has left."""
    clock = FakeClock()
    store = MemoryStore(clock)
    bucket = Bucket("requests", 100, 60, Kind.COUNT)

    assert [store.take_now([(bucket, 1)]).refusal is None for _ in range(101)].count(True) == 100
    clock.advance(61)
    assert [store.take_now([(bucket, 1)]).refusal is None for _ in range(101)].count(True) == 100


def test_memory_for_millions_of_names_is_given_back() -> None:
    """A name's state is dropped when it is as good as new, and not before; sweeps are short."""
    clock = FakeClock()
    store = MemoryStore(clock)
    for number in range(5000):
        store.take_now([(Bucket(f"end-user-{number}", 1, 60, Kind.COUNT), 1)])
        clock.advance(0.01)

    assert len(store) == 5000
    clock.advance(30)
    assert store.take_now([(Bucket("end-user-4999", 1, 60, Kind.COUNT), 1)]).refusal is not None
    clock.advance(180)
    assert len(store) == 0
    assert clock.pending == 0


def test_what_is_refused_or_released_leaves_no_lease_behind() -> None:
    """A place's state is there while a call holds it."""
    store = MemoryStore(FakeClock())
    full = Bucket("full", 0, 60, Kind.COUNT)

    store.take_now([(PLACES, 1), (full, 1)])
    assert len(store) == 1
    decision = store.take_now([(PLACES, 1)])
    assert len(store) == 2
    store.settle(decision, [0])
    assert len(store) == 1


async def test_closing_stops_the_sweeps() -> None:
    """Nothing fires after the end."""
    clock = FakeClock()
    store = MemoryStore(clock)
    await store.take([(COUNT, 1)])
    assert clock.pending == 1

    await store.aclose()

    assert clock.pending == 0


async def test_taking_never_gives_way() -> None:
    """A decision is made in one go: no other call can come in between."""
    store = MemoryStore(FakeClock())
    step = store.take([(COUNT, 1)])

    with pytest.raises(StopIteration):
        step.send(None)


def test_random_interleavings_of_many_windows_agree_with_the_sum() -> None:
    """A long window's booked sum is what its calls came to, whatever was held in between."""
    chance = random.Random(3)
    clock = FakeClock()
    store = MemoryStore(clock)
    bucket = Bucket("tokens", 10**9, 86_400, Kind.RESERVE)
    calls: list[Decision] = []
    used = 0
    for _ in range(20_000):
        clock.advance(chance.random())
        if calls and chance.random() < 0.5:
            final = chance.randrange(300)
            used += final
            store.settle(calls.pop(chance.randrange(len(calls))), [final])
        else:
            calls.append(store.take_now([(bucket, chance.randrange(200))]))
    for call in calls:
        store.settle(call, [0])

    assert store.take_now([(bucket, 0)]).used == [used]
