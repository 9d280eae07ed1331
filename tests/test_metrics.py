"""Series: named, bounded, and rendered as Prometheus reads them."""

from pathlib import Path

from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from docs import generate_metrics
from gateway.metrics import Metrics


def rendered(metrics: Metrics) -> str:
    return generate_latest(metrics.registry()).decode()


def test_counts_appear_under_their_labels() -> None:
    """What is counted is what a scrape shows."""
    metrics = Metrics()
    metrics.upstream_asked("openai", "200")
    metrics.upstream_asked("openai", "200")
    metrics.retried("openai", "connect")

    text = rendered(metrics)

    assert 'gateway_upstream_requests_total{status="200",upstream="openai"} 2.0' in text
    assert 'gateway_upstream_retries_total{reason="connect",upstream="openai"} 1.0' in text


def test_histogram_buckets_are_cumulative() -> None:
    """A value counts in every bucket at or above it, and in the sum."""
    metrics = Metrics()
    for seconds in (0.0001, 0.0002, 5.0):
        metrics.overhead.observe(("/v1/embeddings",), seconds)

    text = rendered(metrics)

    assert 'gateway_overhead_seconds_bucket{endpoint="/v1/embeddings",le="0.0001"} 1.0' in text
    assert 'gateway_overhead_seconds_bucket{endpoint="/v1/embeddings",le="0.00025"} 2.0' in text
    assert 'gateway_overhead_seconds_bucket{endpoint="/v1/embeddings",le="+Inf"} 3.0' in text
    assert 'gateway_overhead_seconds_sum{endpoint="/v1/embeddings"} 5.0003' in text


def test_hostile_values_cannot_break_the_format() -> None:
    """Quotes, line ends and backslashes in a label stay inside it."""
    metrics = Metrics()
    metrics.upstream_asked('x"} 1\nevil_total 7', "\\")

    families = {family.name for family in text_string_to_metric_families(rendered(metrics))}

    assert "evil" not in families
    assert "gateway_upstream_requests" in families


def test_every_family_is_exposed_from_the_start() -> None:
    """A scrape names every family before anything happened, so that dashboards find it."""
    metrics = Metrics()
    exposed = {family.name for family in text_string_to_metric_families(rendered(metrics))}

    assert {family.name.removesuffix("_total") for family in metrics.families()} <= exposed
    assert {"process_resident_memory_bytes", "python_gc_collections"} <= exposed


def test_families_are_those_of_the_contract() -> None:
    """Names, types and labels are what dashboards and alerts are written for: a change here breaks somebody's."""
    told = {family.name: (family.kind, " ".join(family.labels)) for family in Metrics().families()}

    operation = "gen_ai_operation_name gen_ai_provider_name gen_ai_request_model"
    assert told == {
        "gen_ai_client_token_usage": ("histogram", f"{operation} gen_ai_token_type"),
        "gen_ai_server_request_duration_seconds": ("histogram", f"{operation} error_type"),
        "gen_ai_server_time_to_first_token_seconds": ("histogram", operation),
        "gen_ai_server_time_per_output_token_seconds": ("histogram", operation),
        "gateway_requests_total": ("counter", "endpoint model upstream user status error_type"),
        "gateway_tokens_total": ("counter", "user model type source"),
        "gateway_cost_usd_total": ("counter", "user model"),
        "gateway_limit_decisions_total": ("counter", "user per dimension outcome"),
        "gateway_limit_overshoot_total": ("counter", "dimension"),
        "gateway_cache_requests_total": ("counter", "outcome"),
        "gateway_cache_evictions_total": ("counter", ""),
        "gateway_cache_saved_tokens_total": ("counter", ""),
        "gateway_cache_saved_cost_usd_total": ("counter", ""),
        "gateway_upstream_requests_total": ("counter", "upstream status"),
        "gateway_upstream_retries_total": ("counter", "upstream reason"),
        "gateway_fallbacks_total": ("counter", "model from to"),
        "gateway_client_disconnects_total": ("counter", "phase"),
        "gateway_shed_requests_total": ("counter", "reason"),
        "gateway_store_errors_total": ("counter", "op"),
        "gateway_config_reloads_total": ("counter", "outcome"),
        "gateway_requests_in_flight": ("gauge", "endpoint"),
        "gateway_streams_in_flight": ("gauge", ""),
        "gateway_limit_used_ratio": ("gauge", "user per dimension"),
        "gateway_cache_bytes": ("gauge", ""),
        "gateway_upstream_up": ("gauge", "upstream model"),
        "gateway_store_up": ("gauge", ""),
        "gateway_config_last_reload_successful": ("gauge", ""),
        "gateway_config_last_reload_success_timestamp_seconds": ("gauge", ""),
        "gateway_build_info": ("gauge", "version python"),
        "gateway_overhead_seconds": ("histogram", "endpoint"),
        "gateway_token_count_error_ratio": ("histogram", "direction"),
        "gateway_event_loop_lag_seconds": ("histogram", ""),
    }


def test_the_buckets_are_opentelemetry_s() -> None:
    """The histograms of generative AI have the bounds that its conventions advise."""
    metrics = Metrics()

    assert metrics.token_usage.bounds[:4] == (1, 4, 16, 64)
    assert metrics.token_usage.bounds[-1] == 67_108_864
    assert metrics.duration.bounds[:3] == (0.01, 0.02, 0.04)
    assert metrics.duration.bounds[-1] == 81.92
    assert (metrics.first_token.bounds[0], metrics.first_token.bounds[-1]) == (0.001, 10.0)
    assert (metrics.per_token.bounds[0], metrics.per_token.bounds[-1]) == (0.01, 2.5)


def test_an_upstream_that_recovered_is_shown_as_up() -> None:
    """A pair that failed once keeps its series, at 1, so that an alert sees its end."""
    metrics = Metrics()
    state: dict[tuple[str, ...], float] = {("openai", ""): 1, ("openai", "made-up"): 0}
    metrics.show_health(lambda: state)

    assert metrics.upstream_up.values == {("openai", ""): 1, ("openai", "other"): 0}
    del state["openai", "made-up"]
    assert metrics.upstream_up.values == {("openai", ""): 1, ("openai", "other"): 1}


def test_the_page_is_generated() -> None:
    """docs/metrics.md is what `make docs` writes."""
    page = (Path(__file__).parent.parent / "docs" / "metrics.md").read_text(encoding="utf-8")

    assert generate_metrics.documentation(page) == page
