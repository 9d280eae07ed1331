"""Spans of calls: what is wanted of a tracer. The one there is stands in `otel.py`, and needs an extra."""

from typing import Protocol

from gateway.errors import StartError
from gateway.types import Headers, Span


class Tracer(Protocol):
    """What begins spans."""

    def begin(self, headers: Headers) -> Span:
        """Begin the span of a call; the one that its client's header fields name, if any, is its parent."""

    def close(self) -> None:
        """Send what was not sent yet, and end; it may take seconds."""


def open_tracer(endpoint: str) -> Tracer:
    """Return a tracer that sends spans to `endpoint` by OTLP over HTTP. Raises StartError without the extra."""
    try:
        # An optional extra, imported only where it is asked for.
        from gateway.tracing.otel import OtelTracer  # noqa: PLC0415
    except ModuleNotFoundError as error:
        message = "tracing.endpoint: OpenTelemetry is not installed: install gateway[otel]"
        raise StartError(message) from error
    return OtelTracer(endpoint)
