"""What is Redis's own: leases, expiry, several gateways, scripts that are forgotten, clocks that step."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from gateway.clock import SystemClock
from gateway.errors import StoreError
from gateway.stores import SLOTS, Bucket, Decision, Kind
from gateway.stores.redis import RedisStore
from gateway.stores.redis_client import RedisAddress, RedisConnection, connect, encode
from tests.stores.conftest import next_prefix
from tests.support.redis_server import RedisServer
from tests.support.running_store import HANG_SECONDS, running

REQUESTS = Bucket("requests", 5, 3600, Kind.COUNT)
TOKENS = Bucket("tokens", 100, 3600, Kind.RESERVE)
BUDGET = Bucket("budget", 2**53 - 1, 86_400, Kind.TOTAL)
PLACES = Bucket("places", 3, 0, Kind.LEASE)
LEASE_SECONDS = 0.3


@contextlib.asynccontextmanager
async def gateway(
    server: RedisServer, prefix: str, *, lease_seconds: float = 30.0
) -> AsyncIterator[RedisStore]:
    """Run one gateway's store, beside others of the same prefix."""
    store = RedisStore(
        server.url,
        SystemClock(),
        prefix=prefix,
        timeout_seconds=5.0,
        lease_seconds=lease_seconds,
    )
    async with running(store):
        yield store


@contextlib.asynccontextmanager
async def raw(server: RedisServer) -> AsyncIterator[RedisConnection]:
    """Connect without a store."""
    connection = await connect(
        RedisAddress.from_url(server.tcp_url), SystemClock(), timeout_seconds=5, connect_seconds=5
    )
    try:
        yield connection
    finally:
        connection.close()


async def until(check: Callable[[], Awaitable[bool]]) -> None:
    """Return when `check` says yes."""
    async with asyncio.timeout(HANG_SECONDS):
        while not await check():  # noqa: ASYNC110 -- the server has no event for it
            await asyncio.sleep(0.01)


async def fits(store: RedisStore, *charges: tuple[Bucket, int]) -> bool:
    """Tell whether charges are granted; they stay taken."""
    return (await store.take(charges)).refusal is None


async def test_several_gateways_share_one_limit(redis_server: RedisServer) -> None:
    """Eight hundred calls of four gateways, at once: never more than the capacity between them."""
    prefix = next_prefix()
    bucket = Bucket("shared", 20, 0.5, Kind.COUNT)
    taken: Counter[float] = Counter()
    running_now = peak = 0

    async def call(store: RedisStore) -> None:
        nonlocal running_now, peak
        decision = await store.take([(bucket, 1), (PLACES, 1)])
        if decision.refusal is None:
            taken[decision.slots[0]] += 1
            running_now += 1
            peak = max(peak, running_now)
            await asyncio.sleep(0)
            running_now -= 1
            store.settle(decision, [1, 0])

    async with contextlib.AsyncExitStack() as stack:
        stores = [await stack.enter_async_context(gateway(redis_server, prefix)) for _ in range(4)]
        for _ in range(20):
            await asyncio.gather(*(call(store) for store in stores for _ in range(10)))
            await asyncio.sleep(0.02)

    assert taken.total() >= 20
    assert 0 < peak <= 3
    for first in taken:
        assert sum(n for slot, n in taken.items() if first <= slot <= first + SLOTS) <= 20


async def test_a_gateway_that_dies_loses_what_it_held(redis_server: RedisServer) -> None:
    """Its lease ends: places and reservations are free again, what was booked stays."""
    prefix = next_prefix()
    dead = RedisStore(
        redis_server.url,
        SystemClock(),
        prefix=prefix,
        timeout_seconds=5.0,
        lease_seconds=LEASE_SECONDS,
    )
    async with running(dead):
        assert await fits(dead, (PLACES, 3), (TOKENS, 60), (REQUESTS, 4))
        settled = await dead.take([(TOKENS, 40)])
        dead.settle(settled, [30])
    async with gateway(redis_server, prefix, lease_seconds=LEASE_SECONDS) as other:
        assert not await fits(other, (PLACES, 1))

        await until(lambda: fits(other, (PLACES, 3), (TOKENS, 70), (REQUESTS, 1)))

        assert not await fits(other, (TOKENS, 1))
        assert not await fits(other, (REQUESTS, 1))


