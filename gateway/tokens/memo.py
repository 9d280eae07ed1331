"""How many tokens texts had that were counted before, so that a growing chat costs only its new turn."""

from collections.abc import Callable

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
        # Two generations instead of a list in order of use: what is found in the elder moves to the younger, and
        # a full younger one takes the elder's place. Each has half the room, and no lock is needed.
        self._max_young = max(1, max_bytes // _ENTRY_BYTES // 2)
        self._young: dict[tuple[str, int, int], Counted] = {}
        self._old: dict[tuple[str, int, int], Counted] = {}

    def count(self, encoding: str, text: str, count: Callable[[str], Counted]) -> Counted:
        """Return what `count` says of `text`, asking it only for what is not remembered."""
        if len(text) < MIN_CHARACTERS:
            return count(text)
        key = (encoding, hash(text), len(text))
        found = self._young.get(key)
        if found is None:
            found = self._old.get(key) or count(text)
            self._remember(key, found)
        return found

    def knows(self, encoding: str, text: str) -> bool:
        """Tell whether counting `text` takes no longer than finding it."""
        key = (encoding, hash(text), len(text))
        return key in self._young or key in self._old

    def _remember(self, key: tuple[str, int, int], counted: Counted) -> None:
        # Each step is whole in itself: two threads at once lose a generation at the worst, never a right count.
        if len(self._young) >= self._max_young:
            self._old, self._young = self._young, {}
        self._young[key] = counted
