"""Values in this process's memory, bounded by their bytes: the least recently used goes first."""

import math

from cachetools import LRUCache

from gateway.clock import Clock

# What an entry takes beside its value: its key, its time, its places in the tables.
ENTRY_BYTES = 512


class MemoryValues:
    """Bytes under keys, each until its time is over or room is short."""

    def __init__(self, clock: Clock, max_bytes: int) -> None:
        # How many values went because room was short.
        self.evictions = 0
        self._now = clock.monotonic
        self._max_bytes = max_bytes
        self._values: LRUCache[str, tuple[float, bytes]] = LRUCache(
            math.inf, getsizeof=lambda entry: len(entry[1]) + ENTRY_BYTES
        )

    @property
    def size_bytes(self) -> int:
        """What is kept, with what keeping it takes."""
        return int(self._values.currsize)

    async def get(self, key: str) -> bytes | None:
        """Return what was set and has not expired."""
        entry = self._values.get(key)
        if entry is None:
            return None
        due, value = entry
        if due <= self._now():
            del self._values[key]
            return None
        return value

    async def set(self, key: str, value: bytes, ttl_seconds: float) -> None:
        """Keep `value`, unless it alone is larger than all the room."""
        if len(value) + ENTRY_BYTES <= self._max_bytes:
            self._values[key] = (self._now() + ttl_seconds, value)
            self._make_room()

    def resize(self, max_bytes: int) -> None:
        """Keep no more than `max_bytes` from now on."""
        self._max_bytes = max_bytes
        self._make_room()

    def _make_room(self) -> None:
        while self._values.currsize > self._max_bytes:
            self._values.popitem()
            self.evictions += 1
