"""Values in this process's memory, bounded by their bytes: the least recently used goes first."""

from collections import OrderedDict

from gateway.clock import Clock

# What an entry takes beside its value: its key, its time, its places in the tables.
ENTRY_BYTES = 512


class MemoryValues:
    """Bytes under keys, each until its time is over or room is short."""

    def __init__(self, clock: Clock, max_bytes: int) -> None:
        # How many values went because room was short.
        self.evictions = 0
        # What is kept, with what keeping it takes.
        self.size_bytes = 0
        self._now = clock.monotonic
        self._max_bytes = max_bytes
        # The least recently used first.
        self._values: OrderedDict[str, tuple[float, bytes]] = OrderedDict()

    async def get(self, key: str) -> bytes | None:
        """Return what was set and has not expired."""
        entry = self._values.get(key)
        if entry is None:
            return None
        due, value = entry
        if due <= self._now():
            self._drop(key)
            return None
        self._values.move_to_end(key)
        return value

    async def set(self, key: str, value: bytes, ttl_seconds: float) -> None:
        """Keep `value`, unless it alone is larger than all the room."""
        size_bytes = len(value) + ENTRY_BYTES
        if size_bytes <= self._max_bytes:
            if key in self._values:
                self._drop(key)
            self._values[key] = (self._now() + ttl_seconds, value)
            self.size_bytes += size_bytes
            if self.size_bytes > self._max_bytes:
                self._make_room()

    def resize(self, max_bytes: int) -> None:
        """Keep no more than `max_bytes` from now on."""
        self._max_bytes = max_bytes
        self._make_room()

    def _make_room(self) -> None:
        while self.size_bytes > self._max_bytes:
            self._drop(next(iter(self._values)))
            self.evictions += 1

    def _drop(self, key: str) -> None:
        self.size_bytes -= len(self._values.pop(key)[1]) + ENTRY_BYTES
