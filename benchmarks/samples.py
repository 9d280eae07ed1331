"""What is found: one value of one figure of one target in one round."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.loads import LoadFailedError
from benchmarks.targets import Running


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One value; its unit is told by the figure, in `figures.py`."""

    figure: str
    target: str
    round: int
    value: float


class Samples:
    """Collects what is found, and who fails at what."""

    def __init__(self) -> None:
        self.found: list[Sample] = []
        # Figure and target -> why there is no value.
        self.failed: dict[tuple[str, str], str] = {}

    def add(self, figure: str, target: Running, number: int, value: float) -> None:
        """Note a value."""
        found = Sample(figure=figure, target=target.name, round=number, value=value)
        self.found.append(found)
        print(f"round {number}, {figure}, {target.name}: {value:.4g}", file=sys.stderr)

    def fail(self, figure: str, target: Running, error: LoadFailedError) -> None:
        """Note that a target does not stand a load, and is not to be asked again."""
        self.failed[figure, target.name] = str(error)
        print(f"{figure}, {target.name}: {error}", file=sys.stderr)

    def has_failed(self, figure: str, target: Running) -> bool:
        """Tell whether a target failed at a figure in an earlier round."""
        return (figure, target.name) in self.failed


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value that a share of all does not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
