"""Families of series: counting is adding to a plain number; prometheus-client's objects are made when somebody scrapes.

A family is written by the event loop alone and read by whichever thread renders.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)

OTHER = "other"

Labels = tuple[str, ...]
Read = Callable[[], Mapping[Labels, float]]


class Cell:
    """One series of a counter or gauge. Whoever adds often keeps the cell instead of its labels."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value: float = 0


class Family:
    """What families have in common."""

    kind = ""

    def __init__(self, name: str, documentation: str, labels: Labels = ()) -> None:
        self.name = name
        self.documentation = documentation
        self.labels = labels

    def collect(self) -> Metric:
        """Return the family as prometheus-client exposes it."""
        raise NotImplementedError


class _Numbers(Family):
    """A family whose series are one number each, counted here or read elsewhere at scrape time."""

    def __init__(self, name: str, documentation: str, labels: Labels = ()) -> None:
        super().__init__(name, documentation, labels)
        self._cells: dict[Labels, Cell] = {}
        # What is known elsewhere, asked for at scrape time.
        self.read: Read | None = None

    def cell(self, values: Labels) -> Cell:
        """Return the series of these label values."""
        cell = self._cells.get(values)
        if cell is None:
            cell = self._cells[values] = Cell()
        return cell

    def add(self, values: Labels, amount: float = 1) -> None:
        """Move the series of these label values by `amount`."""
        # One call for the frequent case: this is done a dozen times a request.
        (self._cells.get(values) or self.cell(values)).value += amount

    @property
    def values(self) -> dict[Labels, float]:
        """Every series and its number, those that are read elsewhere included."""
        # Copied at once: it is read in a thread of its own.
        found = {values: cell.value for values, cell in list(self._cells.items())}
        return found if self.read is None else {**found, **self.read()}


class Counter(_Numbers):
    """A family of counters."""

    kind = "counter"

    def __init__(self, name: str, documentation: str, labels: Labels = ()) -> None:
        super().__init__(name, documentation, labels)
        if not labels:
            self.cell(())

    def collect(self) -> Metric:
        """Return the family as prometheus-client exposes it."""
        family = CounterMetricFamily(self.name, self.documentation, labels=self.labels)
        for values, value in self.values.items():
            family.add_metric(values, value)
        return family


class Gauge(_Numbers):
    """A family of gauges."""

    kind = "gauge"

    def set(self, values: Labels, value: float) -> None:
        """Set the series of these label values."""
        self.cell(values).value = value

    def collect(self) -> Metric:
        """Return the family as prometheus-client exposes it."""
        family = GaugeMetricFamily(self.name, self.documentation, labels=self.labels)
        for values, value in self.values.items():
            family.add_metric(values, value)
        return family


class Buckets:
    """One series of a histogram."""

    __slots__ = ("_bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        """Count `value`."""
        self.counts[bisect_left(self._bounds, value)] += 1
        self.total += value


class Histogram(Family):
    """A family of histograms with fixed upper bounds."""

    kind = "histogram"

    def __init__(
        self, name: str, documentation: str, labels: Labels, bounds: tuple[float, ...]
    ) -> None:
        super().__init__(name, documentation, labels)
        self.bounds = bounds
        self._series: dict[Labels, Buckets] = {}
        if not labels:
            self.series(())

    def series(self, values: Labels) -> Buckets:
        """Return the series of these label values."""
        series = self._series.get(values)
        if series is None:
            series = self._series[values] = Buckets(self.bounds)
        return series

    def observe(self, values: Labels, value: float) -> None:
        """Count `value` in the series of these label values."""
        series = self._series.get(values) or self.series(values)
        series.counts[bisect_left(self.bounds, value)] += 1
        series.total += value

    def count(self, values: Labels) -> int:
        """Return how many values the series of these label values has counted."""
        series = self._series.get(values)
        return 0 if series is None else sum(series.counts)

    def counts(self) -> Sequence[int]:
        """Return how many values fell into each bucket, all series together; the last is beyond the bounds."""
        return [sum(column) for column in zip(*self._counts(), strict=True)]

    def _counts(self) -> Iterator[Sequence[int]]:
        yield [0] * (len(self.bounds) + 1)
        for series in list(self._series.values()):
            yield series.counts

    def collect(self) -> Metric:
        """Return the family as prometheus-client exposes it."""
        family = HistogramMetricFamily(self.name, self.documentation, labels=self.labels)
        for values, series in list(self._series.items()):
            buckets = []
            running = 0
            for bound, count in zip((*map(str, self.bounds), "+Inf"), series.counts, strict=True):
                running += count
                buckets.append((bound, running))
            family.add_metric(values, buckets, series.total)
        return family


class Bounded:
    """A label whose values are those known beforehand, or come first, up to a number; the rest is `other`.

    A value that was ever known stays so: a counter does not vanish because a configuration changed.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.known: set[str] = set()

    def admit(self, values: Iterable[str]) -> None:
        """Make room for values that are known beforehand, while there is any."""
        for value in values:
            if len(self.known) >= self.limit:
                return
            self.known.add(value)

    def __call__(self, value: str | None) -> str:
        """Return the label for `value`."""
        return value if value in self.known else OTHER
