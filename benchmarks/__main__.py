"""The run: start upstreams and targets, measure them in turn, round after round, and report."""

import argparse
import contextlib
import os
import resource
import shutil
import sys
import tempfile
import urllib.request
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import report
from benchmarks.cases import CASES, KEY, REPLY, Case
from benchmarks.loads import Sample, measure
from benchmarks.targets import TARGETS, UPSTREAM, Running, Target, started

RESULTS = Path(__file__).with_name("results")
YARDSTICKS = ("nginx", "aiohttp pass-through")
TOOLS = ("nginx", "wrk", "cc", "taskset")


def main() -> int:
    """Measure, print the report and keep it; return the exit code."""
    options = _options()
    cores = sorted(os.sched_getaffinity(0))
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    if missing or len(cores) < 2:
        print(f"needs two cores and {', '.join(TOOLS)}; missing: {missing}", file=sys.stderr)
        return 1
    # A stream takes two descriptors of its target, which inherits the limit.
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    facts = report.surroundings()
    # Targets have the first core to themselves.
    target_core, load_core = cores[:2]
    os.sched_setaffinity(0, {load_core})
    facts["load before"] = _load()
    cases = [case for case in CASES if options.only in case.name]
    targets = [target for target in TARGETS if target.name not in options.without]
    run = Run(target_core, load_core, options.rounds, options.seconds)
    samples = run.measure(targets, cases)
    facts["load after"] = _load()
    facts["rounds"] = f"{options.rounds} of {options.seconds:g} s"
    _report(samples, cases, facts)
    return 0


class Run:
    """Every target in front of one upstream, measured in turn."""

    def __init__(self, target_core: int, load_core: int, rounds: int, seconds: float) -> None:
        self._target_core = target_core
        self._load_core = load_core
        self._rounds = rounds
        self._seconds = seconds

    def measure(self, targets: Sequence[Target], cases: Sequence[Case]) -> list[Sample]:
        """Return the samples of all rounds: within a round the targets take turns case by case."""
        with contextlib.ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
            upstream = stack.enter_context(
                started(UPSTREAM, core=self._load_core, folder=folder / UPSTREAM.name)
            )
            running = [
                stack.enter_context(
                    started(
                        target,
                        core=self._target_core,
                        folder=folder / target.name,
                        upstream=upstream.port,
                    )
                )
                for target in targets
            ]
            for target in running:
                _check(target)
            # Asked directly, the upstream shows what it costs itself, and what the load generator can do.
            return [
                self._sample(number, case, target, folder)
                for number in range(1, self._rounds + 1)
                for case in cases
                for target in (upstream, *running)
            ]

    def _sample(self, number: int, case: Case, target: Running, folder: Path) -> Sample:
        sample = measure(case, target, seconds=self._seconds, core=self._load_core, folder=folder)
        cost = f"{sample.cpu_us_per_unit:.1f} µs a {case.unit}"
        print(f"round {number}, {case.name}, {target.name}: {cost}", file=sys.stderr)
        return sample


def _check(target: Running) -> None:
    """Refuse to measure a target that does not answer with the upstream's bytes."""
    ask = urllib.request.Request(
        f"http://127.0.0.1:{target.port}/v1/chat/completions",
        data=b'{"model":"gpt-4o-mini","messages":[{"role":"user","content":"Hi"}]}',
        headers={"content-type": "application/json", "authorization": f"Bearer {KEY}"},
    )
    with urllib.request.urlopen(ask) as reply:
        if reply.read() != REPLY:
            raise SystemExit(f"{target.name} changes the reply")


def _report(samples: Sequence[Sample], cases: Sequence[Case], facts: dict[str, str]) -> None:
    now = datetime.now(UTC)
    found = report.rows(samples, cases, YARDSTICKS)
    around = "".join(f"- {name}: {value}\n" for name, value in facts.items())
    text = f"# {now:%Y-%m-%d %H:%M} UTC\n\n{report.table(found, YARDSTICKS)}\n{around}"
    report.write(RESULTS, f"{now:%Y%m%dT%H%M%SZ}", found, text, facts)
    print(text)


def _load() -> str:
    return f"{os.getloadavg()[0]:.2f} runnable in the last minute"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="how often all is measured (5)")
    parser.add_argument("--seconds", type=float, default=3, help="how long a measurement is (3)")
    parser.add_argument("--only", default="", metavar="TEXT", help="cases with TEXT in their name")
    parser.add_argument(
        "--without", action="append", default=[], metavar="TARGET", help="leave a target out"
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
