"""From `store.url` to a store."""

from pathlib import Path
from typing import Literal
from urllib.parse import unquote, urlsplit

from gateway.clock import Clock
from gateway.stores import Store
from gateway.stores.failover import FailoverStore
from gateway.stores.file import FileStore
from gateway.stores.memory import MemoryStore

# The journal's name in the directory that a file:// URL names.
JOURNAL = "limits.sqlite3"


def open_store(
    url: str,
    clock: Clock,
    *,
    prefix: str = "gateway:",
    timeout_seconds: float = 0.05,
    on_failure: Literal["allow", "refuse"] = "allow",
    replicas: int = 1,
) -> Store:
    """Return the store that `url` names: memory://, file:///directory, redis://, rediss://, unix://.

    Raises ValueError for a URL that cannot be used, without quoting it, and StoreError for a journal
    that cannot be opened.
    """
    parts = urlsplit(url)
    if parts.scheme == "memory":
        return MemoryStore(clock)
    if parts.scheme == "file":
        directory = Path(unquote(parts.path))
        directory.mkdir(parents=True, exist_ok=True)
        return FileStore(directory / JOURNAL, clock)
    try:
        # An optional extra, imported only where it is asked for.
        from gateway.stores.redis import RedisStore  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise ValueError("a Redis store needs hiredis: install gateway[redis]") from error
    shared = RedisStore(url, clock, prefix=prefix, timeout_seconds=timeout_seconds)
    return FailoverStore(shared, clock, on_failure=on_failure, replicas=replicas)
