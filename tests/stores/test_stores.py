"""The nouns of the stores."""

import pytest

from gateway.clock import SystemClock
from gateway.stores import SLOTS, Bucket, Decision, Kind
from gateway.stores.memory import MemoryStore


@pytest.mark.parametrize(
    ("kind", "slot_seconds", "holds"),
    [(Kind.COUNT, 1.0, False), (Kind.RESERVE, 1.0, True), (Kind.TOTAL, 0.0, True)],
)
def test_a_bucket_knows_what_follows_from_its_kind(
    kind: Kind, slot_seconds: float, holds: bool
) -> None:
    """Counts and reservations slide by slots; all but counts are held until they are settled."""
    bucket = Bucket("key", 5, 60, kind)

    assert (bucket.slot_seconds, bucket.holds) == (slot_seconds, holds)
    assert not Bucket("key", 5, 0, Kind.LEASE).slot_seconds


def test_a_decision_tells_when_its_buckets_are_as_good_as_new() -> None:
    """From now where it was granted, or as the store says; what does not slide has no such time."""
    charges = [(Bucket("a", 5, 60, Kind.COUNT), 1), (Bucket("b", 5, 0, Kind.LEASE), 1)]
    decision = Decision(MemoryStore(SystemClock()), charges, [100.0, 0.0], [1, 1])
    decision.at = 100.25

    assert decision.reset_seconds(0) == 100 + SLOTS + 1 - 100.25
    assert decision.reset_seconds(1) == 0.0
    decision.resets = [7.0, 0.0]
    assert decision.reset_seconds(0) == 7.0
