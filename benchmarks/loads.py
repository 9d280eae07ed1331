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
OPENING_SECONDS = 60.0


class LoadFailedError(Exception):
    """The target answered with errors, or not: what it cost says nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """What one measurement found."""

    case: str
    target: str
    # In microseconds of processor time; a unit is a request, or a chunk of a stream.
    cpu_us_per_unit: float
    units_per_second: float


@dataclass(frozen=True, slots=True, kw_only=True)
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

    def read(self) -> Reading:
        """Return what came since it was last asked.

        Raises LoadFailedError.
        """
        if self._load.stdin is None or self._load.stdout is None:
            raise ValueError("the load has no pipes")
        with contextlib.suppress(BrokenPipeError):
            self._load.stdin.write("\n")
            self._load.stdin.flush()
        told = self._load.stdout.readline()
        if not told or told.startswith("failed"):
            raise LoadFailedError(told.strip() or "the streams' load ended")
        return Reading(
            **dict(zip(Reading.__dataclass_fields__, map(int, told.split()), strict=True))
        )


class Load:
    """The load generators, run on a core of their own; what they need stands in a folder."""

    def __init__(self, core: int, folder: Path) -> None:
        self._core = core
        self._folder = folder
        self._streams = compiled(HERE / "stream_load.c", folder)

    def measure(self, case: Case, target: Running, *, seconds: float, warm_up: bool) -> Sample:
        """Load the target for some seconds, after a second to warm up where asked.

        Raises LoadFailedError.
        """
        if case.rate is None:
            if warm_up:
                self._wrk(case, target, seconds=1)
            units, cpu, took = self._wrk(case, target, seconds=seconds)
        else:
            units, cpu, took = self._chunks(case, target, seconds=seconds)
        return Sample(
            case=case.name,
            target=target.name,
            cpu_us_per_unit=cpu / units * 1e6,
            units_per_second=units / took,
        )

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
                self._wait(load)
                yield Streams(load)
            finally:
                load.kill()

    def _wait(self, load: "subprocess.Popen[str]") -> None:
        if load.stdout is None:
            raise ValueError("the load has no pipes")
        ready, _, _ = select.select([load.stdout], [], [], OPENING_SECONDS)
        told = load.stdout.readline().strip() if ready else f"not in {OPENING_SECONDS:g} s"
        if told != "ready":
            raise LoadFailedError(f"the streams did not start: {told}")

    def _chunks(self, case: Case, target: Running, *, seconds: float) -> tuple[int, float, float]:
        with self.streams(case, target) as streams:
            time.sleep(0.5)
            streams.read()
            cpu, at = target.program.cpu_seconds(), time.monotonic()
            time.sleep(seconds)
            events = streams.read().events
            cpu, took = target.program.cpu_seconds() - cpu, time.monotonic() - at
        if not events:
            raise LoadFailedError("no event came")
        return events, cpu, took

    def _wrk(self, case: Case, target: Running, *, seconds: float) -> tuple[int, float, float]:
        before = target.program.cpu_seconds()
        argv = [*self._pinned(), "wrk", "--threads", "1", "--timeout", "30s"]
        argv += ["--connections", str(case.concurrency), "--duration", f"{max(1, round(seconds))}s"]
        argv += ["--script", str(HERE / "wrk.lua"), f"http://127.0.0.1:{target.port}"]
        load = subprocess.run(
            [*argv, str(self._file(case, target))], check=True, capture_output=True, text=True
        )
        cpu = target.program.cpu_seconds() - before
        requests, microseconds, failed = map(int, load.stdout.split("\n")[-2].split())
        if failed or not requests:
            raise LoadFailedError(f"{failed} of {requests} calls failed")
        return requests, cpu, microseconds / 1e6

    def _pinned(self) -> list[str]:
        return ["taskset", "-c", str(self._core)]

    def _file(self, case: Case, target: Running) -> Path:
        file = self._folder / "request"
        file.write_bytes(request(case, target.port, target.fields))
        return file
