"""Every Prometheus series of the gateway: name, help, labels, buckets.

Counting is adding to a plain int under a tuple of label values; prometheus-client's objects are made when somebody
scrapes. Label values are bounded here, whatever clients send.
"""

import platform
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)

from gateway import __version__

OTHER = "other"
_OVERHEAD_BUCKETS = (
    0.0001,
    0.00025,
    0.0005,
    0.001,
    0.0025,
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    1.0,
)

Labels = tuple[str, ...]


class Counter:
    """A family of counters."""

    def __init__(self, name: str, documentation: str, labels: Labels = ()) -> None:
        self.name = name
        self.documentation = documentation
        self.labels = labels
        self.values: dict[Labels, float] = {} if labels else {(): 0}
        # What is counted elsewhere, asked for at scrape time.
        self.read: Callable[[], Mapping[Labels, float]] | None = None

    def add(self, values: Labels, amount: float = 1) -> None:
        """Add `amount` to the series of these label values."""
        self.values[values] = self.values.get(values, 0) + amount

    def collect(self) -> Metric:
        """Return the family as prometheus-client exposes it."""
        family = CounterMetricFamily(self.name, self.documentation, labels=self.labels)
        for values, value in {**self.values, **(self.read() if self.read else {})}.items():
            family.add_metric(values, value)
        return family


class Gauge:
    """A family of gauges whose values are asked for at scrape time, or set."""

    def __init__(
        self,
        name: str,
        documentation: str,
        labels: Labels = (),
        read: Callable[[], Mapping[Labels, float]] | None = None,
    ) -> None:
        self.name = name
        self.documentation = documentation
        self.labels = labels
        self.values: dict[Labels, float] = {}
        self.read = read

    def add(self, values: Labels, amount: float) -> None:
        """Move the series of these label values by `amount`."""
        self.values[values] = self.values.get(values, 0) + amount

    def set(self, values: Labels, value: float) -> None:
        """Set the series of these label values."""
        self.values[values] = value

    def collect(self) -> Metric:
        """Return the family as prometheus-client exposes it."""
        family = GaugeMetricFamily(self.name, self.documentation, labels=self.labels)
        for values, value in {**self.values, **(self.read() if self.read else {})}.items():
            family.add_metric(values, value)
        return family


class Histogram:
    """A family of histograms with fixed upper bounds."""

    def __init__(
        self, name: str, documentation: str, labels: Labels, bounds: tuple[float, ...]
    ) -> None:
        self.name = name
        self.documentation = documentation
        self.labels = labels
        self.bounds = bounds
        self._series: dict[Labels, tuple[list[int], list[float]]] = {}

    def observe(self, values: Labels, value: float) -> None:
        """Count `value` in the series of these label values."""
        series = self._series.get(values)
        if series is None:
            series = self._series[values] = ([0] * (len(self.bounds) + 1), [0.0])
        series[0][bisect_left(self.bounds, value)] += 1
        series[1][0] += value

    def collect(self) -> Metric:
        """Return the family as prometheus-client exposes it."""
        family = HistogramMetricFamily(self.name, self.documentation, labels=self.labels)
        for values, (counts, total) in list(self._series.items()):
            buckets = []
            running = 0
            for bound, count in zip((*map(str, self.bounds), "+Inf"), counts, strict=True):
                running += count
                buckets.append((bound, running))
            family.add_metric(values, buckets, total[0])
        return family