async def test_a_gateway_that_lives_keeps_what_it_holds(redis_server: RedisServer) -> None:
    """Leases are renewed for as long as a call runs, however long that is."""
    prefix = next_prefix()
    async with (
        gateway(redis_server, prefix, lease_seconds=LEASE_SECONDS) as one,
        gateway(redis_server, prefix) as other,
        raw(redis_server) as server,
    ):
        held = await one.take([(PLACES, 3), (TOKENS, 100)])
        first = await server.call("HGETALL", f"{prefix}places")

        async def renewed_thrice() -> bool:
            """Tell whether so much time has passed that the lease of the start is over."""
            assert not await fits(other, (PLACES, 1))
            assert not await fits(other, (TOKENS, 1))
            now = await server.call("HGETALL", f"{prefix}places")
            assert isinstance(now, list)
            assert isinstance(first, list)
            ends = [int(words[words.index(b"x") + 1]) for words in (first, now)]
            return ends[1] - ends[0] > LEASE_SECONDS * 2 * 1_000_000

        await until(renewed_thrice)
        one.settle(held, [0, 0])
        await until(lambda: fits(other, (PLACES, 3), (TOKENS, 100)))


async def test_a_flushed_server_learns_at_once_what_is_held(redis_server: RedisServer) -> None:
    """The next call of the gateway that holds the places puts them back."""
    prefix = next_prefix()
    async with gateway(redis_server, prefix) as store, raw(redis_server) as server:
        held = await store.take([(PLACES, 2), (TOKENS, 90)])
        await server.call("DEL", f"{prefix}places", f"{prefix}tokens")

        assert not await fits(store, (PLACES, 2))
        assert not await fits(store, (TOKENS, 20))
        store.settle(held, [0, 90])
        assert await fits(store, (PLACES, 3), (TOKENS, 10))


async def test_scripts_that_the_server_forgot_are_sent_again(redis_server: RedisServer) -> None:
    """SCRIPT FLUSH, or a server that takes another's place: no call notices."""
    async with gateway(redis_server, next_prefix()) as store, raw(redis_server) as server:
        await server.call("SCRIPT", "FLUSH")
        decisions = await asyncio.gather(*(store.take([(PLACES, 1)]) for _ in range(4)))

        assert [d.refusal for d in decisions].count(None) == 3
        await server.call("SCRIPT", "FLUSH")
        store.settle(decisions[0], [0])
        await until(lambda: fits(store, (PLACES, 1)))
        assert store.errors == {}


async def test_every_key_has_the_prefix_and_an_end(redis_server: RedisServer) -> None:
    """A key outlasts what it counts, and not by much."""
    prefix = next_prefix()
    async with gateway(redis_server, prefix) as store, raw(redis_server) as server:
        await store.take([(REQUESTS, 1), (TOKENS, 1), (BUDGET, 1), (PLACES, 1)])
        await store.set("value", b"v", 60)
        left = {
            name: await server.call("TTL", f"{prefix}{name}")
            for name in ("requests", "tokens", "budget", "places", "value")
        }

    assert left["requests"] in range(3600 + 60, 3600 + 121)
    assert left["tokens"] in range(3600 + 60, 3600 + 121)
    assert left["budget"] in range(86_300, 86_401)
    assert left["places"] in range(20, 31)
    assert left["value"] in range(50, 61)


async def test_a_key_is_gone_when_it_is_as_good_as_new(redis_server: RedisServer) -> None:
    """Idle names cost nothing."""
    prefix = next_prefix()
    async with gateway(redis_server, prefix) as store, raw(redis_server) as server:
        place = await store.take([(PLACES, 1), (Bucket("brief", 5, 0.2, Kind.COUNT), 1)])
        store.settle(place, [0, 1])

        async def gone() -> bool:
            return await server.call("KEYS", f"{prefix}[!p]*") == []

        await until(gone)
        assert await server.call("EXISTS", f"{prefix}places") == 0


