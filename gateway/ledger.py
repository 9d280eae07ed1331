"""The usage log: a JSON line for every call that was settled, in a file that outlives the process.

What finance asks for. A kill loses at most the last second; what a full disk refuses is kept and tried again.
`gateway usage` sums it up.
"""

import json
import logging
import os
from pathlib import Path

from gateway.batching import Batches
from gateway.entries import Entry
from gateway.errors import StartError

# How long lines are gathered before they are written and on the disk.
BATCH_SECONDS = 0.5
# What is held of calls while the disk takes nothing; newer ones are dropped then.
MAX_WAITING_CALLS = 100_000
MAX_HELD_BYTES = 64 * 1024 * 1024
# Whom calls are charged to is nobody else's business.
MODE = 0o600

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode

log = logging.getLogger(__name__)


class Ledger:
    """Writes the usage log; files that are full become FILE.1, FILE.2 and so on, the oldest with the highest number."""

    def __init__(self, path: Path, *, max_bytes: int, keep: int) -> None:
        """Begin at the end of the file, which is made where it is not there. Raises StartError."""
        self._path = path
        self._max_bytes = max_bytes
        self._keep = keep
        self._failing = False
        # What the file has not taken yet, perhaps from the middle of a line on.
        self._left = b""
        try:
            if self._is_torn():
                self._left = b"\n"
        except OSError as error:
            raise StartError(f"usage.log.path: {path}: {error.strerror or error}") from None
        self._batches = Batches("usage", BATCH_SECONDS, MAX_WAITING_CALLS, self._flush)
        self.stop = self._batches.stop
        self.retire = self._batches.retire

    @property
    def writing(self) -> bool:
        """Whether what it took may still be on its way to the file."""
        return self._batches.running

    def write(self, call: Entry) -> None:
        """Take a call that was settled."""
        self._batches.put(call)

    def _flush(self, calls: list[Entry]) -> bool:
        lines = b"".join(
            [f"{_encode(call.account())}\n".encode("utf-8", "replace") for call in calls]
        )
        try:
            if lines and not self._left:
                self._rotate(len(lines))
            if len(self._left) < MAX_HELD_BYTES:
                self._left += lines
            self._append()
        except OSError as error:
            self._left = self._left or lines
            if not self._failing:
                self._failing = True
                log.warning(
                    "the usage log %s cannot be written (%s): its lines are held and tried again",
                    self._path,
                    error.strerror or error,
                )
        else:
            if self._failing:
                self._failing = False
                log.warning("the usage log %s is written again", self._path)
        return bool(self._left)

    def _append(self) -> None:
        """Write what is left, as much as goes, and wait until the disk has it."""
        if not self._left:
            return
        # Opened for each batch: whoever moves the file away takes nothing of the next one along.
        file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, MODE)
        try:
            while self._left:
                self._left = self._left[os.write(file, self._left) :]
            os.fsync(file)
        finally:
            os.close(file)

    def _rotate(self, coming_bytes: int) -> None:
        """Begin a new file where what is coming would make this one too large."""
        size = self._path.stat().st_size if self._path.exists() else 0
        if not size or size + coming_bytes <= self._max_bytes:
            return
        for number in range(self._keep, 1, -1):
            older = numbered(self._path, number - 1)
            if older.exists():
                older.rename(numbered(self._path, number))
        if self._keep:
            self._path.rename(numbered(self._path, 1))
        else:
            self._path.unlink()

    def _is_torn(self) -> bool:
        """Return whether the file ends in the middle of a line, as a power failure leaves it."""
        file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, MODE)
        try:
            size = os.fstat(file).st_size
            return size > 0 and os.pread(file, 1, size - 1) != b"\n"
        finally:
            os.close(file)


def numbered(path: Path, number: int) -> Path:
    """Return the name of an older file."""
    return path.with_name(f"{path.name}.{number}")
