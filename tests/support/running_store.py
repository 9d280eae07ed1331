"""A store whose `run` goes on beside the test, and the waiting for what it will have done."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import TypeVar

from gateway.stores import Store

S = TypeVar("S", bound=Store)

# A test that waits longer hangs.
HANG_SECONDS = 10.0


@contextlib.asynccontextmanager
async def running(store: S, *, up: bool = True) -> AsyncIterator[S]:
    """Run `store` for as long as the block lasts, from when it is up."""
    task = asyncio.get_running_loop().create_task(store.run())
    try:
        if up:
            await until(lambda: store.up)
        yield store
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        await store.aclose()


async def until(check: Callable[[], bool]) -> None:
    """Return when `check` says yes; fail where it does not for a long time."""
    async with asyncio.timeout(HANG_SECONDS):
        while not check():  # noqa: ASYNC110 -- what is waited for has no event
            await asyncio.sleep(0.005)
