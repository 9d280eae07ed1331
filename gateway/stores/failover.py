"""What happens while a shared store is away: each gateway counts its own share, or refuses."""

import contextlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from gateway.clock import Clock
from gateway.errors import StoreError
from gateway.stores import Bucket, Charges, Decision, SharedStore
from gateway.stores.memory import MemoryStore


class FailoverStore:
    """A shared store, and beside it the memory that stands in for it."""

    def __init__(
        self,
        shared: SharedStore,
        clock: Clock,
        *,
        on_failure: Literal["allow", "refuse"] = "allow",
        replicas: int = 1,
    ) -> None:
        """`replicas`: how many gateways at most share the store."""
        self._shared = shared
        self._local = MemoryStore(clock)
        self._allow = on_failure == "allow"
        self._replicas = replicas
        self.errors = shared.errors

    @property
    def up(self) -> bool:
        """Whether the shared store answers."""
        return self._shared.up

    async def run(self) -> None:
        """Run the shared store."""
        await self._shared.run()

    def take_now(self, charges: Charges) -> None:
        """Return None: a server has to be asked."""

    async def take(self, charges: Charges) -> Decision:
        """Take from the shared store, or a share of it here.

        Raises StoreError where that is not allowed. A call larger than the share takes all of it.
        """
        if self._shared.up or not self._allow:
            try:
                return await self._shared.take(charges)
            except StoreError:
                if not self._allow:
                    raise
        return self._local.take_now([self._share(*charge) for charge in charges])

    def settle(self, decision: Decision, actual: Sequence[int]) -> None:
        """Settle where it was taken."""
        decision.store.settle(decision, actual)

    async def get(self, key: str) -> bytes | None:
        """Return what was set, or None while the store is away."""
        try:
            return await self._shared.get(key)
        except StoreError:
            return None

    async def set(self, key: str, value: bytes, ttl_seconds: float) -> None:
        """Keep `value`, unless the store is away."""
        with contextlib.suppress(StoreError):
            await self._shared.set(key, value, ttl_seconds)

    async def aclose(self) -> None:
        """Close both."""
        await self._shared.aclose()
        await self._local.aclose()

    def _share(self, bucket: Bucket, amount: int) -> tuple[Bucket, int]:
        capacity = max(1, bucket.capacity // self._replicas)
        return replace(bucket, capacity=capacity), min(amount, capacity)
