"""What the samples say: medians, their spread, and ratios within the run, as a table and as JSON."""

import json
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from statistics import median

from benchmarks.cases import Case
from benchmarks.loads import Sample


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One target under one case."""

    case: str
    unit: str
    target: str
    cpu_us: float
    cpu_us_least: float
    cpu_us_most: float
    # CPU as a multiple of another target's, compared round by round: target -> median of the ratios.
    ratios: dict[str, float]
    units_per_second: float


def rows(samples: Sequence[Sample], cases: Sequence[Case], yardsticks: Sequence[str]) -> list[Row]:
    """Sum the samples up: those of one target and case stand in the order of their rounds."""
    found = []
    for case in cases:
        by_target: dict[str, list[Sample]] = {}
        for sample in samples:
            if sample.case == case.name:
                by_target.setdefault(sample.target, []).append(sample)
        for target, own in by_target.items():
            costs = [sample.cpu_us_per_unit for sample in own]
            ratios = {
                yardstick: median(
                    cost / other.cpu_us_per_unit
                    for cost, other in zip(costs, by_target[yardstick], strict=True)
                )
                for yardstick in yardsticks
                if yardstick in by_target and yardstick != target
            }
            row = Row(
                case=case.name,
                unit=case.unit,
                target=target,
                cpu_us=median(costs),
                cpu_us_least=min(costs),
                cpu_us_most=max(costs),
                ratios=ratios,
                units_per_second=median(sample.units_per_second for sample in own),
            )
            found.append(row)
    return found


def table(found: Sequence[Row], yardsticks: Sequence[str]) -> str:
    """Return the rows as a Markdown table."""
    heads = ["case", "target", "CPU µs", "least to most", *(f"× {name}" for name in yardsticks)]
    lines = [[*heads, "per second"], ["---"] * 2 + ["---:"] * (len(heads) - 1)]
    for row in found:
        ratios = [f"{row.ratios[name]:.2f}" if name in row.ratios else "" for name in yardsticks]
        spread = f"{row.cpu_us_least:.1f} to {row.cpu_us_most:.1f}"
        cost = f"{row.cpu_us:.1f} a {row.unit}"
        lines.append([row.case, row.target, cost, spread, *ratios, f"{row.units_per_second:,.0f}"])
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


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


def write(folder: Path, stamp: str, found: Sequence[Row], text: str, facts: dict[str, str]) -> None:
    """Keep the report: the text for readers, the figures for programs."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{stamp}.md").write_text(text)
    figures = {"surroundings": facts, "rows": [asdict(row) for row in found]}
    (folder / f"{stamp}.json").write_text(json.dumps(figures, indent=2) + "\n")
