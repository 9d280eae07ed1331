"""What holds for the whole suite: which tests may be skipped, and where none may be.

`GATEWAY_NO_SKIP=1`, which continuous integration sets, turns each skip into a failure, so that a tool that
was not installed is noticed.
"""

import asyncio
import logging
import os
from collections.abc import Callable, Generator, Mapping

import pytest
from hypothesis import settings

from tests.loops import LOOP_HELD_SECONDS, new_loop

# Asserts outside of test files hold under `python -O` too, and say what they compared.
pytest.register_assert_rewrite("tests.support", "tests.dashboards.traffic")

# Properties look at the same examples on each run; `--hypothesis-profile=long` looks for new ones.
settings.register_profile("steady", derandomize=True, deadline=None, max_examples=100)
settings.register_profile("long", deadline=None, max_examples=3_000)
settings.load_profile("steady")

NO_SKIP = os.environ.get("GATEWAY_NO_SKIP") == "1"


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test whose data, no part of the project, was not handed in."""
    for marker in item.iter_markers("external"):
        if not os.environ.get(marker.args[0]):
            pytest.skip(f"set {marker.args[0]} to the path of its data")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Fail a skipped test where none may be skipped; those with external data alone may be."""
    report = yield
    if item.get_closest_marker("external") is None:
        _refuse_skip(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Fail a file that is skipped whole where none may be."""
    report = yield
    _refuse_skip(report)
    return report


def _refuse_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    if NO_SKIP and report.skipped and not hasattr(report, "wasxfail"):
        why = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"skipped, and GATEWAY_NO_SKIP is set: {why}"


@pytest.fixture(autouse=True)
def _loop_goes_on() -> Generator[None]:
    """Fail a test in which one callback held the loop, where that is watched."""
    if not LOOP_HELD_SECONDS:
        yield
        return
    held = _Held()
    logging.getLogger("asyncio").addHandler(held)
    yield
    logging.getLogger("asyncio").removeHandler(held)
    assert not held.said


class _Held(logging.Handler):
    """Keeps what asyncio says of callbacks that took too long."""

    def __init__(self) -> None:
        super().__init__()
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a complaint."""
        if record.msg.startswith("Executing "):
            self.said.append(record.getMessage())


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Run every test on the loop that production runs on."""
    return {"uvloop": new_loop}
