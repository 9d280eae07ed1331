"""Spans by OpenTelemetry's conventions for generative AI, sent by OTLP over HTTP from a thread of its own.

https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-spans/
"""

import threading
from collections.abc import Mapping
from urllib.parse import urlsplit

import requests
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from gateway import __version__
from gateway.types import Headers, Record

# Fields of W3C's Trace Context: https://www.w3.org/TR/trace-context/
_CONTEXT_FIELDS = (b"traceparent", b"tracestate")
# Where OTLP's receivers listen below their address.
_TRACES_PATH = "/v1/traces"
# Of names that clients make up, so much is told.
MAX_NAME = 256
# How long the end of the gateway waits for the last spans to be sent: OpenTelemetry itself would try for longer.
CLOSE_SECONDS = 2.0

Attributes = Mapping[str, str | int | float]


class OtelTracer:
    """Begins spans, and sends those that ended in batches."""

    def __init__(self, endpoint: str, exporter: SpanExporter | None = None) -> None:
        """Send to `endpoint`, or to another exporter. OpenTelemetry's own `OTEL_*` variables are obeyed."""
        resource = Resource.create({"service.name": "gateway", "service.version": __version__})
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(exporter or _exporter(endpoint)))
        self._tracer = self._provider.get_tracer("gateway", __version__)
        self._propagator = TraceContextTextMapPropagator()

    def begin(self, headers: Headers) -> "OtelSpan":
        """Begin the span of a call; the one that its client's header fields name, if any, is its parent."""
        carrier = {
            name.lower().decode(): value.decode("latin-1")
            for name, value in headers
            if name.lower() in _CONTEXT_FIELDS
        }
        parent = self._propagator.extract(carrier)
        span = self._tracer.start_span("call", context=parent, kind=trace.SpanKind.SERVER)
        onward: dict[str, str] = {}
        self._propagator.inject(onward, context=trace.set_span_in_context(span, parent))
        fields = tuple((name.encode(), value.encode("latin-1")) for name, value in onward.items())
        return OtelSpan(span, fields)

    def close(self) -> None:
        """Send what was not sent yet, and end; a receiver that is away is not waited for for long."""
        ending = threading.Thread(target=self._provider.shutdown, name="spans", daemon=True)
        ending.start()
        ending.join(CLOSE_SECONDS)


class OtelSpan:
    """The span of one call."""

    def __init__(self, span: trace.Span, fields: Headers) -> None:
        self._span = span
        # What names it to the upstream.
        self.fields = fields

    def end(self, record: Record, operation: str | None, provider: str, error: str) -> None:
        """End it with what is known of the call; `operation` is None where no model answers."""
        span = self._span
        model = record.call.model if record.call is not None else None
        if operation is not None:
            span.update_name(f"{operation} {(model or '')[:MAX_NAME]}".rstrip())
        else:
            span.update_name(f"{record.method} {record.endpoint}")
        if span.is_recording():
            span.set_attributes(_attributes(record, operation, provider, model, error))
        if record.status >= 500 or (error and record.left is None and record.status < 400):
            span.set_status(trace.StatusCode.ERROR, error)
        span.end()


def _attributes(
    record: Record, operation: str | None, provider: str, model: str | None, error: str
) -> Attributes:
    usage, user, target = record.usage, record.user, record.target
    streams = operation is not None and record.call is not None and record.call.stream
    known: dict[str, str | int | float | None] = {
        "gen_ai.operation.name": operation,
        "gen_ai.provider.name": provider or None,
        "gen_ai.request.model": model and model[:MAX_NAME],
        "gen_ai.request.stream": streams or None,
        "gen_ai.response.time_to_first_chunk": record.first_byte_at - record.started
        if streams and record.first_byte_at is not None
        else None,
        "gen_ai.usage.input_tokens": usage.input_tokens if usage is not None else None,
        "gen_ai.usage.output_tokens": usage.output_tokens if usage is not None else None,
        "gen_ai.usage.cache_read.input_tokens": usage.cached_input_tokens
        if usage is not None
        else None,
        "error.type": error or None,
        "http.request.method": record.method,
        "http.route": record.endpoint,
        "http.response.status_code": record.status,
        "user.name": user.name if user is not None and user.configured else None,
        "gateway.request_id": record.request_id,
        "gateway.upstream": target.upstream if target is not None else None,
        "gateway.model": target.model if target is not None else None,
        "gateway.attempts": record.attempts,
        "gateway.cache": record.cache,
    }
    return {name: value for name, value in known.items() if value is not None}


def _exporter(endpoint: str) -> SpanExporter:
    # A session of our own: proxies that the environment names are not for us.
    session = requests.Session()
    session.trust_env = False
    path = urlsplit(endpoint).path.rstrip("/")
    return OTLPSpanExporter(
        endpoint=endpoint if path else endpoint.rstrip("/") + _TRACES_PATH, session=session
    )
