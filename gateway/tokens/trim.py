"""Which whole turns of a chat to drop so that it fits its window; the bytes are cut elsewhere.

A turn is a user's message and all that answers it, calls and their results together. System and developer messages
stay, and so does the last turn. Dropping goes down to a share of the window, so that the provider's cache of the
prompt holds for the next turns.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from gateway.tokens.values import as_object

# The share of the limit that is filled after dropping, in percent.
FILLED_PERCENT = 80

_STAYING_ROLES = ("system", "developer")
Turn = tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trim:
    """What to drop: positions in `messages`, how many turns they are, and the tokens that saves."""

    dropped: tuple[int, ...]
    turns: int
    tokens: int


def droppable(messages: Sequence[object]) -> list[Turn]:
    """Return the turns that may go, oldest first, each as the positions of its messages."""
    turns: list[list[int]] = [[]]
    for index, message in enumerate(messages):
        role = as_object(message).get("role")
        if role == "user" and turns[-1]:
            turns.append([])
        if role not in _STAYING_ROLES:
            turns[-1].append(index)
    return [tuple(turn) for turn in turns[:-1]]


def pick(messages: Sequence[object], turn: Iterable[int]) -> list[object]:
    """Return the messages at the positions of a turn."""
    return [messages[index] for index in turn]


def choose(turns: Sequence[Turn], sizes: Sequence[int], tokens: int, limit: int) -> Trim | None:
    """Return what to drop of a chat of `tokens` so that it fits `limit`; nothing where it does.

    None where all that may go is not enough. Where it is just enough, all of it goes.
    """
    if tokens <= limit:
        return Trim(dropped=(), turns=0, tokens=0)
    saved = gone = 0
    while gone < len(turns) and tokens - saved > limit * FILLED_PERCENT // 100:
        saved += sizes[gone]
        gone += 1
    if tokens - saved > limit:
        return None
    dropped = tuple(index for turn in turns[:gone] for index in turn)
    return Trim(dropped=dropped, turns=gone, tokens=saved)
