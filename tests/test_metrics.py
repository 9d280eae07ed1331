"""Series: named, bounded, and rendered as Prometheus reads them."""

from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from gateway.metrics import OTHER, Bounded, Metrics


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


def test_label_values_are_bounded() -> None:
    """Names beyond the number, or never admitted, are `other`."""
    label = Bounded(2)
    label.admit(["a", "b", "c"])

    assert [label(name) for name in ("a", "b", "c", "hostile", None)] == [
        "a",
        "b",
        OTHER,
        OTHER,
        OTHER,
    ]


def test_hostile_values_cannot_break_the_format() -> None:
    """Quotes, line ends and backslashes in a label stay inside it."""
    metrics = Metrics()
    metrics.upstream_asked('x"} 1\nevil_total 7', "\\")

    families = {family.name for family in text_string_to_metric_families(rendered(metrics))}

    assert "evil" not in families
    assert "gateway_upstream_requests" in families


def test_every_family_is_exposed_from_the_start() -> None:
    """A scrape names every family before anything happened, so that dashboards find it."""
    text = rendered(Metrics())

    for name in ("gateway_requests_total", "gateway_requests_in_flight", "gateway_build_info"):
        assert f"# TYPE {name.removesuffix('_total')}" in text or f"# TYPE {name}" in text
