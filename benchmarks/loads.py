"""One measurement: put a case's load on a target for some seconds, and read what it cost."""

import contextlib
import select
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.cases import Case, request
from benchmarks.processes import compiled
from benchmarks.targets import Running

HERE = Path(__file__).parent
OPENING_SECONDS = 30.0
# How long a target is loaded that has no answer in the usual time.
SLOW_SECONDS = 10.0


class LoadFailedError(Exception):
    """The target answered with errors, or not: what it cost says nothing."""


class NoAnswerError(LoadFailedError):
    """Nothing was answered in the time."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What came in all streams since the reading before."""

    events: int
    # From the upstream's sending to the client's reading, in microseconds.
    delay_p50_us: int
    delay_p99_us: int
    delay_longest_us: int


class Streams:
    """Streams that are open and flow."""

    def __init__(self, load: "subprocess.Popen[str]") -> None:
        self._load = load
        self._told(OPENING_SECONDS)

    def read(self) -> Reading:
        """Return what came since it was last asked.

        Raises LoadFailedError.
        """
        self._say("")
        return Reading(*map(int, self._told(OPENING_SECONDS).split()))

    def grow(self, count: int, seconds: float) -> None:
        """Open more, until there are `count`.

        Raises LoadFailedError, also where that takes longer than `seconds`.
        """
        self._say(str(count))
        self._told(seconds)

    def _say(self, line: str) -> None:
        if self._load.stdin is None:
            raise ValueError("the load has no pipes")
        with contextlib.suppress(BrokenPipeError):
            self._load.stdin.write(f"{line}\n")
            self._load.stdin.flush()

    def _told(self, seconds: float) -> str:
        if self._load.stdout is None:
            raise ValueError("the load has no pipes")
        came, _, _ = select.select([self._load.stdout], [], [], seconds)
        told = self._load.stdout.readline().strip() if came else f"no answer in {seconds:g} s"
        if not told or not (told == "ready" or told[0].isdigit()):
            raise LoadFailedError(told or "the streams' load ended")
        return told


class Load:
    """The load generators, run on a core of their own; what they need stands in a folder."""

    def __init__(self, core: int, folder: Path) -> None:
        self._core = core
        self._folder = folder
        self._streams = compiled(HERE / "stream_load.c", folder)

    def measure(
        self, case: Case, target: Running, *, seconds: float, warm_up: bool
    ) -> dict[str, float]:
        """Load the target for some seconds, after a second to warm up where asked; return the figures.

        Raises LoadFailedError.
        """
        if case.rate is not None:
            return self._chunks(case, target, seconds=seconds)
        if warm_up:
            with contextlib.suppress(NoAnswerError):
                self._wrk(case, target, seconds=1)
        try:
            return self._wrk(case, target, seconds=seconds)
        except NoAnswerError:
            return self._wrk(case, target, seconds=SLOW_SECONDS)

    @contextlib.contextmanager
    def streams(self, case: Case, target: Running) -> Iterator[Streams]:
        """Open a case's streams and wait until each flows.

        Raises LoadFailedError.
        """
        argv = [str(self._streams), str(target.port), str(case.concurrency)]
        with subprocess.Popen(
            [*self._pinned(), *argv, str(self._file(case, target))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as load:
            try:
                yield Streams(load)
            finally:
                load.kill()

    def _chunks(self, case: Case, target: Running, *, seconds: float) -> dict[str, float]:
        with self.streams(case, target) as streams:
            time.sleep(0.5)
            streams.read()
            cpu, at = target.program.cpu_seconds(), time.monotonic()
            time.sleep(seconds)
            reading = streams.read()
            cpu, took = target.program.cpu_seconds() - cpu, time.monotonic() - at
        if not reading.events:
            raise LoadFailedError("no event came")
        return {
            "cpu": cpu / reading.events * 1e6,
            "per second": reading.events / took,
            "event p50": reading.delay_p50_us,
            "event p99": reading.delay_p99_us,
        }

    def _wrk(self, case: Case, target: Running, *, seconds: float) -> dict[str, float]:
        before = target.program.cpu_seconds()
        argv = [*self._pinned(), "wrk", "--threads", "1", "--timeout", "30s"]
        argv += ["--connections", str(case.concurrency), "--duration", f"{max(1, round(seconds))}s"]
        argv += ["--script", str(HERE / "wrk.lua"), f"http://127.0.0.1:{target.port}"]
        load = subprocess.run(
            [*argv, str(self._file(case, target))], check=True, capture_output=True, text=True
        )
        cpu = target.program.cpu_seconds() - before
        requests, microseconds, failed = map(int, load.stdout.split("\n")[-2].split())
        if failed:
            raise LoadFailedError(f"{failed} of {requests} calls failed")
        if not requests:
            raise NoAnswerError(f"no answer in {seconds:g} s")
        return {"cpu": cpu / requests * 1e6, "per second": requests / microseconds * 1e6}

    def _pinned(self) -> list[str]:
        return ["taskset", "-c", str(self._core)]

    def _file(self, case: Case, target: Running) -> Path:
        file = self._folder / "request"
        paced = case.slower(target.target.slower)
        file.write_bytes(request(paced, target.port, target.fields))
        return file
