"""The processes: a real engine under the interpreter that the environment names, and gateways in front of it."""

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

# Only ends a hang; an engine takes its time to load.
HANG_SECONDS = 120.0
PYTHON = "GATEWAY_TRANSFORMERS_PYTHON"


@dataclass(frozen=True, slots=True)
class Engine:
    """A running engine."""

    # Where its API is, without /v1.
    origin: str
    model: str


@dataclass(slots=True)
class Gateway:
    """A gateway's process; what it logged of calls is here once it has ended."""

    origin: str
    calls: list[dict[str, Any]] = field(default_factory=list)


@contextmanager
def _process(
    command: Sequence[str], env: dict[str, str], started: str, said: list[str]
) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Run a process until the block ends; give what `started` finds in what it says, and the process.

    `said` is all that it says, whole once the process has ended.
    """
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={"PATH": os.environ["PATH"], **env},
    )
    watchdog = threading.Timer(HANG_SECONDS, process.kill)
    watchdog.start()
    assert process.stdout is not None
    found = None
    for line in process.stdout:
        said.append(line)
        if found := re.search(started, line):
            break
    watchdog.cancel()
    # Read on, so that its pipe never fills.
    reader = threading.Thread(target=said.extend, args=(process.stdout,))
    reader.start()
    try:
        if found is None:
            pytest.fail(f"{command[0]} did not start:\n{''.join(said)}")
        yield found[1], process
        process.terminate()
        process.wait(HANG_SECONDS)
    finally:
        process.kill()
        process.wait()
        reader.join()
        process.stdout.close()


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """Run `transformers serve` on a model that was made a moment ago."""
    python = os.environ[PYTHON]
    folder = tmp_path_factory.mktemp("engine")
    # Nothing may be fetched, and no cache of this machine is looked into.
    env = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(folder / "home"), "PYTHONUNBUFFERED": "1"}
    model = str(folder / "model")
    maker = Path(__file__).with_name("tiny_model.py")
    subprocess.run(
        (python, str(maker), model), env=env, check=True, capture_output=True, timeout=HANG_SECONDS
    )
    serve = (python, "-m", "transformers.cli.transformers", "serve", model)
    options = ("--host", "127.0.0.1", "--port", "0", "--device", "cpu", "--log-level", "info")
    with _process((*serve, *options), env, r"running on (http://[\d.:]+)", []) as (origin, _):
        yield Engine(origin, model)


@contextmanager
def gateway(engine: Engine) -> Iterator[Gateway]:
    """Run a gateway in front of `engine`, configured by the environment alone."""
    env = {
        "GATEWAY_UPSTREAM_URL": f"{engine.origin}/v1",
        "GATEWAY_LISTEN": "127.0.0.1:0",
        "GATEWAY_ADMIN_LISTEN": "127.0.0.1:0",
    }
    command = (sys.executable, "-m", "gateway", "serve")
    said: list[str] = []
    with _process(command, env, r"listening at (http://[\d.:]+)/v1", said) as (origin, process):
        running = Gateway(origin)
        yield running
    assert process.returncode == 0
    lines = [json.loads(line) for line in said]
    running.calls += [line for line in lines if line["message"] == "call"]
