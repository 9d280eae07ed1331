"""From `store.url` to a store."""

import builtins
from pathlib import Path

import pytest

from gateway.clock import SystemClock
from gateway.stores import Bucket, Kind
from gateway.stores.factory import open_store
from gateway.stores.failover import FailoverStore
from gateway.stores.file import FileStore
from gateway.stores.memory import MemoryStore
from tests.support.clock import FakeClock

DAILY = Bucket("daily", 1, 86_400, Kind.COUNT)


def test_memory_is_memory() -> None:
    """Nothing else is opened."""
    assert type(open_store("memory://", FakeClock())) is MemoryStore


async def test_a_file_url_names_a_folder(tmp_path: Path) -> None:
    """It is made where it is missing, and what is in it is found again."""
    url = f"file://{tmp_path}/a/b"
    store = open_store(url, FakeClock())
    assert type(store) is FileStore
    await store.take([(DAILY, 1)])
    await store.aclose()

    again = open_store(url, FakeClock())

    assert (await again.take([(DAILY, 1)])).refusal is not None
    await again.aclose()


def test_a_server_has_a_stand_in() -> None:
    """A shared store is never without what happens when it is away."""
    for url in ("redis://h", "rediss://h", "unix:///run/redis"):
        assert type(open_store(url, SystemClock())) is FailoverStore


@pytest.mark.parametrize("url", ["", "memcached://h", "redis://h/x"])
def test_other_urls_are_refused(url: str) -> None:
    """With a ValueError that does not quote them."""
    with pytest.raises(ValueError, match=r"^((?!memcached).)*$"):
        open_store(url, SystemClock())


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without hiredis a Redis store says what to install."""
    real_import = builtins.__import__

    def without_redis(name: str, *args: object, **kwargs: object) -> object:
        if name == "gateway.stores.redis":
            raise ModuleNotFoundError("No module named 'hiredis'")
        return real_import(name, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(builtins, "__import__", without_redis)

    with pytest.raises(ValueError, match=r"install gateway\[redis\]"):
        open_store("redis://h", SystemClock())
