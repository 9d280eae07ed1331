"""What is sent to the scripts, and what is understood of their answers."""

import hashlib

import pytest

from gateway.clock import SystemClock
from gateway.errors import StoreError
from gateway.stores import NEVER, Bucket, Charges, Kind
from gateway.stores.memory import MemoryStore
from gateway.stores.redis_scripts import Form, Script, read_decision, text

STORE = MemoryStore(SystemClock())
CHARGES: Charges = [(Bucket("a", 5, 60, Kind.COUNT), 1), (Bucket("b", 5, 0, Kind.LEASE), 1)]


def test_a_script_is_run_by_its_digest() -> None:
    """Or sent whole; lengths count what is sent."""
    script = Script("renew")
    digest = hashlib.sha1(script.source.encode(), usedforsecurity=False).hexdigest()

    assert script.command(text("me") + text("5"), [text("k")], []) == (
        b"*6\r\n$7\r\nEVALSHA\r\n$40\r\n%b\r\n$1\r\n1\r\n$1\r\nk\r\n$2\r\nme\r\n$1\r\n5\r\n"
        % digest.encode()
    )
    whole = script.command(text("me") + text("5"), [text("k")], [], whole=True)
    assert whole.startswith(b"*6\r\n$4\r\nEVAL\r\n$%d\r\n-- What the" % len(script.source))


def test_charges_are_numbers_in_a_row() -> None:
    """Windows are microseconds."""
    counted, held = (Form("gw:", bucket) for bucket, _ in CHARGES)

    assert counted.key == "$4\r\ngw:a\r\n"
    assert counted.take(1, 2, 3) == "$18\r\n1 5 60000000 0 2 3\r\n"
    assert held.settle(1, 0, 0.0) == "$9\r\n1 0 0 0 2\r\n"


@pytest.mark.parametrize(("wait", "seconds"), [(-1, NEVER), (-2, None), (1_500_000, 1.5)])
def test_a_refusal_is_understood(wait: int, seconds: float | None) -> None:
    """Which charge, and for how long."""
    decision = read_decision(STORE, CHARGES, [2, wait, 7, 5, 61_000_000, 0, 1, 0])

    assert decision.refusal == (1, seconds)
    assert decision.slots == [7, 0]
    assert decision.used == [5, 1]
    assert decision.resets == [61.0, 0.0]


@pytest.mark.parametrize(
    "reply", [None, b"OK", 1, [], [0, 0, 7, 5, 1], [0, 0, 7, 5, 1, 0, 1, b"0"], [[]] * 8]
)
def test_anything_else_makes_no_sense(reply: object) -> None:
    """Which is an error of the store, whatever it sent."""
    with pytest.raises(StoreError, match="makes no sense"):
        read_decision(STORE, CHARGES, reply)
