"""Tasks beside the calls are owned: they end with the application."""

import asyncio

from gateway.tasks import Tasks


async def test_what_ended_is_forgotten() -> None:
    """Nothing is kept of work that is done."""
    tasks = Tasks()
    done = asyncio.Event()

    async def work() -> None:
        done.set()

    await tasks.start(work())

    assert done.is_set()
    assert len(tasks) == 0


async def test_closing_cancels_and_waits() -> None:
    """What still runs is cancelled, and has ended when closing returns."""
    tasks = Tasks()
    said: list[str] = []
    begun = asyncio.Event()

    async def work() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            said.append("ended")

    _ = tasks.start(work())
    await begun.wait()
    await tasks.aclose()

    assert said == ["ended"]
    assert len(tasks) == 0
