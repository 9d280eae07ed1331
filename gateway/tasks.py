"""Work that goes on beside the calls that asked for it, owned by the application: the one way to start a task."""

import asyncio
from collections.abc import Coroutine


class Tasks:
    """What runs beside the calls; it must tell of its own failures, nobody else does."""

    def __init__(self) -> None:
        self._running: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._running)

    def start(self, work: Coroutine[None, None, None]) -> "asyncio.Task[None]":
        """Let `work` go on by itself; it is cancelled at the application's end."""
        task = asyncio.get_running_loop().create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task

    async def aclose(self) -> None:
        """Cancel what runs, and wait until it has ended."""
        running = tuple(self._running)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
