"""One measurement: put a case's load on a target for some seconds, and read what it cost."""

import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.cases import Case, request
from benchmarks.targets import Running

LUA = Path(__file__).with_name("wrk.lua")


class LoadFailedError(Exception):
    """The target answered with errors: what it cost says nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """What one measurement found."""

    case: str
    target: str
    # In microseconds of processor time; a unit is a request, or a chunk of a stream.
    cpu_us_per_unit: float
    units_per_second: float


def measure(case: Case, target: Running, *, seconds: float, core: int, folder: Path) -> Sample:
    """Load the target from `core` for `seconds`, after a short warm-up.

    Raises LoadFailedError.
    """
    file = folder / "request"
    file.write_bytes(request(case, target.port))
    if case.rate is None:
        _wrk(case, target, seconds=min(1.0, seconds), core=core, file=file)
        units, cpu, took = _wrk(case, target, seconds=seconds, core=core, file=file)
    else:
        units, cpu, took = _streams(case, target, seconds=seconds, core=core, file=file)
    return Sample(
        case=case.name,
        target=target.name,
        cpu_us_per_unit=cpu / units * 1e6,
        units_per_second=units / took,
    )


def _wrk(
    case: Case, target: Running, *, seconds: float, core: int, file: Path
) -> tuple[int, float, float]:
    before = target.program.cpu_seconds()
    argv = ["taskset", "-c", str(core), "wrk", "--threads", "1", "--timeout", "30s"]
    argv += ["--connections", str(case.concurrency), "--duration", f"{max(1, round(seconds))}s"]
    argv += ["--script", str(LUA), f"http://127.0.0.1:{target.port}", str(file)]
    load = subprocess.run(
        argv,
        check=True,
        capture_output=True,
        text=True,
    )
    cpu = target.program.cpu_seconds() - before
    requests, microseconds, failed = map(int, load.stdout.split("\n")[-2].split())
    if failed or not requests:
        raise LoadFailedError(f"{target.name}, {case.name}: {failed} of {requests} calls failed")
    return requests, cpu, microseconds / 1e6


def _streams(
    case: Case, target: Running, *, seconds: float, core: int, file: Path
) -> tuple[int, float, float]:
    argv = ["taskset", "-c", str(core), sys.executable, "-m", "benchmarks.stream_load"]
    with subprocess.Popen(
        [*argv, str(target.port), str(case.concurrency), str(file)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as load:
        if load.stdin is None or load.stdout is None or load.stdout.readline() != "ready\n":
            raise LoadFailedError(f"{target.name}, {case.name}: the streams did not start")
        time.sleep(min(1.0, seconds))
        readings = []
        for pause in (seconds, 0):
            load.stdin.write("\n")
            load.stdin.flush()
            count = load.stdout.readline()
            if not count:
                raise LoadFailedError(f"{target.name}, {case.name}: a stream ended")
            readings.append((int(count), target.program.cpu_seconds(), time.monotonic()))
            time.sleep(pause)
        load.stdin.close()
    (events, cpu, at), (events_after, cpu_after, at_after) = readings
    return events_after - events, cpu_after - cpu, at_after - at
