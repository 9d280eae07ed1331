"""The processes: the demo upstream, and gateways in front of it that are configured by the environment alone."""

import json
import os
import signal
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest

# Only ends a hang: far above anything that is waited for.
HANG_SECONDS = 60.0

CLIENT_KEY = "sk-gw-client-key-of-the-sdk-tests"
UPSTREAM_KEY = "sk-upstream-key-of-the-sdk-tests"


@dataclass(frozen=True, slots=True)
class Demo:
    """The demo upstream's process."""

    origin: str

    def requests(self) -> list[dict[str, Any]]:
        """Return what was asked so far, once nothing is in flight, and forget it."""
        request = urllib.request.Request(f"{self.origin}/demo/requests?settled", method="DELETE")
        with urllib.request.urlopen(request, timeout=HANG_SECONDS) as reply:
            seen: list[dict[str, Any]] = json.load(reply)
        return seen


@dataclass(frozen=True, slots=True)
class Gateway:
    """A gateway's process."""

    # What an SDK is given.
    base_url: str
    key: str


@contextmanager
def _process(*arguments: str, env: Mapping[str, str]) -> Iterator[subprocess.Popen[str]]:
    """Run `python -m ...` with stdout and stderr in one pipe; told to stop, it must exit with 0."""
    process = subprocess.Popen(
        (sys.executable, "-m", *arguments),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={"PATH": os.environ["PATH"], **env},
    )
    with process:
        try:
            yield process
            process.send_signal(signal.SIGTERM)
            code = process.wait(HANG_SECONDS)
        finally:
            process.kill()
    assert code == 0


@contextmanager
def _gateway(demo: Demo, key: str) -> Iterator[Gateway]:
    env = {
        "GATEWAY_UPSTREAM_URL": f"{demo.origin}/v1",
        "GATEWAY_LISTEN": "127.0.0.1:0",
        "GATEWAY_ADMIN_LISTEN": "127.0.0.1:0",
        "OPENAI_API_KEY": UPSTREAM_KEY,
    }
    if key:
        env["GATEWAY_API_KEY"] = key
    with _process("gateway", "serve", env=env) as process:
        log = process.stdout
        assert log is not None
        said = []
        for line in log:
            said.append(line)
            if "listening at " in line:
                break
        else:
            pytest.fail("the gateway did not start:\n" + "".join(said))
        # What it logs later is read and dropped, so that its pipe never fills.
        reader = threading.Thread(target=log.read)
        reader.start()
        yield Gateway(line.partition("listening at ")[2].split()[0], key or "unused")
    reader.join()


@pytest.fixture(scope="session")
def demo_process() -> Iterator[Demo]:
    with _process("gateway.demo_upstream", env={}) as process:
        assert process.stdout is not None
        yield Demo(process.stdout.readline().strip())


@pytest.fixture(scope="session")
def gateway(demo_process: Demo) -> Iterator[Gateway]:
    """Run a gateway with one client's key."""
    with _gateway(demo_process, CLIENT_KEY) as running:
        yield running


@pytest.fixture(scope="session")
def open_gateway(demo_process: Demo) -> Iterator[Gateway]:
    """Run a gateway without keys: it relays every path."""
    with _gateway(demo_process, "") as running:
        yield running


@pytest.fixture
def demo(demo_process: Demo) -> Demo:
    """Hand out the demo upstream with nothing noted yet."""
    demo_process.requests()
    return demo_process
