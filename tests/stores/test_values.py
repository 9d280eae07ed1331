"""Values by key: one contract over memory and a real Redis, and what memory alone promises."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from gateway.clock import SystemClock
from gateway.stores import Values
from gateway.stores.failover import FailoverStore
from gateway.stores.redis import RedisStore
from gateway.stores.values import ENTRY_BYTES, MemoryValues
from tests.stores.conftest import next_prefix
from tests.support.clock import FakeClock
from tests.support.redis_server import RedisServer
from tests.support.running_store import running

ROOM = 3 * (ENTRY_BYTES + 10)


class Shelf:
    """A place for values, and the passing of its time."""

    def __init__(self, values: Values, clock: FakeClock | None) -> None:
        self.values = values
        self.clock = clock

    async def wait(self, seconds: float) -> None:
        """Let time pass."""
        if self.clock is None:
            await asyncio.sleep(seconds)
        else:
            self.clock.advance(seconds)


@pytest.fixture(params=["memory", "redis", "failover"])
async def shelf(request: pytest.FixtureRequest) -> AsyncIterator[Shelf]:
    """Each kind in turn."""
    if request.param == "memory":
        clock = FakeClock()
        yield Shelf(MemoryValues(clock, 1 << 20), clock)
        return
    server: RedisServer = request.getfixturevalue("redis_server")
    store = RedisStore(server.url, SystemClock(), prefix=next_prefix(), timeout_seconds=5.0)
    if request.param == "redis":
        async with running(store):
            yield Shelf(store, None)
        return
    async with running(FailoverStore(store, SystemClock())) as both:
        yield Shelf(both, None)


async def test_values_come_back_as_they_were_set(shelf: Shelf) -> None:
    """Any bytes come back, the newest of a key's; of a key never set nothing does."""
    every_byte = bytes(range(256)) * 300
    assert await shelf.values.get("key") is None
    await shelf.values.set("key", b"old", 60)
    await shelf.values.set("key", every_byte, 60)
    await shelf.values.set("other", b"", 60)

    assert await shelf.values.get("key") == every_byte
    assert await shelf.values.get("other") == b""


async def test_values_are_gone_after_their_time(shelf: Shelf) -> None:
    """What expired is never served, and what is set again has its time anew."""
    await shelf.values.set("short", b"1", 0.05)
    await shelf.values.set("long", b"2", 60)
    async with asyncio.timeout(10):
        while await shelf.values.get("short") is not None:
            await shelf.wait(0.05)
    await shelf.values.set("short", b"3", 60)

    assert await shelf.values.get("short") == b"3"
    assert await shelf.values.get("long") == b"2"


async def test_the_least_recently_used_goes_first() -> None:
    """Room is counted in bytes, with what keeping an entry takes; what is larger than all of it is not kept."""
    values = MemoryValues(FakeClock(), 2 * (ENTRY_BYTES + 5))
    for key in ("a", "b"):
        await values.set(key, b"12345", 60)
    await values.get("a")
    await values.set("c", b"12345", 60)
    await values.set("d", bytes(ENTRY_BYTES + 11), 60)

    assert await values.get("a") == b"12345"
    assert await values.get("b") is None
    assert await values.get("c") == b"12345"
    assert await values.get("d") is None
    assert (values.size_bytes, values.evictions) == (2 * (ENTRY_BYTES + 5), 1)


async def test_room_can_be_taken_away() -> None:
    """A smaller size takes effect at once, and keeps what was used last."""
    values = MemoryValues(FakeClock(), 1 << 20)
    for key in "abc":
        await values.set(key, b"", 60)

    values.resize(ENTRY_BYTES)

    assert [await values.get(key) for key in "abc"] == [None, None, b""]


class Model(RuleBasedStateMachine):
    """Memory against a list of what was set: newest last, each with its end."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = FakeClock()
        self.values = MemoryValues(self.clock, ROOM)
        self.model: dict[str, tuple[float, bytes]] = {}

    keys = st.sampled_from("abcdef")

    @rule(key=keys, size=st.integers(0, 700), seconds=st.sampled_from([1.0, 5.0, 60.0]))
    def set(self, key: str, size: int, seconds: float) -> None:
        """Set a value; the oldest go until it fits."""
        value = key.encode() * size
        _now(self.values.set(key, value, seconds))
        if size + ENTRY_BYTES > ROOM:
            return
        self.model.pop(key, None)
        self.model[key] = (self.clock.monotonic() + seconds, value)
        while sum(len(value) + ENTRY_BYTES for _, value in self.model.values()) > ROOM:
            del self.model[next(iter(self.model))]

    @rule(key=keys)
    def get(self, key: str) -> None:
        """Get what is there and not over; that makes it the newest."""
        due, expected = self.model.pop(key, (0.0, b""))
        found = _now(self.values.get(key))
        if due <= self.clock.monotonic():
            assert found is None
        else:
            assert found == expected
            self.model[key] = (due, expected)

    @rule(seconds=st.sampled_from([0.5, 1.0, 10.0]))
    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.clock.advance(seconds)

    @invariant()
    def room_is_kept(self) -> None:
        """Keep within the room, and count it right."""
        kept = sum(len(value) + ENTRY_BYTES for _, value in self.model.values())
        assert self.values.size_bytes == kept <= ROOM


def _now(work: "asyncio.Future[bytes | None] | object") -> object:
    """Return what a coroutine that never suspends returns."""
    try:
        work.send(None)  # type: ignore[union-attr]
    except StopIteration as end:
        return end.value
    raise AssertionError("it waited")


TestModel = Model.TestCase
