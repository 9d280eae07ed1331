"""The journal: what a restart finds, what a crash loses, and what a full disk does."""

import asyncio
import logging
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from gateway.errors import StoreError
from gateway.stores import Bucket, Decision, Kind
from gateway.stores.file import FileStore
from tests.support.clock import FakeClock
from tests.support.running_store import running, until

DAILY = Bucket("daily", 10, 86_400, Kind.COUNT)
TOKENS = Bucket("tokens", 100, 60, Kind.RESERVE)
BUDGET = Bucket("budget", 1000, 2 * 86_400, Kind.TOTAL)
PLACES = Bucket("places", 2, 0, Kind.LEASE)
BRIEF = Bucket("brief", 5, 1, Kind.COUNT)
ALL = (DAILY, TOKENS, BUDGET, PLACES, BRIEF)


async def used(store: FileStore) -> list[int]:
    """Return what is used of each bucket."""
    return list((await store.take([(bucket, 0) for bucket in ALL])).used)


async def spend(store: FileStore) -> Decision:
    """Use some of everything."""
    decision = await store.take([(DAILY, 1), (TOKENS, 50), (BUDGET, 500), (PLACES, 1), (BRIEF, 1)])
    assert decision.refusal is None
    return decision


async def test_a_restart_finds_what_was_used(tmp_path: Path) -> None:
    """Counts, tokens and money; places end with the process, windows under a minute with it too."""
    clock = FakeClock()
    store = FileStore(tmp_path / "j", clock)
    store.settle(await spend(store), [1, 30, 300, 0, 1])
    await store.aclose()

    again = FileStore(tmp_path / "j", clock)

    assert await used(again) == [1, 30, 300, 0, 0]
    await again.aclose()


async def test_what_was_used_leaves_when_it_would_have(tmp_path: Path) -> None:
    """A process that starts anew, with a monotonic clock of its own, counts on."""
    store = FileStore(tmp_path / "j", clock := FakeClock())
    store.settle(await spend(store), [1, 30, 300, 0, 1])
    clock.advance(40)
    store.settle(await spend(store), [1, 20, 200, 0, 1])
    await store.aclose()

    # The same moment, seen by another monotonic clock.
    later = FakeClock(start=clock.monotonic() - 5_000.25)
    later.step(5_000.25)
    later.advance(10)
    again = FileStore(tmp_path / "j", later)
    assert await used(again) == [2, 50, 500, 0, 0]
    later.advance(12)
    assert await used(again) == [2, 20, 500, 0, 0]
    later.advance(40)
    assert await used(again) == [2, 0, 500, 0, 0]
    later.advance(86_400 + 2 * 1440)
    assert await used(again) == [0, 0, 500, 0, 0]
    await again.aclose()


async def test_slots_of_another_clock_are_rounded_to_the_safe_side(tmp_path: Path) -> None:
    """What came late in its slot is counted for the whole window after a restart too."""
    store = FileStore(tmp_path / "j", clock := FakeClock())
    clock.advance(0.875)
    store.settle(await spend(store), [1, 30, 300, 0, 1])
    await store.aclose()
    later = FakeClock(start=clock.monotonic() - 5_000.25)
    later.step(5_000.25)
    again = FileStore(tmp_path / "j", later)

    later.advance(59.75)
    assert (await used(again))[1] == 30
    later.advance(2)
    assert (await used(again))[1] == 0
    await again.aclose()


async def test_a_wall_clock_set_back_frees_nothing_early(tmp_path: Path) -> None:
    """What lies in the future counts as used now."""
    clock = FakeClock()
    store = FileStore(tmp_path / "j", clock)
    store.settle(await spend(store), [1, 30, 300, 0, 1])
    await store.aclose()
    clock.step(-3600)

    again = FileStore(tmp_path / "j", clock)
    assert await used(again) == [1, 30, 300, 0, 0]
    clock.advance(59)
    assert await used(again) == [1, 30, 300, 0, 0]
    clock.advance(3)
    assert await used(again) == [1, 0, 300, 0, 0]
    await again.aclose()


async def test_it_is_written_twice_a_second(tmp_path: Path) -> None:
    """So that a crash loses less than a second; what was in flight is charged as reserved."""
    clock = FakeClock()
    async with running(FileStore(tmp_path / "j", clock)) as store:
        store.settle(await spend(store), [1, 30, 300, 0, 1])
        await spend(store)
        await asyncio.sleep(0)
        clock.advance(0.5)
        copy = tmp_path / "copy"

        def written() -> bool:
            """Look at the files as a crash would leave them."""
            for end in ("", "-wal"):
                copy.with_name(f"copy{end}").write_bytes((tmp_path / f"j{end}").read_bytes())
            with sqlite3.connect(copy) as database:
                count: int = database.execute("SELECT count(*) FROM bucket").fetchone()[0]
            database.close()
            return count == 3

        await until(written)
    crashed = FileStore(copy, clock)

    assert await used(crashed) == [2, 80, 800, 0, 0]
    await crashed.aclose()


