"""The usage log: every settled call once, whole lines, in files of bounded size, whatever the disk does."""

import json
import logging
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.entries import Entry
from gateway.errors import StartError
from gateway.ledger import Ledger
from gateway.types import Usage

HANG_SECONDS = 10.0


def entry(number: int) -> Entry:
    return Entry(1_800_000_000.0, f"call-{number}", 200, usage=Usage(input_tokens=number))


def ids(path: Path) -> list[str]:
    return [json.loads(line)["request_id"] for line in path.read_bytes().splitlines()]


def until(done: Callable[[], bool]) -> None:
    """Wait until what must happen has happened."""
    end = time.monotonic() + HANG_SECONDS
    while not done():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_each_call_is_a_line(tmp_path: Path) -> None:
    """A line is what the entry says of itself, and the file is its owner's alone."""
    path = tmp_path / "usage.jsonl"
    ledger = Ledger(path, max_bytes=1_000_000, keep=1)
    for number in range(3):
        ledger.write(entry(number))
    ledger.stop()

    assert [json.loads(line) for line in path.read_text().splitlines()] == [
        entry(number).account() for number in range(3)
    ]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_lines_are_on_the_disk_without_being_asked_for(tmp_path: Path) -> None:
    """A line is written soon after its call, so that a kill finds little left to lose."""
    ledger = Ledger(tmp_path / "u", max_bytes=1_000_000, keep=1)
    ledger.write(entry(1))

    until(lambda: (tmp_path / "u").read_bytes().endswith(b"\n"))
    ledger.stop()


def test_full_files_make_room(tmp_path: Path) -> None:
    """A file that would grow too large is numbered, older ones move on, and the oldest goes."""
    path = tmp_path / "usage.jsonl"
    size = 0
    for number in range(5):
        ledger = Ledger(path, max_bytes=size or 1_000_000, keep=2)
        ledger.write(entry(number))
        ledger.stop()
        size = path.stat().st_size

    names = sorted(other.name for other in tmp_path.iterdir())
    assert names == ["usage.jsonl", "usage.jsonl.1", "usage.jsonl.2"]
    assert [ids(tmp_path / name) for name in names] == [["call-4"], ["call-3"], ["call-2"]]


def test_nothing_older_may_be_kept(tmp_path: Path) -> None:
    """With `keep: 0` a full file is begun anew."""
    for number in range(2):
        ledger = Ledger(tmp_path / "u", max_bytes=100, keep=0)
        ledger.write(entry(number))
        ledger.stop()

    assert [other.name for other in tmp_path.iterdir()] == ["u"]
    assert ids(tmp_path / "u") == ["call-1"]


def test_a_torn_line_spoils_no_other(tmp_path: Path) -> None:
    """A file that ends in the middle of a line gets a line end before the next call."""
    path = tmp_path / "u"
    path.write_bytes(b'{"time":"2027')
    ledger = Ledger(path, max_bytes=1_000_000, keep=1)
    ledger.write(entry(1))
    ledger.stop()

    torn, line = path.read_bytes().splitlines()
    assert torn == b'{"time":"2027'
    assert json.loads(line)["request_id"] == "call-1"


def test_a_disk_that_fails_costs_one_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """While nothing can be written lines are held; when it can again they are there, each once."""
    folder = tmp_path / "folder"
    folder.mkdir()
    ledger = Ledger(folder / "u", max_bytes=1_000_000, keep=1)
    folder.rename(tmp_path / "away")
    with caplog.at_level(logging.WARNING):
        ledger.write(entry(1))
        until(lambda: len(caplog.messages) == 1)
        ledger.write(entry(2))
        (tmp_path / "away").rename(folder)
        until(lambda: len(caplog.messages) == 2)
        until(lambda: len((folder / "u").read_bytes().splitlines()) == 2)
    ledger.stop()

    assert ids(folder / "u") == ["call-1", "call-2"]
    held, again = caplog.messages
    assert "No such file or directory" in held
    assert again.endswith("is written again")


FULL = """
import json, resource, sys, time
from pathlib import Path
from gateway.ledger import Ledger
from tests.test_ledger import entry

path = Path(sys.argv[1])
_, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
ledger = Ledger(path, max_bytes=1_000_000, keep=1)
for number in range(10):
    ledger.write(entry(number))
while not path.stat().st_size == 1000:
    time.sleep(0.01)
ledger.write(entry(10))
resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
ledger.stop()
"""


def test_a_line_that_was_cut_by_a_full_disk_is_finished(tmp_path: Path) -> None:
    """Where a disk is full in the middle of a line, writing goes on at that byte."""
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(tmp_path / "u")],
        cwd=Path(__file__).parent.parent,
        capture_output=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert ids(tmp_path / "u") == [f"call-{number}" for number in range(11)]


def test_a_file_that_cannot_be_opened_stops_the_start(tmp_path: Path) -> None:
    """A folder that is not there is told when the gateway starts."""
    with pytest.raises(StartError, match=r"usage.log.path: .*: No such file or directory"):
        Ledger(tmp_path / "missing" / "u", max_bytes=1000, keep=1)
