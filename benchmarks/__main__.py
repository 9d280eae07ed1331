"""The run: start upstreams and targets, measure them in turn, round after round, and report."""

import argparse
import contextlib
import os
import resource
import shutil
import sys
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import peers, report
from benchmarks.asking import first_answer
from benchmarks.cases import CASES, Case
from benchmarks.loads import Load, LoadFailedError, Sample
from benchmarks.processes import StartFailedError
from benchmarks.targets import TARGETS, UPSTREAM, Target, started

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
    found, left_out = peers.targets(peers.chosen(options.peers))
    targets = [target for target in (*TARGETS, *found) if target.name not in options.without]
    for name, why in left_out.items():
        print(f"{name}: left out: {why}", file=sys.stderr)
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
            load = Load(self._load_core, folder)
            upstream = stack.enter_context(
                started(UPSTREAM, core=self._load_core, folder=folder / UPSTREAM.name)
            )
            running = []
            for target in targets:
                try:
                    one = stack.enter_context(
                        started(
                            target,
                            core=self._target_core,
                            folder=folder / target.name,
                            upstream=upstream.port,
                        )
                    )
                    print(target.name, first_answer(one), file=sys.stderr)
                except (LoadFailedError, StartFailedError) as error:
                    if not target.peer:
                        raise
                    print(target.name, str(error)[-600:], file=sys.stderr)
                else:
                    running.append(one)
            # Asked directly, the upstream shows what it costs itself, and what the load generator can do.
            samples = []
            failed: set[tuple[str, str]] = set()
            for number in range(1, self._rounds + 1):
                for case in cases:
                    for target in (upstream, *running):
                        if (case.name, target.name) in failed or target.target.only not in case.name:
                            continue
                        try:
                            sample = load.measure(
                                case, target, seconds=self._seconds, warm_up=number == 1
                            )
                        except LoadFailedError as error:
                            if not target.target.peer:
                                raise
                            failed.add((case.name, target.name))
                            print(f"{case.name}, {target.name}: {error}", file=sys.stderr)
                            continue
                        cost = f"{sample.cpu_us_per_unit:.1f} µs a {case.unit}"
                        print(f"round {number}, {case.name}, {target.name}: {cost}", file=sys.stderr)
                        samples.append(sample)
            return samples


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
    parser.add_argument("--peers", default="", metavar="NAMES", help="all, or a list with commas")
    parser.add_argument(
        "--without", action="append", default=[], metavar="TARGET", help="leave a target out"
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
