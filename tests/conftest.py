"""What holds for the whole suite: which tests may be skipped, and where none may be.

`GATEWAY_NO_SKIP=1`, which continuous integration sets, turns each skip into a failure, so that a tool that
was not installed is noticed.
"""

import asyncio
import os
from collections.abc import Callable, Generator, Mapping

import pytest
import uvloop

# Asserts outside of test files hold under `python -O` too, and say what they compared.
pytest.register_assert_rewrite("tests.support")

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


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Run every test on the loop that production runs on."""
    return {"uvloop": uvloop.new_event_loop}
