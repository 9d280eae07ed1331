"""An app's tests on recorded replies: they need nobody, notice a changed request, and can be recorded anew."""

import asyncio
import shutil
from pathlib import Path

import pytest

from tests.examples.conftest import (
    EXAMPLES,
    HANG_SECONDS,
    Start,
    command,
    ended,
    gateway_command,
    needs_examples,
)
from tests.support.raw_upstream import raw_upstream, say, whole

pytestmark = needs_examples

# Nothing is left in the tree, and no plugin of another package is loaded.
QUIET = {
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTEST_ADDOPTS": "-p no:cacheprovider",
    "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
}
REPLY = b'{"choices":[{"index":0,"message":{"role":"assistant","content":"The tram stays"}}]}'


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    """Copy the suite, so that it may be changed."""
    return Path(shutil.copytree(EXAMPLES / "recorded_tests", tmp_path / "suite"))


async def test_the_suite_passes_on_its_recordings(start: Start, tmp_path: Path) -> None:
    """No key, no upstream: the tests pass."""
    path = str(gateway_command(tmp_path / "bin"))

    ran = await ended(await start(command("recorded_tests/conftest.py"), PATH=path, **QUIET))

    assert "2 passed" in ran.out


async def test_a_changed_request_is_noticed(start: Start, tmp_path: Path, suite: Path) -> None:
    """An app that asks otherwise than it was recorded is told what differs."""
    path = str(gateway_command(tmp_path / "bin"))
    app = suite / "headlines.py"
    app.write_text(app.read_text().replace("at most eight", "at most nine"))
    words = [*command("recorded_tests/conftest.py")[:-1], str(suite)]

    program = await start(words, PATH=path, **QUIET)
    async with asyncio.timeout(HANG_SECONDS):
        out, _ = await program.communicate()

    assert program.returncode == 1
    assert b"No recording in " in out
    assert b"which differs in messages[0].content" in out


async def test_the_suite_is_recorded_anew(start: Start, tmp_path: Path, suite: Path) -> None:
    """With RECORD=1 the upstream is asked, and its answers are those of the next run."""
    path = str(gateway_command(tmp_path / "bin"))
    app = suite / "headlines.py"
    app.write_text(app.read_text().replace("at most eight", "at most nine"))
    words = [*command("recorded_tests/conftest.py")[:-1], str(suite)]

    reply = whole(REPLY, b"Content-Type: application/json")
    async with raw_upstream(say(reply)) as upstream:
        url = f"{upstream.url}/v1"
        env = {"RECORD": "1", "GATEWAY_UPSTREAM_URL": url, "OPENAI_API_KEY": "sk-upstream", **QUIET}
        await ended(await start(words, PATH=path, **env))
    ran = await ended(await start(words, PATH=path, **QUIET))

    assert any(b"at most nine" in connection.received for connection in upstream.connections)
    assert "2 passed" in ran.out
