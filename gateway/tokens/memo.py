"""How many tokens texts had that were counted before, so that a growing chat costs only its new turn."""

from collections.abc import Callable, Sequence

# A text shorter than this is counted again as fast as it is found.
MIN_CHARACTERS = 24
# The texts of a shorter chat are looked up one by one.
MIN_TEXTS = 6
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

    def total(
        self,
        encoding: str,
        texts: Sequence[str],
        count: Callable[[str], Counted],
        max_characters: int,
    ) -> Counted | None:
        """Return the sum of what `count` says of a chat's texts, and whether all of it is exact.

        None where it would have to count more than `max_characters`. What a chat began with is remembered as a
        whole, so that one that goes on with an answer and a question costs these alone.
        """
        size, known, tokens, clean = len(texts), 0, 0, True
        if size >= MIN_TEXTS:
            known, tokens, clean = self._begun(encoding, texts)
        rest = texts[known:] if known else texts
        if sum(map(len, rest)) > max_characters:
            unknown = [len(text) for text in rest if not self.knows(encoding, text)]
            if sum(unknown) > max_characters:
                return None
        last = 0
        for text in rest:
            last, exact = self.count(encoding, text, count)
            tokens += last
            clean = clean and exact
        if size >= MIN_TEXTS and known < size:
            self._remember(_begin(encoding, texts, size), (tokens, clean))
            if known < size - 1 and clean:
                self._remember(_begin(encoding, texts, size - 1), (tokens - last, True))
        return tokens, clean

    def _begun(self, encoding: str, texts: Sequence[str]) -> tuple[int, int, bool]:
        """Return how many of a chat's texts are known as a whole, and what these come to."""
        for size in (len(texts), len(texts) - 1, len(texts) - 2):
            key = _begin(encoding, texts, size)
            found = self._young.get(key) or self._old.get(key)
            if found is not None:
                return size, *found
        return 0, 0, True

    def knows(self, encoding: str, text: str) -> bool:
        """Tell whether counting `text` takes no longer than finding it."""
        key = (encoding, hash(text), len(text))
        return key in self._young or key in self._old

    def _remember(self, key: tuple[str, int, int], counted: Counted) -> None:
        # Each step is whole in itself: two threads at once lose a generation at the worst, never a right count.
        if len(self._young) >= self._max_young:
            self._old, self._young = self._young, {}
        self._young[key] = counted


def _begin(encoding: str, texts: Sequence[str], size: int) -> tuple[str, int, int]:
    """Return the key of the first `size` texts of a chat; the minus tells it from that of a text."""
    return encoding, hash(tuple(texts[:size])), -size