class Bounded:
    """A label whose values are those known beforehand, or come first, up to a number; the rest is `other`."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._known: set[str] = set()

    def admit(self, values: Iterable[str]) -> None:
        """Make room for values that are known beforehand, while there is any."""
        for value in values:
            if len(self._known) >= self._limit:
                return
            self._known.add(value)

    def __call__(self, value: str | None) -> str:
        """Return the label for `value`."""
        return value if value in self._known else OTHER


def _counter(name: str, documentation: str, *labels: str) -> Counter:
    made: Counter = field(default_factory=lambda: Counter(name, documentation, labels))
    return made


def _gauge(name: str, documentation: str, *labels: str) -> Gauge:
    made: Gauge = field(default_factory=lambda: Gauge(name, documentation, labels))
    return made


def _histogram(name: str, documentation: str, *labels: str, bounds: tuple[float, ...]) -> Histogram:
    made: Histogram = field(default_factory=lambda: Histogram(name, documentation, labels, bounds))
    return made


@dataclass(slots=True, kw_only=True, eq=False)
class Metrics:
    """All families, and the collector that hands them to a registry."""

    user: Bounded = field(default_factory=lambda: Bounded(200))
    model: Bounded = field(default_factory=lambda: Bounded(200))

    requests: Counter = _counter(
        "gateway_requests_total",
        "Calls that ended, by the status that the client saw (499: the client left).",
        *("endpoint", "model", "upstream", "user", "status", "error_type"),
    )
    tokens: Counter = _counter(
        "gateway_tokens_total",
        "Tokens of calls that ended, in types that add up.",
        *("user", "model", "type", "source"),
    )
    upstream_requests: Counter = _counter(
        "gateway_upstream_requests_total",
        "Tries of upstreams, by the status or the failure they ended in.",
        *("upstream", "status"),
    )
    retries: Counter = _counter(
        "gateway_upstream_retries_total",
        "Further tries of the same target, by the reason.",
        *("upstream", "reason"),
    )
    fallbacks: Counter = _counter(
        "gateway_fallbacks_total", "Steps to a call's next target.", *("model", "from", "to")
    )
    disconnects: Counter = _counter(
        "gateway_client_disconnects_total",
        "Clients that left before their reply was whole, by the phase.",
        "phase",
    )
    shed: Counter = _counter(
        "gateway_shed_requests_total",
        "Requests refused at once to protect the others, by the reason.",
        "reason",
    )
    reloads: Counter = _counter(
        "gateway_config_reloads_total", "Reloads of the configuration.", "outcome"
    )
    in_flight: Gauge = _gauge("gateway_requests_in_flight", "Calls in progress.", "endpoint")
    upstream_up: Gauge = _gauge(
        "gateway_upstream_up",
        "1 where an upstream and model is asked in its turn, 0 while it cools down.",
        *("upstream", "model"),
    )
    reload_ok: Gauge = _gauge(
        "gateway_config_last_reload_successful", "1 where the newest configuration is in use."
    )
    reload_at: Gauge = _gauge(
        "gateway_config_last_reload_success_timestamp_seconds",
        "When the configuration in use was read, in seconds since 1970.",
    )
    build_info: Gauge = _gauge(
        "gateway_build_info", "What is running; always 1.", *("version", "python")
    )
    cost: Counter = _counter(
        "gateway_cost_usd_total", "What calls that ended cost, in USD.", *("user", "model")
    )
    limit_decisions: Counter = _counter(
        "gateway_limit_decisions_total",
        "Admissions and refusals by rules of limits.",
        *("user", "per", "dimension", "outcome"),
    )
    limit_overshoot: Counter = _counter(
        "gateway_limit_overshoot_total",
        "What calls came to above what was reserved for them: tokens, and USD of budgets.",
        "dimension",
    )
    limit_used: Gauge = _gauge(
        "gateway_limit_used_ratio",
        "The share of a limit in use as of the last admission.",
        *("user", "per", "dimension"),
    )
    cache_requests: Counter = _counter(
        "gateway_cache_requests_total", "Calls by what the cache did for them.", "outcome"
    )
    cache_evictions: Counter = _counter(
        "gateway_cache_evictions_total", "Replies that went because room was short."
    )
    cache_saved_tokens: Counter = _counter(
        "gateway_cache_saved_tokens_total", "Tokens that calls took from earlier replies."
    )
    cache_saved_cost: Counter = _counter(
        "gateway_cache_saved_cost_usd_total", "What those calls would have cost, in USD."
    )
    cache_bytes: Gauge = _gauge(
        "gateway_cache_bytes", "Memory that kept replies take; a Redis counts its own."
    )
    store_up: Gauge = _gauge("gateway_store_up", "1 while the store of limits answers.")
    store_errors: Counter = _counter(
        "gateway_store_errors_total", "Operations of the store that failed.", "op"
    )
    overhead: Histogram = _histogram(
        "gateway_overhead_seconds",
        "The gateway's own time in a call: waits for the upstream and the client excluded.",
        "endpoint",
        bounds=_OVERHEAD_BUCKETS,
    )

    def __post_init__(self) -> None:
        self.build_info.set((__version__, platform.python_version()), 1)

    def collect(self) -> Iterator[Metric]:
        """Yield every family (prometheus-client's collector protocol)."""
        for name in self.__slots__:
            family = getattr(self, name)
            if isinstance(family, Counter | Gauge | Histogram):
                yield family.collect()

    def registry(self) -> CollectorRegistry:
        """Return a registry of these metrics and the process's own."""
        registry = CollectorRegistry()
        registry.register(self)
        return registry

    def show_health(self, up: Callable[[], Mapping[Labels, float]]) -> None:
        """Expose what `up` says of upstreams and models; of those that share a label, the worst."""

        def bounded() -> Mapping[Labels, float]:
            shown: dict[Labels, float] = {}
            for (upstream, model), value in up().items():
                labels = (upstream, self.model(model) if model else "")
                shown[labels] = min(value, shown.get(labels, value))
            return shown

        self.upstream_up.read = bounded

    # What the relay counts as it goes.

    def upstream_asked(self, upstream: str, status: str) -> None:
        """Count a try and how it ended: a status, or the name of a failure."""
        self.upstream_requests.add((upstream, status))

    def retried(self, upstream: str, reason: str) -> None:
        """Count another try of the same target."""
        self.retries.add((upstream, reason))

    def fell_back(self, model: str | None, source: str, to: str) -> None:
        """Count a step to the next target."""
        self.fallbacks.add((self.model(model), source, to))
