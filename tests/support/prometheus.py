"""A real Prometheus, started by the tests and ended by them, and what it is asked."""

import contextlib
import json
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

# Only ends a hang: far above anything that is waited for.
HANG_SECONDS = 60.0
POLL_SECONDS = 0.05


class Prometheus:
    """One server that scrapes one target and judges rules every half second."""

    def __init__(self, url: str) -> None:
        self.url = url

    def ask(self, path: str, **parameters: str) -> Any:
        """Return the data that its HTTP API answers with. Raises AssertionError with its error."""
        asked = f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        try:
            with urllib.request.urlopen(asked, timeout=HANG_SECONDS) as reply:
                return json.load(reply)["data"]
        except urllib.error.HTTPError as error:
            with error:
                raise AssertionError(f"{parameters}: {error.read().decode()}") from error

    def ready(self) -> bool:
        """Tell whether it answers questions."""
        try:
            with urllib.request.urlopen(f"{self.url}/-/ready", timeout=HANG_SECONDS):
                return True
        except urllib.error.HTTPError as error:
            # It listens, and still reads what it has on its disk.
            error.close()
        except OSError:
            pass
        return False

    def query(self, expr: str) -> list[tuple[dict[str, str], float]]:
        """Return the labels and values that an expression has now."""
        found = self.ask("query", query=expr)
        return [(sample["metric"], float(sample["value"][1])) for sample in found["result"]]

    def value(self, expr: str) -> float:
        """Return the first value of an expression, 0 where it has none."""
        return next((value for _, value in self.query(expr)), 0.0)

    def wait(self, expr: str) -> None:
        """Return once an expression has an answer."""
        end = time.monotonic() + HANG_SECONDS
        while not self.query(expr):
            assert time.monotonic() < end, f"no answer to {expr}; {self._judged()}"
            time.sleep(POLL_SECONDS)

    def _judged(self) -> str:
        """Return when each group of rules was judged last, and what went wrong: why an answer may be missing."""
        groups = self.ask("rules")["groups"]
        return "; ".join(
            f"{group['name']} at {group['lastEvaluation']}: "
            + (
                ", ".join(rule["lastError"] for rule in group["rules"] if rule.get("lastError"))
                or "ok"
            )
            for group in groups
        )


def installed() -> bool:
    """Tell whether Prometheus and its tool are to be had."""
    return None not in (shutil.which("prometheus"), shutil.which("promtool"))


@contextlib.contextmanager
def running(target: str, rules: Sequence[Path], folder: Path) -> Iterator[Prometheus]:
    """Run a server that scrapes `target`, HOST:PORT, until the block ends."""
    config = {
        "global": {
            "scrape_interval": "500ms",
            "scrape_timeout": "500ms",
            "evaluation_interval": "500ms",
        },
        "scrape_configs": [{"job_name": "gateway", "static_configs": [{"targets": [target]}]}],
        "rule_files": [str(path) for path in rules],
    }
    path = folder / "prometheus.yml"
    path.write_text(json.dumps(config))
    with socket.create_server(("127.0.0.1", 0)) as probe:
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    command = [
        *("prometheus", f"--config.file={path}", f"--storage.tsdb.path={folder / 'data'}"),
        *(f"--web.listen-address={address}", "--log.level=warn"),
    ]
    log = folder / "prometheus.log"
    with log.open("wb") as out, subprocess.Popen(command, stdout=out, stderr=out) as process:
        server = Prometheus(f"http://{address}")
        try:
            _until_ready(server, process, log)
            yield server
        finally:
            process.kill()


def _until_ready(server: Prometheus, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + HANG_SECONDS
    while not server.ready():
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < end, log.read_text()
        time.sleep(POLL_SECONDS)
