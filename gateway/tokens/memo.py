"""How many tokens texts had that were counted before, so that a growing chat costs only its new turn."""

from collections.abc import Callable
from threading import Lock

from cachetools import LRUCache

# A text shorter than this is counted again as fast as it is found.
MIN_CHARACTERS = 24
# What one entry costs: key, value, and their place in the cache.
_ENTRY_BYTES = 400

Counted = tuple[int, bool]


class Memo:
    """Remembers counts by hash and length, never a text; safe to use from several threads.

    The hash is Python's own, keyed at random when the process starts: nobody can aim at a collision.
    """

    def __init__(self, max_bytes: int) -> None:
        self._counts: LRUCache[tuple[str, int, int], Counted] = LRUCache(max_bytes // _ENTRY_BYTES)
        self._lock = Lock()

    def count(self, encoding: str, text: str, count: Callable[[str], Counted]) -> Counted:
        """Return what `count` says of `text`, asking it only for what is not remembered."""
        if len(text) < MIN_CHARACTERS:
            return count(text)
        key = (encoding, hash(text), len(text))
        with self._lock:
            found = self._counts.get(key)
        if found is None:
            found = count(text)
            with self._lock:
                self._counts[key] = found
        return found