async def test_a_clock_that_steps_back_frees_nothing_early(redis_server: RedisServer) -> None:
    """What was booked in what is now the future counts as booked now."""
    prefix = next_prefix()
    bucket = Bucket("stepped", 5, 60, Kind.COUNT)
    async with gateway(redis_server, prefix) as store, raw(redis_server) as server:
        first = await store.take([(bucket, 3)])
        # As if the server's clock had been an hour ahead until now.
        ahead = first.slots[0] + 3600
        key = f"{prefix}stepped"
        await server.call("HDEL", key, str(int(first.slots[0])))
        await server.call("HSET", key, "f", str(ahead - 1), "s", str(ahead))
        await server.call("HSET", key, str(ahead - 1), "1", str(ahead), "2")

        decision = await store.take([(bucket, 2)])
        assert decision.refusal is None
        assert decision.used == [5]
        refused = await store.take([(bucket, 1)])
        assert refused.refusal is not None
        assert refused.refusal.retry_after_seconds is not None
        assert 58 < refused.refusal.retry_after_seconds <= 61
        fields = await server.call("HKEYS", key)
        assert isinstance(fields, list)
        assert len(fields) == len([b"b", b"f", b"s"]) + 1


async def test_slots_that_left_are_removed(redis_server: RedisServer) -> None:
    """A bucket in use for long holds no more than its slots."""
    prefix = next_prefix()
    bucket = Bucket("long", 10**6, 0.12, Kind.COUNT)
    async with gateway(redis_server, prefix) as store, raw(redis_server) as server:
        first: Decision = await store.take([(bucket, 1)])

        async def long_in_use() -> bool:
            decision = await store.take([(bucket, 1)])
            return decision.slots[0] - first.slots[0] > 3 * SLOTS

        await until(long_in_use)
        fields = await server.call("HLEN", f"{prefix}long")
        last = await store.take([(bucket, 0)])
        slots = await server.call("HVALS", f"{prefix}long")

    assert isinstance(fields, int)
    assert fields <= 3 + SLOTS + 1
    assert isinstance(slots, list)
    assert last.used[0] < 10**6


async def test_whole_numbers_stay_whole(redis_server: RedisServer) -> None:
    """Sums up to 2^53 - 1 are exact: nine million dollars in nanodollars."""
    async with gateway(redis_server, next_prefix()) as store:
        most = 2**53 - 1
        one = await store.take([(BUDGET, most - 1)])
        store.settle(one, [most - 1])
        assert (await store.take([(BUDGET, 1)])).used == [most]


async def test_settlements_wait_for_the_connection(redis_server: RedisServer) -> None:
    """What ended while the server was away is booked when it is back."""
    prefix = next_prefix()
    bucket = Bucket("ledger", 1000, 86_400, Kind.TOTAL)
    async with gateway(redis_server, prefix) as store, raw(redis_server) as server:
        decision = await store.take([(bucket, 500), (PLACES, 1)])
        await server.call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        await until(lambda: asyncio.sleep(0, not store.up))
        store.settle(decision, [123, 0])

        await until(lambda: asyncio.sleep(0, store.up))
        assert (await store.take([(bucket, 0), (PLACES, 3)])).used == [123, 3]


async def test_a_take_that_is_cancelled_as_it_is_answered(redis_server: RedisServer) -> None:
    """The answer is there and its caller will never see it: what it granted is given back."""
    async with gateway(redis_server, next_prefix()) as store:
        task = asyncio.ensure_future(store.take([(PLACES, 3), (TOKENS, 100)]))
        await asyncio.sleep(0)
        connection = store._connection
        assert connection is not None

        def cancel(reply: object) -> None:
            task.cancel()

        # Answered right after the take, in the same piece of data.
        connection.send(encode("PING"), cancel)
        await asyncio.gather(task, return_exceptions=True)

        assert task.cancelled()
        assert await fits(store, (PLACES, 3), (TOKENS, 100))


async def test_without_a_connection_everything_fails_at_once(redis_server: RedisServer) -> None:
    """A store that never ran, and one whose password is wrong, say so and wait for nothing."""
    store = RedisStore(redis_server.url, SystemClock())
    for operation in (
        store.take([(PLACES, 1)]),
        store.get("key"),
        store.set("key", b"", 1),
    ):
        with pytest.raises(StoreError):
            await operation

    assert store.errors == {"take": 1, "get": 1, "set": 1}
    assert not store.up
    await store.aclose()


def test_a_prefix_has_to_be_ascii() -> None:
    """Keys are."""
    with pytest.raises(ValueError, match="prefix has to be ASCII"):
        RedisStore("redis://h", SystemClock(), prefix="größe:")
