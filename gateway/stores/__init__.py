"""Where shared state lives: one protocol, and the nouns that limits and stores exchange over it.

A store knows keys, amounts and windows, and nothing of users, tokens or money. One file per kind;
`failover` keeps calls going while a shared store is away.
"""

import enum
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

# A window is counted in slots of this fraction of it, and one slot more than it has is counted: no
# window of its length, wherever it begins, then holds anything unseen; a place comes back up to a slot
# late.
SLOTS = 60

# "Never": waiting does not help, or not while this bucket lasts.
NEVER = float("inf")


class Kind(enum.IntEnum):
    """How a charge weighs on its bucket."""

    # Booked at once, in the slot of its admission; can be given back.
    COUNT = 0
    # Held until it is settled; what it then came to is booked in the slot of its admission.
    RESERVE = 1
    # Held until it is given back; nothing is booked.
    LEASE = 2
    # As RESERVE, and what is booked never leaves: the key names a calendar period.
    TOTAL = 3


@dataclass(frozen=True, slots=True)
class Bucket:
    """One limited quantity: at most `capacity` of it held and booked within `window_seconds`.

    `key` is ASCII. For TOTAL the window says how long the bucket is kept, for LEASE it is 0.
    """

    key: str
    capacity: int
    window_seconds: float
    kind: Kind
    # The length of a slot; 0.0 where nothing slides.
    slot_seconds: float = field(init=False, default=0.0)
    # Whether a charge is held until it is settled.
    holds: bool = field(init=False, default=True)

    def __post_init__(self) -> None:
        if self.kind in (Kind.COUNT, Kind.RESERVE):
            object.__setattr__(self, "slot_seconds", self.window_seconds / SLOTS)
        if self.kind == Kind.COUNT:
            object.__setattr__(self, "holds", False)


# What one call asks of its buckets, all or none.
Charges = Sequence[tuple[Bucket, int]]


class Refusal(NamedTuple):
    """Which charge had no room; of several, the one that has to wait longest."""

    charge: int
    # Seconds until it fits, if nobody else comes; None: until calls in flight end.
    retry_after_seconds: float | None


class Decision:
    """What a store answered to charges; a granted one goes back to `settle`, exactly once."""

    __slots__ = ("at", "charges", "refusal", "resets", "slots", "store", "used")

    def __init__(
        self, store: "Store", charges: Charges, slots: Sequence[float], used: Sequence[int]
    ) -> None:
        self.store = store
        self.charges = charges
        # Per charge: the slot of its admission; and what is held and booked, with its own part where
        # it was granted.
        self.slots = slots
        self.used = used
        # None: granted.
        self.refusal: Refusal | None = None
        # Per charge: the seconds until the bucket, left alone, is as good as new. Empty: it begins
        # to be left alone now, at this time of the store.
        self.resets: Sequence[float] = ()
        self.at = 0.0

    def reset_seconds(self, charge: int) -> float:
        """Return the seconds until a charge's bucket, left alone, is as good as new."""
        if self.resets:
            return self.resets[charge]
        width = self.charges[charge][0].slot_seconds
        return (self.slots[charge] + SLOTS + 1) * width - self.at if width else 0.0


class Store(Protocol):
    """Shared state. An operation is one round trip; one that fails raises StoreError in time."""

    # Failures by operation, for metrics.
    errors: dict[str, int]

    @property
    def up(self) -> bool:
        """Whether the store answers."""

    async def run(self) -> None:
        """Do what is to be done beside the calls, until cancelled; return if that is nothing."""

    def take_now(self, charges: Charges) -> Decision | None:
        """Take every charge, or none, where that is done at once; None: `take` has to be awaited."""

    async def take(self, charges: Charges) -> Decision:
        """Take every charge, or none where one does not fit. A cancelled take takes nothing."""

    def settle(self, decision: Decision, actual: Sequence[int]) -> None:
        """Say what each granted charge came to; never waits and never fails.

        COUNT: what is less than taken is given back. RESERVE, TOTAL: the hold ends and this much is
        booked, what goes beyond the hold at the present time. LEASE: the hold ends.
        """

    async def aclose(self) -> None:
        """Write what is unwritten and let go of everything."""


class Values(Protocol):
    """Bytes under keys, kept for a while: a cache's. One that is away finds nothing and keeps nothing."""

    async def get(self, key: str) -> bytes | None:
        """Return what was set, or None when it is gone."""

    async def set(self, key: str, value: bytes, ttl_seconds: float) -> None:
        """Keep `value` for `ttl_seconds`, or less where room is short."""


class SharedStore(Store, Values, Protocol):
    """A server that keeps both."""
