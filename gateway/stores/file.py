"""State in this process with a journal in a file, so that a restart does not refill a budget.

The journal is a SQLite database, written off the loop twice a second: a crash forgets what is younger, and
charges as reserved what was in flight. Windows shorter than a minute are not worth keeping.
"""

import asyncio
import contextlib
import json
import logging
import math
import sqlite3
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from gateway.clock import Clock
from gateway.errors import StoreError
from gateway.stores import Bucket, Charges, Decision, Kind
from gateway.stores.memory import MemoryStore, Window

_FLUSH_SECONDS = 0.5
_SHORTEST_WINDOW_SECONDS = 60

# One row per bucket. `slots` is JSON: pairs of a slot's start and what is used of it. Times are seconds
# since 1970; after `due` the bucket is as good as new.
_SCHEMA = """
    PRAGMA locking_mode = EXCLUSIVE;
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = NORMAL;
    BEGIN IMMEDIATE;
    CREATE TABLE IF NOT EXISTS bucket (
        key TEXT PRIMARY KEY, kind INTEGER, window REAL, due REAL, slots TEXT
    ) WITHOUT ROWID;
    CREATE INDEX IF NOT EXISTS bucket_due ON bucket (due);
    COMMIT;
"""

_log = logging.getLogger(__name__)


class _Entry(NamedTuple):
    """What the journal is to hold of one bucket; slots by their start, on the monotonic clock."""

    bucket: Bucket
    slots: tuple[tuple[float, int], ...]


class FileStore(MemoryStore):
    """One process's state that outlives it. A second process cannot open the same file."""

    def __init__(self, path: Path, clock: Clock) -> None:
        """Read the journal. Raises StoreError where it cannot be used."""
        super().__init__(clock)
        self.up = True
        self._dirty: dict[str, Bucket] = {}
        # One thread, so that writes and the closing come one after the other, also when who waited for
        # them was cancelled.
        self._writer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="journal")
        try:
            self._database = sqlite3.connect(
                path, timeout=0, isolation_level=None, check_same_thread=False
            )
            self._database.executescript(_SCHEMA)
            self._load()
        except sqlite3.Error as error:
            raise StoreError(f"{path}: {error}") from error

    async def run(self) -> None:
        """Write the journal, again and again."""
        while True:
            await self._clock.sleep(_FLUSH_SECONDS)
            await self.flush()

    def take_now(self, charges: Charges) -> Decision:
        """Take every charge, or none."""
        decision = super().take_now(charges)
        if decision.refusal is None:
            self._note(charges)
        return decision

    def settle(self, decision: Decision, actual: Sequence[int]) -> None:
        """Book what each charge came to."""
        super().settle(decision, actual)
        self._note(decision.charges)

    async def flush(self) -> None:
        """Write what changed since it was written last."""
        if not self._dirty:
            return
        dirty, self._dirty = self._dirty, {}
        entries = [
            _Entry(bucket, self._slots(bucket, self._windows[key]))
            for key, bucket in dirty.items()
            if key in self._windows
        ]
        try:
            await asyncio.get_running_loop().run_in_executor(self._writer, self._write, entries)
        except asyncio.CancelledError:
            self._dirty = dirty | self._dirty  # it may not have begun
            raise
        except sqlite3.Error as error:
            self._dirty = dirty | self._dirty
            self.errors["journal"] = self.errors.get("journal", 0) + 1
            if self.up:
                _log.warning("the store's journal cannot be written: %s", error)
            self.up = False
        else:
            self.up = True

    async def aclose(self) -> None:
        """Write what is unwritten, and close the file."""
        await super().aclose()
        await self.flush()
        await asyncio.get_running_loop().run_in_executor(self._writer, self._database.close)
        self._writer.shutdown()

    def _note(self, charges: Charges) -> None:
        for bucket, _ in charges:
            if bucket.window_seconds >= _SHORTEST_WINDOW_SECONDS:
                self._dirty[bucket.key] = bucket

    @staticmethod
    def _slots(bucket: Bucket, window: Window) -> tuple[tuple[float, int], ...]:
        width = bucket.slot_seconds or 1.0
        latest = (window.slot, window.current + window.held)
        return tuple(
            (slot * width, used) for slot, used in (*(window.older or {}).items(), latest) if used
        )

    def _write(self, entries: Iterable[_Entry]) -> None:
        wall = self._clock.time()
        ahead = wall - self._clock.monotonic()
        rows = []
        for bucket, slots in entries:
            last = max((start for start, _ in slots), default=0.0)
            lasts = bucket.window_seconds + bucket.slot_seconds
            text = json.dumps([(start + ahead, used) for start, used in slots])
            rows.append(
                (bucket.key, bucket.kind, bucket.window_seconds, last + ahead + lasts, text)
            )
        self._database.execute("BEGIN IMMEDIATE")
        try:
            self._database.executemany("REPLACE INTO bucket VALUES (?, ?, ?, ?, ?)", rows)
            self._database.execute("DELETE FROM bucket WHERE due < ?", (wall,))
            self._database.execute("COMMIT")
        except sqlite3.Error:
            with contextlib.suppress(sqlite3.Error):
                self._database.execute("ROLLBACK")
            raise

    def _load(self) -> None:
        wall, now = self._clock.time(), self._now()
        ahead = wall - now
        rows = self._database.execute(
            "SELECT key, kind, window, slots FROM bucket WHERE due >= ?", (wall,)
        )
        for key, kind, seconds, text in rows:
            bucket = Bucket(key, 0, seconds, Kind(kind))
            window = self._open(bucket, now)
            for start, used in json.loads(text):
                self._restore(bucket, window, start - ahead, used)

    @staticmethod
    def _restore(bucket: Bucket, window: Window, start: float, used: int) -> None:
        """Book what was used before in the slot that leaves no sooner, on this process's clock."""
        window.booked += used
        slot = window.slot
        if bucket.slot_seconds:
            slot = min(slot, math.ceil(start / bucket.slot_seconds))
        if slot == window.slot:
            window.current += used
        else:
            window.older = window.older or {}
            window.older[slot] = window.older.get(slot, 0) + used
