"""The last calls, as a person may see them: who, what, where, how it ended and what it cost; nothing that was said."""

from collections import deque
from collections.abc import Mapping, Sequence

from gateway.entries import Entry, usd

MAX_CALLS = 50
# Names come from clients: what is shown of one that is longer.
MAX_NAME_CHARS = 200


class LastCalls:
    """The last calls that ended, oldest first."""

    def __init__(self) -> None:
        self._kept: deque[Entry] = deque(maxlen=MAX_CALLS)
        # How many there have been.
        self.count = 0

    def note(self, entry: Entry) -> None:
        """Keep a call that ended, without what is long and not shown."""
        self.count += 1
        model = entry.model
        if model is not None and len(model) > MAX_NAME_CHARS:
            entry = entry._replace(model=short(model))
        self._kept.append(entry)

    def since(self, count: int) -> Sequence[Mapping[str, object]]:
        """Return what is shown of the calls that ended after the first `count`, as far as they are kept."""
        first = self.count - len(self._kept) + 1
        numbered = enumerate(self._kept, start=first)
        return [_shown(number, entry) for number, entry in numbered if number > count]


def short(name: str | None) -> str | None:
    """Return a name, or the beginning of one that is too long to show."""
    if name is None or len(name) <= MAX_NAME_CHARS:
        return name
    return f"{name[:MAX_NAME_CHARS]}…"


def _shown(number: int, entry: Entry) -> Mapping[str, object]:
    usage = entry.usage
    return {
        "number": number,
        "time": entry.time,
        "endpoint": entry.endpoint,
        "user": short(entry.user.name) if entry.user is not None else None,
        "asked": entry.model,
        "served": short(entry.answered.model) if entry.answered is not None else None,
        "upstream": entry.answered.upstream if entry.answered is not None else None,
        "attempts": entry.attempts,
        "status": entry.status,
        "code": entry.code,
        "input_tokens": usage.input_tokens if usage is not None else None,
        "output_tokens": usage.output_tokens if usage is not None else None,
        "estimated": usage is not None and usage.estimated,
        "usd": usd(entry.cost_nanodollars),
        "cache": entry.cache,
        "seconds": entry.total_seconds,
        "first_byte_seconds": entry.first_byte_seconds,
    }
