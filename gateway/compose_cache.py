"""Where replies are kept, by the configuration: in memory, beside the limits in Redis, or in a Redis of their own."""

import asyncio
from collections.abc import Mapping

from gateway import config as c
from gateway.clock import Clock
from gateway.compose_sections import store_of
from gateway.stores import Store, Values
from gateway.stores.failover import FailoverStore
from gateway.stores.values import MemoryValues
from gateway.tasks import Tasks


class Caches:
    """Keeps the place where replies are kept, from one configuration to the next."""

    def __init__(self, store: Store, clock: Clock, tasks: Tasks) -> None:
        """`store` is where the limits are."""
        self.memory = MemoryValues(clock, 0)
        self._store = store
        self._clock = clock
        self._tasks = tasks
        # A Redis for replies alone: how it was configured, and what keeps it connected.
        self._own: tuple[c.Store, FailoverStore, asyncio.Task[None]] | None = None

    @property
    def errors(self) -> Mapping[str, int]:
        """Failures of a Redis for replies alone, by operation."""
        return {} if self._own is None else self._own[1].errors

    def open(self, cache: c.Cache | None, store: c.Store) -> Values | None:
        """Return where replies are kept under `cache`; None: nowhere. Raises StartError."""
        own = None
        if cache is not None and cache.store is not None:
            own = c.Store(url=cache.store, prefix=store.prefix, timeout=store.timeout)
        if self._own is not None and self._own[0] != own:
            self._retire()
        if own is not None and self._own is None:
            opened = store_of(own, self._clock)
            if isinstance(opened, FailoverStore):
                self._own = (own, opened, self._tasks.start(opened.run()))
        in_memory = not (self._own or isinstance(self._store, FailoverStore))
        self.memory.resize(cache.max_size if cache is not None and in_memory else 0)
        if cache is None:
            return None
        if self._own is not None:
            return self._own[1]
        return self._store if isinstance(self._store, FailoverStore) else self.memory

    def _retire(self) -> None:
        if self._own is not None:
            self._own[2].cancel()
            _ = self._tasks.start(self._own[1].aclose())
            self._own = None

    async def aclose(self) -> None:
        """Disconnect from a Redis for replies alone."""
        if self._own is not None:
            await self._own[1].aclose()
            self._own = None