async def test_closing_while_it_writes_loses_nothing(tmp_path: Path) -> None:
    """A writer that is cancelled at any moment, and the file closed right after."""
    for turns in range(6):
        clock = FakeClock()
        store = FileStore(tmp_path / f"j{turns}", clock)
        task = asyncio.ensure_future(store.run())
        await asyncio.sleep(0)
        for _ in range(200):
            store.settle(await spend(store), [0, 0, 1, 0, 0])
        clock.advance(0.5)
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await store.aclose()

        again = FileStore(tmp_path / f"j{turns}", clock)
        assert (await used(again))[2] == 200
        await again.aclose()


async def test_a_write_that_is_cancelled_before_it_begins_is_made_up_for(tmp_path: Path) -> None:
    """A slow disk, and a stop while the next write waits for it."""
    clock = FakeClock()
    store = FileStore(tmp_path / "j", clock)
    store.settle(await spend(store), [1, 1, 1, 0, 1])
    slow = threading.Event()
    store._writer.submit(slow.wait)
    task = asyncio.ensure_future(store.flush())
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    slow.set()
    await store.aclose()

    again = FileStore(tmp_path / "j", clock)
    assert (await used(again))[:3] == [1, 1, 1]
    await again.aclose()


async def test_a_killed_process_leaves_a_journal_that_opens(tmp_path: Path) -> None:
    """Also in the midst of writing."""
    program = f"""
import asyncio, os, signal
from pathlib import Path
from gateway.clock import SystemClock
from gateway.stores import Bucket, Kind
from gateway.stores.file import FileStore

async def main():
    store = FileStore(Path({str(tmp_path / "j")!r}), SystemClock())
    bucket = Bucket("daily", 10, 86_400, Kind.COUNT)
    for _ in range(4):
        await store.take([(bucket, 1)])
        await store.flush()
    await store.take([(bucket, 1)])
    os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""
    done = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", program], capture_output=True, check=False
    )
    assert (done.returncode, done.stderr) == (-9, b"")

    clock = FakeClock()
    with sqlite3.connect(tmp_path / "j") as database:
        due: float = database.execute("SELECT due FROM bucket").fetchone()[0]
    database.close()
    clock.step(due - 86_400 - clock.time())
    store = FileStore(tmp_path / "j", clock)

    assert (await used(store))[0] == 4
    await store.aclose()


async def test_what_is_as_good_as_new_leaves_the_journal(tmp_path: Path) -> None:
    """The file does not grow with names that are gone."""
    clock = FakeClock()
    store = FileStore(tmp_path / "j", clock)
    await store.take([(TOKENS, 1), (Bucket("others", 5, 60, Kind.COUNT), 1)])
    await store.flush()
    clock.advance(200)
    await store.take([(DAILY, 1)])
    await store.aclose()

    with sqlite3.connect(tmp_path / "j") as database:
        assert database.execute("SELECT key FROM bucket").fetchall() == [("daily",)]
    database.close()


async def test_a_disk_that_is_full_stops_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Calls go on, one line says so, and what was not written is written when there is room."""
    clock = FakeClock()
    store = FileStore(tmp_path / "j", clock)
    full = sqlite3.connect(tmp_path / "other")
    database, store._database = store._database, full
    for _ in range(3):
        store.settle(await spend(store), [1, 1, 1, 0, 1])
        await store.flush()

    assert not store.up
    assert store.errors == {"journal": 3}
    assert len(caplog.records) == 1
    assert caplog.records[0].levelno == logging.WARNING
    store._database = database
    full.close()
    await store.flush()
    assert store.up
    await store.aclose()

    again = FileStore(tmp_path / "j", clock)
    assert (await used(again))[:3] == [3, 3, 3]
    await again.aclose()


async def test_one_file_has_one_gateway(tmp_path: Path) -> None:
    """A second one cannot start on it: each would believe the other's places free."""
    store = FileStore(tmp_path / "j", FakeClock())

    with pytest.raises(StoreError, match="locked"):
        FileStore(tmp_path / "j", FakeClock())
    await store.aclose()


def test_a_file_that_is_no_journal_is_refused(tmp_path: Path) -> None:
    """Rather than overwritten."""
    path = tmp_path / "j"
    path.write_text("something else, long enough to be seen " * 40)

    with pytest.raises(StoreError, match="not a database"):
        FileStore(path, FakeClock())
