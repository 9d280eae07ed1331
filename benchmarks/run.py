"""One run: every target in front of one upstream, measured in turn, round after round, stage after stage."""

import contextlib
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks import stages
from benchmarks.asking import first_answer
from benchmarks.cases import Case
from benchmarks.loads import Load, LoadFailedError
from benchmarks.processes import StartFailedError
from benchmarks.samples import Samples
from benchmarks.scrape import scrape
from benchmarks.targets import REDIS, UPSTREAM, Running, Target, gateway_on_redis, started

# How often a target that starts quickly is started to time it.
STARTS = 3
# What a stage does with a target whose turn it is.
Measure = Callable[[Running, Samples], None]
STAGES = ("memory", "cpu", "latency", "held", "neighbours", "stalls", "scrape")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is to be measured, where, and for how long."""

    target_core: int
    load_core: int
    rounds: int
    seconds: float
    cases: Sequence[Case]
    targets: Sequence[Target]
    stages: Sequence[str]


class Run:
    """A run in progress."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._stack = contextlib.ExitStack()
        temporary = tempfile.TemporaryDirectory(prefix="bench-")
        self._folder = Path(self._stack.enter_context(temporary))
        self._load = Load(plan.load_core, self._folder)
        self.samples = Samples()
        # Whose reply has the upstream's bytes; and who did not start, and why.
        self.exact: dict[str, bool] = {}
        self.left_out: dict[str, str] = {}

    def measure(self) -> None:
        """Measure everything; all programs have ended when it returns."""
        with self._stack:
            upstream = self._start(UPSTREAM, 0)
            running = [upstream, *self._all_started(upstream.port)]
            whole = [target for target in running if not target.target.only]
            for number in range(1, self._plan.rounds + 1):
                self._cpu(running, number)
                self._turns("latency", whole, partial(stages.latency, number=number))
            self._turns("neighbours", whole, stages.neighbours)
            self._turns("memory", whole, stages.loaded)
            self._turns("held", whole, partial(stages.held, load=self._load))
            self._turns("stalls", whole[1:], stages.stalls)
            if "scrape" in self._plan.stages:
                scrape(self._plan.target_core, self._folder, upstream.port, self.samples)

    def _all_started(self, upstream: int) -> Iterator[Running]:
        targets = list(self._plan.targets)
        if shutil.which("redis-server") and "cpu" in self._plan.stages:
            targets.append(gateway_on_redis(self._start(REDIS, 0).port))
        for target in targets:
            try:
                if not target.peer and not target.only:
                    self._time_starts(target, upstream)
                yield self._start(target, upstream)
            except (LoadFailedError, StartFailedError) as error:
                if not target.peer:
                    raise
                self.left_out[target.name] = f"did not start: {str(error)[-300:]}"
                print(target.name, error, file=sys.stderr)

    def _time_starts(self, target: Target, upstream: int) -> None:
        for number in range(2, STARTS + 1):
            folder = self._folder / f"{target.name}-{number}"
            core = self._plan.target_core
            with started(target, core=core, folder=folder, upstream=upstream) as running:
                took, _ = first_answer(running)
                self.samples.add("start to first answer", running, number, took)

    def _start(self, target: Target, upstream: int) -> Running:
        ours = target in (UPSTREAM, REDIS)
        core = self._plan.load_core if ours else self._plan.target_core
        folder = self._folder / target.name
        running = self._stack.enter_context(
            started(target, core=core, folder=folder, upstream=upstream)
        )
        if ours or target.only:
            return running
        took, self.exact[target.name] = first_answer(running)
        self.samples.add("start to first answer", running, 1, took)
        if "memory" in self._plan.stages:
            stages.memory(running, self.samples, load=self._load)
        return running

    def _cpu(self, running: Sequence[Running], number: int) -> None:
        if "cpu" not in self._plan.stages:
            return
        for case in self._plan.cases:
            for target in running:
                if self._takes(target, case):
                    self._measure(target, case, number)

    def _takes(self, target: Running, case: Case) -> bool:
        only = target.target.only
        if self.samples.has_failed(f"{case.name}, cpu", target) or (only and case.name not in only):
            return False
        # To a peer without a cache the calls are like any others.
        return not (case.equal and target.target.peer and not target.target.caches)

    def _measure(self, target: Running, case: Case, number: int) -> None:
        try:
            figures = self._load.measure(
                case, target, seconds=self._plan.seconds, warm_up=number == 1
            )
        except LoadFailedError as error:
            self.samples.fail(f"{case.name}, cpu", target, error)
            figures = {}
        for name, value in figures.items():
            self.samples.add(f"{case.name}, {name}", target, number, value)
        target.program.settle()

    def _turns(self, stage: str, running: Sequence[Running], measure: Measure) -> None:
        """Let the targets take their turn at a stage; one that fails at it is not asked again."""
        if stage not in self._plan.stages:
            return
        for target in running:
            if not self.samples.has_failed(stage, target):
                try:
                    measure(target, self.samples)
                except LoadFailedError as error:
                    self.samples.fail(stage, target, error)
                target.program.settle()
