"""Every Prometheus series of the gateway: name, help, labels, buckets.

The names of generative AI are OpenTelemetry's, in Prometheus's spelling:
https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-metrics/
Label values are bounded here, whatever clients send.
"""

import platform
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry, GCCollector, ProcessCollector
from prometheus_client.core import Metric

from gateway import __version__
from gateway.metric_families import Bounded, Counter, Family, Gauge, Histogram, Labels

# How many users and models have series of their own, where nothing else is configured.
DEFAULT_BOUND = 200

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
_LAG_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)
_RATIO_BUCKETS = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0)
# OpenTelemetry's own advice for each of its histograms.
_TOKEN_BUCKETS = tuple(float(4**power) for power in range(14))
_DURATION_BUCKETS = tuple(round(0.01 * 2**power, 2) for power in range(14))
_FIRST_TOKEN_BUCKETS = (
    0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0
)  # fmt: skip
_PER_TOKEN_BUCKETS = (0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5)

_GEN_AI = ("gen_ai_operation_name", "gen_ai_provider_name", "gen_ai_request_model")


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

    user: Bounded = field(default_factory=lambda: Bounded(DEFAULT_BOUND))
    model: Bounded = field(default_factory=lambda: Bounded(DEFAULT_BOUND))

    token_usage: Histogram = _histogram(
        "gen_ai_client_token_usage",
        "Tokens of calls that ended, by input and output.",
        *(*_GEN_AI, "gen_ai_token_type"),
        bounds=_TOKEN_BUCKETS,
    )
    duration: Histogram = _histogram(
        "gen_ai_server_request_duration_seconds",
        "Calls that an upstream was asked for, from their first byte to their last.",
        *(*_GEN_AI, "error_type"),
        bounds=_DURATION_BUCKETS,
    )
    first_token: Histogram = _histogram(
        "gen_ai_server_time_to_first_token_seconds",
        "Streams that succeeded, from the request's first byte to the first of the reply's body.",
        *_GEN_AI,
        bounds=_FIRST_TOKEN_BUCKETS,
    )
    per_token: Histogram = _histogram(
        "gen_ai_server_time_per_output_token_seconds",
        "Streams that succeeded: the time after the first token, divided among those that followed.",
        *_GEN_AI,
        bounds=_PER_TOKEN_BUCKETS,
    )

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
    streams: Gauge = _gauge("gateway_streams_in_flight", "Streamed replies on their way.")
    cache_requests: Counter = _counter(
        "gateway_cache_requests_total",
        "Calls by what the cache did for them: hit, miss, collapsed or bypass.",
        "outcome",
    )
    cache_evictions: Counter = _counter(
        "gateway_cache_evictions_total", "Stored replies that made room for others."
    )
    cache_saved_tokens: Counter = _counter(
        "gateway_cache_saved_tokens_total", "Tokens that no upstream was asked for again."
    )
    cache_saved_cost: Counter = _counter(
        "gateway_cache_saved_cost_usd_total",
        "What those tokens would have cost, in USD, at the models' prices.",
    )
    cache_bytes: Gauge = _gauge("gateway_cache_bytes", "What stored replies take.")
    upstream_up: Gauge = _gauge(
        "gateway_upstream_up",
        "1 where an upstream is asked for a model in its turn (none: for calls that name none), 0 while it cools down.",
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
    count_error: Histogram = _histogram(
        "gateway_token_count_error_ratio",
        "How far the gateway's count was from the upstream's, as a share of the upstream's.",
        "direction",
        bounds=_RATIO_BUCKETS,
    )
    loop_lag: Histogram = _histogram(
        "gateway_event_loop_lag_seconds",
        "How late the event loop came to what was due: what a call may have had to wait.",
        bounds=_LAG_BUCKETS,
    )

    def __post_init__(self) -> None:
        self.build_info.set((__version__, platform.python_version()), 1)
        self.streams.set((), 0)
        self.cache_bytes.set((), 0)

    def families(self) -> Iterator[Family]:
        """Yield every family, in the order in which they stand here."""
        for name in self.__slots__:
            family = getattr(self, name)
            if isinstance(family, Family):
                yield family

    def collect(self) -> Iterator[Metric]:
        """Yield every family as it is exposed (prometheus-client's collector protocol)."""
        for family in self.families():
            yield family.collect()

    def registry(self) -> CollectorRegistry:
        """Return a registry of these metrics and the process's own."""
        registry = CollectorRegistry()
        registry.register(self)
        ProcessCollector(registry=registry)
        GCCollector(registry=registry)
        return registry

    def show_health(self, up: Callable[[], Mapping[Labels, float]]) -> None:
        """Expose what `up` says of upstreams and models; of those that share a label, the worst.

        What recovered is shown as up, not left out: an alert must see its end.
        """
        seen: dict[Labels, float] = {}

        def bounded() -> Mapping[Labels, float]:
            shown: dict[Labels, float] = {}
            for (upstream, model), value in up().items():
                labels = (upstream, self.model(model) if model else "")
                shown[labels] = min(value, shown.get(labels, value))
            seen.update(dict.fromkeys(shown, 1.0))
            return {**seen, **shown}

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
