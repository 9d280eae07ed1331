"""Where replies are kept, by the configuration: in memory, beside the limits in Redis, or in a Redis of their own.

A connection of their own they have in any case: behind a large reply limits would wait for longer than they may.
"""

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
        self._beside_limits = isinstance(store, FailoverStore)
        self._clock = clock
        self._tasks = tasks
        # A Redis of replies: how it was configured, and what keeps it connected.
        self._own: tuple[c.Store, FailoverStore, asyncio.Task[None]] | None = None

    @property
    def errors(self) -> Mapping[str, int]:
        """Failures of a Redis of replies, by operation."""
        return {} if self._own is None else self._own[1].errors

    def open(self, cache: c.Cache | None, store: c.Store) -> Values | None:
        """Return where replies are kept under `cache`; None: nowhere. Raises StartError."""
        url = None
        if cache is not None:
            url = cache.store or (store.url if self._beside_limits else None)
        own = None if url is None else c.Store(url=url, prefix=store.prefix, timeout=store.timeout)
        if self._own is not None and self._own[0] != own:
            self._retire()
        if own is not None and self._own is None:
            opened = store_of(own, self._clock)
            if isinstance(opened, FailoverStore):
                self._own = (own, opened, self._tasks.start(opened.run()))
        in_memory = self._own is None
        self.memory.resize(cache.max_size if cache is not None and in_memory else 0)
        if cache is None:
            return None
        return self.memory if self._own is None else self._own[1]

    def _retire(self) -> None:
        if self._own is not None:
            self._own[2].cancel()
            _ = self._tasks.start(self._own[1].aclose())
            self._own = None

    async def aclose(self) -> None:
        """Disconnect from a Redis of replies."""
        if self._own is not None:
            await self._own[1].aclose()
            self._own = None
