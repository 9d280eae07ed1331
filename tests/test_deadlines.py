"""Deadlines: one timer for all waits."""

from gateway.deadlines import Deadlines
from tests.support.clock import FakeClock


def test_a_deadline_fires_once_and_no_sooner() -> None:
    """A wait that outlasts its deadline is told so, once."""
    clock = FakeClock()
    fired: list[str] = []
    Deadlines(clock).watch(1.0, lambda: fired.append("due"))

    clock.advance(0.99)
    assert fired == []
    clock.advance(0.1)
    clock.advance(10)

    assert fired == ["due"]


def test_a_dropped_deadline_never_fires() -> None:
    """A wait that is over is forgotten, and the timer rests when there is none."""
    clock = FakeClock()
    deadlines = Deadlines(clock)
    fired: list[str] = []
    deadline = deadlines.watch(1.0, lambda: fired.append("due"))

    deadline.drop()
    deadline.drop()
    clock.advance(5)

    assert fired == []
    assert len(deadlines) == 0
    assert clock.pending == 0


def test_extending_moves_a_deadline() -> None:
    """Each byte that comes moves the gap's deadline on."""
    clock = FakeClock()
    fired: list[float] = []
    start = clock.monotonic()
    deadline = Deadlines(clock).watch(1.0, lambda: fired.append(clock.monotonic() - start))

    clock.advance(0.9)
    deadline.extend(1.0)
    clock.advance(5)

    assert len(fired) == 1
    assert 1.9 <= fired[0] < 2.0


def test_one_that_fires_may_drop_another() -> None:
    """What a deadline does when it fires may end other waits that are due at the same moment."""
    clock = FakeClock()
    deadlines = Deadlines(clock)
    fired: list[str] = []

    def first() -> None:
        fired.append("first")
        second.drop()

    deadlines.watch(1.0, first)
    second = deadlines.watch(1.0, lambda: fired.append("second"))
    clock.advance(2)

    assert fired == ["first"]


def test_one_that_raises_does_not_stop_the_others() -> None:
    """The sweeper goes on after a callback that failed."""
    clock = FakeClock()
    deadlines = Deadlines(clock)
    fired: list[str] = []

    def fails() -> None:
        raise ZeroDivisionError

    deadlines.watch(1.0, fails)
    deadlines.watch(2.0, lambda: fired.append("later"))

    try:
        clock.advance(1.1)
    except ZeroDivisionError:
        fired.append("raised")
    clock.advance(2)

    assert fired == ["raised", "later"]
