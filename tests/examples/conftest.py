"""The examples are programs: each is run as its line in examples/README.md says, against a gateway in the test."""

import asyncio
import json
import os
import re
import shlex
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from gateway.demo_upstream import DemoUpstream
from tests.journey.conftest import demo as demo  # noqa: PLC0414 - a fixture is handed on by its name
from tests.support.gateway import RunningGateway, running
from tests.test_architecture import ROOT

EXAMPLES = ROOT / "examples"
PYTHON = ROOT / ".venvs" / "examples" / "bin" / "python"
# Only ends a hang: a program's imports are slow on a busy machine.
HANG_SECONDS = 60.0
KEY = "sk-gw-client-key-of-the-examples"

ROWS = re.findall(
    r"^\| \[.+?\]\((.+?)\) \| .+ \| `(.+)` \|$",
    (EXAMPLES / "README.md").read_text(encoding="utf-8"),
    re.MULTILINE,
)

needs_examples = pytest.mark.skipif(
    not PYTHON.exists(), reason="no .venvs/examples: run tests/examples/setup_examples.sh"
)

Serve = Callable[..., Awaitable[RunningGateway]]
Start = Callable[..., Awaitable[asyncio.subprocess.Process]]


@dataclass(frozen=True, slots=True)
class Ran:
    """A program that ended with exit code 0."""

    out: str
    err: str


def command(example: str, python: Path = PYTHON) -> list[str]:
    """Return the command of an example's line, its paths made whole and `python` the one given."""
    words = shlex.split(dict(ROWS)[example])
    whole = [str(ROOT / word) if word.startswith("examples/") else word for word in words]
    return [str(python), *whole[1:]] if whole[0] == "python" else whole


@pytest.fixture
async def serve(tmp_path: Path, demo: DemoUpstream) -> AsyncIterator[Serve]:
    """Start gateways, by more of a configuration, before the demo or another upstream.

    `script` is what the demo shall do with every call, as docs/demo.md says.
    """
    async with AsyncExitStack() as stack:

        async def _serve(
            more: str = "",
            *,
            upstream: str | None = None,
            script: Mapping[str, object] = {},
            keys: bool = True,
            auth: str = "",
        ) -> RunningGateway:
            told = json.dumps(script).replace("'", "''")
            headers = f", headers: {{x-demo: '{told}'}}" if script else ""
            config = f'upstreams: [{{name: openai, base_url: "{upstream or demo.url}/v1"{headers}}}]\n{more}'
            if keys:
                config += f"\nauth: {{keys: [{{user: app, key: {KEY}}}]{auth}}}\n"
            environ = {"GATEWAY_LISTEN": "127.0.0.1:0", "GATEWAY_ADMIN_LISTEN": "127.0.0.1:0"}
            return await stack.enter_async_context(running(config, tmp_path, environ=environ))

        yield _serve


@pytest.fixture
async def start(tmp_path: Path) -> AsyncIterator[Start]:
    """Start programs in a folder of the test's own, the gateway named in their environment; killed at the end."""
    started: list[asyncio.subprocess.Process] = []

    async def _start(
        words: list[str], gateway: RunningGateway | None = None, **env: str
    ) -> asyncio.subprocess.Process:
        if gateway is not None:
            env = {
                "OPENAI_API_BASE": gateway.url,
                "OPENAI_BASE_URL": gateway.url,
                "OPENAI_API_KEY": KEY,
                **env,
            }
        process = await asyncio.create_subprocess_exec(
            *words,
            cwd=tmp_path,
            env={"PATH": os.environ["PATH"], **env},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        started.append(process)
        return process

    yield _start
    for process in started:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def ended(process: asyncio.subprocess.Process, given: str = "") -> Ran:
    """Give a program its input and wait for its end; fail with what it said where that is an error."""
    async with asyncio.timeout(HANG_SECONDS):
        out, err = await process.communicate(given.encode())
    ran = Ran(out.decode(), err.decode())
    assert process.returncode == 0, ran.out + ran.err
    return ran


def gateway_command(folder: Path) -> Path:
    """Put a command `gateway` that is the code under test into a folder; return the folder."""
    folder.mkdir(exist_ok=True)
    script = folder / "gateway"
    script.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m gateway "$@"\n')
    script.chmod(0o755)
    return folder
