"""This gateway's own account of what it holds in Redis, by which the server's is corrected."""


class Holds:
    """By key: what the server granted and did not get back, and what it may have granted."""

    def __init__(self) -> None:
        self._granted: dict[str, int] = {}
        self._asked: dict[str, int] = {}
        # Keys of which it is not known what the server has, since an answer was lost.
        self.doubtful: set[str] = set()

    def bounds(self, key: str) -> tuple[int, int]:
        """Return the least and the most that the server can have granted."""
        granted = self._granted.get(key, 0)
        return granted, granted + self._asked.get(key, 0)

    def ask(self, key: str, amount: int) -> tuple[int, int]:
        """Note that a hold is asked for, and return the bounds before it."""
        granted, asked = self._granted.get(key, 0), self._asked.get(key, 0)
        self._asked[key] = asked + amount
        return granted, granted + asked

    def answer(self, key: str, amount: int, *, granted: bool) -> None:
        """Note the answer."""
        _add(self._asked, key, -amount)
        if granted:
            _add(self._granted, key, amount)

    def end(self, key: str, amount: int) -> None:
        """Note that a granted hold ended."""
        _add(self._granted, key, -amount)

    def keys(self) -> list[str]:
        """Return every key that the server has to know about."""
        return [*{**self._granted, **dict.fromkeys(self.doubtful)}]


def _add(sums: dict[str, int], key: str, amount: int) -> None:
    total = sums.get(key, 0) + amount
    if total:
        sums[key] = total
    else:
        sums.pop(key, None)
