"""A gateway's process under scripted traffic that moves every series: several users, limits, errors, dead parts."""

import contextlib
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from tests.support.prometheus import HANG_SECONDS, POLL_SECONDS

MAX_IN_FLIGHT = 8
KEYS = {user: f"sk-gw-{user}-0123456789abcdef" for user in ("alice", "bob", "carol")}
CONFIG = """
server: {{listen: "127.0.0.1:0", max_in_flight: {max_in_flight}}}
admin: {{listen: "127.0.0.1:0"}}
store: {{url: "redis://127.0.0.1:{dead}", timeout: 50ms}}
upstreams:
  - {{name: demo, base_url: "{demo}/v1", api_key: sk-upstream-0123456789}}
  - name: dead
    base_url: "http://127.0.0.1:{dead}/v1"
    api_key: sk-upstream-0123456789
    cooldown: {{after: 1, for: 1h}}
models:
  small: {{targets: [{{upstream: demo}}], price: {{input: 1, cached_input: 0.5, output: 2}}}}
  large: {{targets: [{{upstream: dead}}], fallbacks: [small]}}
auth:
  keys:
    - {{user: alice, key: {alice}}}
    - {{user: bob, key: {bob}}}
    - {{user: carol, key: {carol}}}
limits:
  - {{per: user, match: {{user: carol}}, requests: 1/h}}
  - {{per: user, requests: 1000/min, tokens: 1000000/min, budget: 5.00/day, concurrency: 50}}
cache: {{}}
"""


@dataclass(slots=True, kw_only=True)
class Gateway:
    """A gateway's process."""

    port: int
    admin: str
    config: Path
    process: subprocess.Popen[str]
    # How many calls it was sent so far.
    asked: int = 0

    def exposition(self) -> str:
        """Return its metrics as text."""
        with urllib.request.urlopen(f"http://{self.admin}/metrics", timeout=HANG_SECONDS) as reply:
            return str(reply.read().decode())

    def series(self) -> set[str]:
        """Return the names and labels of all its series."""
        lines = self.exposition().splitlines()
        return {line.rpartition(" ")[0] for line in lines if not line.startswith("#")}

    def total(self, name: str) -> float:
        """Return the sum of all series of a name, as the gateway itself tells it."""
        families = text_string_to_metric_families(self.exposition())
        return sum(s.value for family in families for s in family.samples if s.name == name)

    def reaches(self, name: str, value: float) -> None:
        """Return once the sum of a name's series is a value."""
        end = time.monotonic() + HANG_SECONDS
        while self.total(name) != value:
            assert time.monotonic() < end, f"{name} is {self.total(name)}, not {value}"
            time.sleep(POLL_SECONDS)

    def ask(self, path: str, user: str, **body: object) -> int:
        """Post a body as a user; return the status once the reply was read, whole or not."""
        self.asked += 1
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=HANG_SECONDS)
        with contextlib.closing(connection):
            connection.request("POST", path, json.dumps(body), _headers(user))
            reply = connection.getresponse()
            with contextlib.suppress(http.client.IncompleteRead, ConnectionError):
                reply.read()
            return reply.status

    def chat(self, user: str = "alice", **body: object) -> int:
        """Ask for a chat's completion."""
        messages = [{"role": "user", "content": "one two three four five"}]
        return self.ask(
            "/v1/chat/completions", user, **{"model": "small", "messages": messages, **body}
        )

    @contextlib.contextmanager
    def stream_that_hangs(self) -> Iterator[None]:
        """Have a stream in flight whose client leaves at the end of the block."""
        body = {
            "model": "small",
            "stream": True,
            "messages": [{"role": "user", "content": "one two three"}],
            "demo": {"hang_after": 2},
        }
        self.asked += 1
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=HANG_SECONDS)
        connection.request("POST", "/v1/chat/completions", json.dumps(body), _headers("bob"))
        reply = connection.getresponse()
        try:
            assert reply.read(1)
            yield
        finally:
            reply.close()
            connection.close()


def _headers(user: str) -> Mapping[str, str]:
    return {
        "authorization": f"Bearer {KEYS.get(user, user)}",
        "content-type": "application/json",
    }


@contextlib.contextmanager
def _process(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    command = (sys.executable, "-m", *arguments)
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env={**os.environ}
    ) as process:
        try:
            yield process
        finally:
            process.kill()


@contextlib.contextmanager
def running(folder: Path) -> Iterator[Gateway]:
    """Run the demo upstream and a gateway before it, which has a dead upstream and a dead store too."""
    with contextlib.ExitStack() as stack:
        # Taken, and listened at by nobody.
        taken = stack.enter_context(socket.socket())
        taken.bind(("127.0.0.1", 0))
        demo = stack.enter_context(_process("gateway.demo_upstream"))
        assert demo.stdout is not None
        path = folder / "config.yaml"
        path.write_text(
            CONFIG.format(
                dead=taken.getsockname()[1],
                demo=demo.stdout.readline().strip(),
                max_in_flight=MAX_IN_FLIGHT,
                **KEYS,
            )
        )
        process = stack.enter_context(_process("gateway", "serve", "-c", str(path)))
        log = process.stdout
        assert log is not None
        said = []
        for line in log:
            said.append(line)
            if "listening at " in line:
                break
        else:
            raise AssertionError("".join(said))
        listens, admin = re.findall(r"http://(127\.0\.0\.1:\d+)", line)
        # What it logs later is read and dropped, so that its pipe never fills.
        threading.Thread(target=log.read, daemon=True).start()
        yield Gateway(
            port=int(listens.partition(":")[2]),
            admin=admin,
            config=path,
            process=process,
        )


def make_traffic(gateway: Gateway) -> None:
    """Make calls of every kind, each for the series that it moves."""
    for user in ("alice", "bob"):
        assert gateway.chat(user) == 200
        assert gateway.chat(user, stream=True, stream_options={"include_usage": True}) == 200
        # No usage: counted, and marked so.
        assert gateway.chat(user, demo={"usage": False}) == 200
        assert gateway.chat(user, demo={"cached_tokens": 2, "reasoning_tokens": 90}) == 200
    assert gateway.ask("/v1/embeddings", "alice", model="small", input="one two") == 200
    # A further try, a failure of the upstream, its refusal, a fallback.
    assert gateway.chat(demo={"error": {"status": 503, "times": 1}}, seed=time.time_ns()) == 200
    assert gateway.chat(demo={"error": 500}) == 500
    assert gateway.chat(demo={"error": 400}) == 400
    assert gateway.chat(model="large") == 200
    # Refusals of our own.
    assert gateway.chat("sk-wrong-key") == 401
    assert gateway.ask("/v1/nothing", "alice") == 403
    assert 429 in (gateway.chat("carol"), gateway.chat("carol"))
    # The cache, where there is something to store.
    for _ in range(2):
        assert gateway.chat(temperature=0) == 200
    # As many as may be at once, one that is shed, and clients that leave.
    with contextlib.ExitStack() as streams:
        for _ in range(MAX_IN_FLIGHT):
            streams.enter_context(gateway.stream_that_hangs())
        assert gateway.chat() == 503
    gateway.reaches("gateway_requests_in_flight", 0)


def reload_twice(gateway: Gateway) -> None:
    """Give the gateway a configuration that is wrong, then the right one again."""
    good = gateway.config.read_text()
    for text, outcome in ((f"{good}\nnonsense: true\n", 0), (good, 1)):
        gateway.config.write_text(text)
        gateway.process.send_signal(signal.SIGHUP)
        gateway.reaches("gateway_config_last_reload_successful", outcome)
