"""The table of examples/README.md: every example has its line, and every line its test."""

import re
from pathlib import Path

from tests.examples.conftest import EXAMPLES, ROWS
from tests.test_architecture import ROOT

# A program in one file; a folder's own file stands for it.
PROGRAMS = {
    path.relative_to(EXAMPLES).as_posix()
    for pattern in ("*.py", "node/*.mjs", "browser/*.html", "recorded_tests/conftest.py")
    for path in EXAMPLES.glob(pattern)
}


def test_every_example_has_its_line() -> None:
    """The table lists each program once, and nothing else."""
    assert sorted(example for example, _ in ROWS) == sorted(PROGRAMS)


def test_every_line_is_run() -> None:
    """Each program's name stands in a test, which runs it by its line."""
    tests = "".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py"))

    assert {name for name in PROGRAMS if f'"{name}"' not in tests} == set()


def test_examples_fit_a_screen_or_two() -> None:
    """An example is read by a newcomer: no file of one is longer than a hundred lines."""
    files = [EXAMPLES / name for name in PROGRAMS] + list(EXAMPLES.glob("recorded_tests/*.py"))

    assert {path.name: n for path in files if (n := path.read_text().count("\n")) > 100} == {}


def test_what_examples_need_stays_theirs() -> None:
    """Neither running the gateway nor working on it installs what only its examples need."""
    own = re.findall(r"^([a-z-]+)$", (EXAMPLES / "requirements.in").read_text(), re.MULTILINE)
    runtime = (ROOT / "requirements" / "runtime.txt").read_text()

    assert "slack-bolt" in own
    assert [name for name in own if re.search(rf"^{name}==", runtime, re.MULTILINE)] == []
