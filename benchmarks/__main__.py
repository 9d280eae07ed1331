"""The run: start upstreams and targets, measure them in turn, round after round, and report."""

import argparse
import os
import resource
import shutil
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import peers, report, results
from benchmarks.cases import CASES
from benchmarks.run import STAGES, Plan, Run
from benchmarks.targets import TARGETS

RESULTS = Path(__file__).with_name("results")
TOOLS = ("nginx", "wrk", "cc", "taskset", "setpriv")


def main() -> int:
    """Measure, print the report and keep it; return the exit code."""
    options = _options()
    cores = sorted(os.sched_getaffinity(0))
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    if missing or len(cores) < 2:
        print(f"needs two cores and {', '.join(TOOLS)}; missing: {missing}", file=sys.stderr)
        return 1
    # However the run is ended, its programs are ended first.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    # A stream takes two descriptors of its target, which inherits the limit.
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    facts = results.surroundings()
    # Targets have the first core to themselves.
    target_core, load_core = cores[:2]
    os.sched_setaffinity(0, {load_core})
    facts["load before"] = _load()
    there, left_out = peers.targets(peers.chosen(options.peers))
    plan = Plan(
        target_core=target_core,
        load_core=load_core,
        rounds=options.rounds,
        seconds=options.seconds,
        cases=[case for case in CASES if options.only in case.name],
        targets=[one for one in (*TARGETS, *there) if one.name not in options.without],
        stages=options.stages,
    )
    run = Run(plan)
    try:
        run.measure()
    except (KeyboardInterrupt, SystemExit):
        # What was found until then is told all the same.
        facts["cut short"] = "yes"
    facts["load after"] = _load()
    facts["rounds"] = f"{options.rounds} of {options.seconds:g} s"
    targets = [results.described(target, run.exact) for target in plan.targets]
    now = datetime.now(UTC)
    all_left_out = {**left_out, **run.left_out}
    found = results.collect(f"{now:%Y-%m-%d %H:%M} UTC", run.samples, targets, all_left_out, facts)
    results.write(found, RESULTS / f"{now:%Y%m%dT%H%M%SZ}.json")
    print(report.markdown(found))
    if options.publish and "cut short" not in facts:
        report.publish(found)
    return int("cut short" in facts)


def _load() -> str:
    return f"{os.getloadavg()[0]:.2f} runnable in the last minute"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="how often all is measured (3)")
    parser.add_argument("--seconds", type=float, default=1, help="how long a load lasts (1)")
    parser.add_argument("--only", default="", metavar="TEXT", help="cases with TEXT in their name")
    parser.add_argument("--peers", default="", metavar="NAMES", help="all, or a list with commas")
    parser.add_argument(
        "--without", action="append", default=[], metavar="TARGET", help="leave a target out"
    )
    parser.add_argument(
        "--stages", nargs="*", choices=STAGES, default=STAGES, help="which figures (all)"
    )
    parser.add_argument(
        "--publish", action="store_true", help="write docs/benchmarks.md, its data and picture"
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
