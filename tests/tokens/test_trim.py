"""Which turns go."""

import pytest

from gateway.tokens.trim import Trim, choose, droppable, pick


def chat(roles: str) -> list[object]:
    names = {"s": "system", "d": "developer", "u": "user", "a": "assistant", "t": "tool"}
    return [{"role": names[role]} for role in roles]


@pytest.mark.parametrize(
    ("roles", "turns"),
    [
        ("suauau", [(1, 2), (3, 4)]),
        ("suattauat", [(1, 2, 3, 4, 5)]),
        ("auau", [(0,), (1, 2)]),
        ("usadau", [(0, 2, 4)]),
        ("uuu", [(0,), (1,)]),
        ("su", []),
        ("s", []),
        ("", []),
    ],
)
def test_turns(roles: str, turns: list[tuple[int, ...]]) -> None:
    """A turn begins with a user and holds all that answers; system messages and the last turn are none's."""
    assert droppable(chat(roles)) == turns


def test_malformed_messages_belong_to_their_turn() -> None:
    """What is no message goes with the turn that it stands in."""
    assert droppable([{"role": "user"}, None, 5, {"role": "user"}]) == [(0, 1, 2)]


TURNS = [(1, 2), (3, 4), (5, 6)]


@pytest.mark.parametrize(
    ("tokens", "limit", "trim"),
    [
        (100, 100, Trim(dropped=(), turns=0, tokens=0)),
        (101, 100, Trim(dropped=(1, 2), turns=1, tokens=30)),
        (120, 100, Trim(dropped=(1, 2, 3, 4), turns=2, tokens=50)),
        (160, 100, Trim(dropped=(1, 2, 3, 4, 5, 6), turns=3, tokens=60)),
        (161, 100, None),
    ],
)
def test_the_oldest_go_first(tokens: int, limit: int, trim: Trim | None) -> None:
    """Turns go until four fifths are filled; the whole window is used before anything is refused."""
    assert choose(TURNS, [30, 20, 10], tokens, limit) == trim


def test_picking() -> None:
    """A turn's messages are found by their positions."""
    assert pick(["a", "b", "c"], (0, 2)) == ["a", "c"]
