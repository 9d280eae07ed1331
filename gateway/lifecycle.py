"""How a gateway lives: start, say where it is, reload on SIGHUP or a changed file, drain on SIGTERM, end.

What it is made of is `app.py`'s.
"""

import asyncio
import logging
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from gateway.clock import Clock

# How often the files that made the configuration are looked at.
WATCH_SECONDS = 1.0
# How often draining looks whether the last call has ended.
DRAIN_LOOK_SECONDS = 0.05

log = logging.getLogger("gateway")


class Gateway(Protocol):
    """What lives here."""

    files: Sequence[Path]

    def reload(self) -> None:
        """Take the newest configuration, or keep the old and say why."""

    async def run(self) -> None:
        """Do what is to be done beside the calls, until cancelled."""

    async def drain(self) -> None:
        """Stop taking calls, let those in flight end within the grace, cut what is left."""


async def live(gateway: Gateway, clock: Clock) -> None:
    """Run until SIGTERM or SIGINT, then drain; a second signal cuts everything at once."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)
    loop.add_signal_handler(signal.SIGHUP, gateway.reload)
    async with asyncio.TaskGroup() as tasks:
        beside = [tasks.create_task(watch(gateway, clock)), tasks.create_task(gateway.run())]
        await stop.wait()
        for task in beside:
            task.cancel()
        draining = tasks.create_task(gateway.drain())
        for name in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(name, draining.cancel)


async def watch(gateway: Gateway, clock: Clock) -> None:
    """Reload when a file that made the configuration changes: content, inode or a mount's symlink swap."""
    seen = signature(gateway.files)
    while True:
        await clock.sleep(WATCH_SECONDS)
        now = signature(gateway.files)
        if now != seen:
            before = gateway.files
            gateway.reload()
            # What changed while it was read is seen at the next look.
            seen = now if gateway.files == before else signature(gateway.files)


def signature(files: Sequence[Path]) -> tuple[tuple[int, int, int] | None, ...]:
    """Return what changes when one of `files` does; None for one that is not there."""
    return tuple(_stat(path) for path in files)


def _stat(path: Path) -> tuple[int, int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return (status.st_ino, status.st_size, status.st_mtime_ns)


async def wait_until(done: Callable[[], bool], seconds: float, clock: Clock) -> bool:
    """Return True as soon as `done`, False after `seconds`."""
    until = clock.monotonic() + seconds
    while not done():
        if clock.monotonic() >= until:
            return False
        await clock.sleep(DRAIN_LOOK_SECONDS)
    return True
