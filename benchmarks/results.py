"""What a run found, as data: samples, who was measured and on what; kept as JSON, from which reports are made."""

import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from statistics import median

from benchmarks.samples import Sample, Samples
from benchmarks.targets import UPSTREAM, Target


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """Who was measured."""

    name: str
    note: str
    peer: bool
    # Whether its replies have the upstream's bytes.
    exact: bool
    size_mb: float | None = None
    packages: int | None = None
    version: str = ""
    # How many times slower its streams were paced.
    slower: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """All that a run found."""

    when: str
    surroundings: dict[str, str]
    targets: list[Described]
    # Who could not be measured, and why; "figure, target" -> why there is no value.
    left_out: dict[str, str]
    failed: dict[str, str]
    samples: list[Sample]
    _index: dict[tuple[str, str], dict[int, float]] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        """Index the samples."""
        for sample in self.samples:
            values = self._index.setdefault((sample.figure, sample.target), {})
            values[sample.round] = sample.value

    def values(self, figure: str, target: str) -> list[float]:
        """Return a figure of each round."""
        return list(self._index.get((figure, target), {}).values())

    def median(self, figure: str, target: str) -> float | None:
        """Return a figure's median."""
        values = self.values(figure, target)
        return median(values) if values else None

    def ratio(self, figure: str, target: str, to: str) -> float | None:
        """Return a figure as a multiple of another target's: the median of the rounds' ratios."""
        ratios = [own / other for own, other in self._pairs(figure, target, to) if other]
        return median(ratios) if ratios else None

    def added(self, figure: str, target: str) -> float | None:
        """Return by how much a figure exceeds that of asking the upstream directly: the rounds' median."""
        pairs = self._pairs(figure, target, UPSTREAM.name)
        return median(own - other for own, other in pairs) if pairs else None

    def _pairs(self, figure: str, target: str, other: str) -> list[tuple[float, float]]:
        own = self._index.get((figure, target), {})
        others = self._index.get((figure, other), {})
        return [(own[number], others[number]) for number in own if number in others]


def described(target: Target, exact: Mapping[str, bool]) -> Described:
    """Return what is told of a target."""
    installed = target.installed() if target.installed else None
    return Described(
        name=target.name,
        note=target.note,
        peer=target.peer,
        exact=exact.get(target.name, False),
        size_mb=installed.size_bytes / 1e6 if installed else None,
        packages=installed.packages if installed else None,
        version=installed.version if installed else "",
        slower=target.slower,
    )


def collect(
    when: str,
    samples: Samples,
    targets: Sequence[Described],
    left_out: Mapping[str, str],
    surroundings: Mapping[str, str],
) -> Results:
    """Return what a run found."""
    return Results(
        when=when,
        surroundings=dict(surroundings),
        targets=list(targets),
        left_out=dict(left_out),
        failed={f"{figure}, {target}": why for (figure, target), why in samples.failed.items()},
        samples=samples.found,
    )


def surroundings() -> dict[str, str]:
    """Return what the figures depend on beside the code."""
    cpu = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    packages = ("aiohttp", "httptools", "msgspec", "uvloop")
    return {
        "processor": f"{cpu}, {len(os.sched_getaffinity(0))} cores",
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        **{name: version(name) for name in packages},
    }


def write(found: Results, file: Path) -> None:
    """Keep results."""
    said = asdict(found)
    del said["_index"]
    said["samples"] = [[s.figure, s.target, s.round, s.value] for s in found.samples]
    # A sample a line: a later run then differs readably.
    lines = ",\n".join(f"    {json.dumps(sample)}" for sample in said.pop("samples"))
    head = json.dumps(said, indent=2, ensure_ascii=False).removesuffix("\n}")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f'{head},\n  "samples": [\n{lines}\n  ]\n}}\n', encoding="utf-8")


def read(file: Path) -> Results:
    """Return results that were kept."""
    said = json.loads(file.read_text(encoding="utf-8"))
    samples = [
        Sample(figure=figure, target=target, round=number, value=value)
        for figure, target, number, value in said.pop("samples")
    ]
    targets = [Described(**target) for target in said.pop("targets")]
    return Results(**said, targets=targets, samples=samples)
