"""This gateway's own account of what it holds."""

from gateway.stores.redis_holds import Holds


def test_what_is_granted_and_what_is_asked_bound_what_the_server_has() -> None:
    """Between the two lies what is in doubt: an answer that is still to come."""
    holds = Holds()
    holds.ask("key", 5)
    assert holds.bounds("key") == (0, 5)
    assert holds.ask("key", 2) == (0, 5)
    holds.answer("key", 5, granted=True)
    assert holds.bounds("key") == (5, 7)
    holds.answer("key", 2, granted=False)
    holds.end("key", 3)
    assert holds.bounds("key") == (2, 2)


def test_what_ended_is_forgotten_unless_the_server_may_not_know() -> None:
    """Renewed are the keys that hold something, and those whose answer was lost."""
    holds = Holds()
    holds.ask("key", 1)
    holds.answer("key", 1, granted=True)
    assert holds.keys() == ["key"]
    holds.end("key", 1)
    assert holds.keys() == []

    holds.doubtful.add("key")

    assert holds.keys() == ["key"]
    assert holds.bounds("key") == (0, 0)
