"""The end of every call: its `Record` becomes metrics and an entry for the logs, whatever happened."""

from collections.abc import Callable, Mapping
from types import TracebackType

from gateway.clock import Clock
from gateway.entries import Entry
from gateway.errors import GatewayError
from gateway.metric_families import OTHER
from gateway.metrics import Metrics
from gateway.prices import NANODOLLARS_PER_USD
from gateway.tracing import Tracer
from gateway.types import Record, Usage, User

# Lines a second for callers that nobody knows: a flood of wrong keys must not fill a disk.
MAX_UNKNOWN_LINES = 10
# What a client that left is counted as (nginx's own status).
CLIENT_LEFT = 499
CLIENT_DISCONNECTED = "client_disconnected"
# What OpenTelemetry calls the operations of generative AI; other paths have no series of theirs.
OPERATIONS = {
    "/v1/chat/completions": "chat",
    "/v1/completions": "text_completion",
    "/v1/embeddings": "embeddings",
    "/v1/responses": "chat",
}


class Meter:
    """Opens a record for each call and settles it at its end."""

    def __init__(self, metrics: Metrics, clock: Clock) -> None:
        self.metrics = metrics
        self._clock = clock
        # Takes the entry of each call; None: no lines are written.
        self.access: Callable[[Entry], None] | None = None
        # Takes the entry of each call that was settled; None: there is no usage log.
        self.account: Callable[[Entry], None] | None = None
        # Takes the entry of each call that is shown; None: nobody shows any.
        self.show: Callable[[Entry], None] | None = None
        # An upstream's name to OpenTelemetry's name of who runs it.
        self.providers: Mapping[str, str] = {}
        # None: calls are in nobody's trace.
        self.tracer: Tracer | None = None
        # The calls in flight, by their identity.
        self.open: dict[int, Record] = {}
        self._second = 0
        self._lines = 0
        self._unsaid = 0

    @property
    def in_flight(self) -> int:
        """How many calls are in flight."""
        return len(self.open)

    def record(self, record: Record) -> "_Metered":
        """Return a context that counts `record` as in flight and settles it when it ends."""
        return _Metered(self, record)

    def begin(self, record: Record) -> None:
        """Count a call as in flight."""
        self.open[id(record)] = record
        self.metrics.in_flight.add((record.endpoint,), 1)

    def routed(self, record: Record, endpoint: str) -> None:
        """Note what a call in flight is for."""
        self.metrics.in_flight.add((record.endpoint,), -1)
        record.endpoint = endpoint
        self.metrics.in_flight.add((endpoint,), 1)

    def end(self, record: Record) -> None:
        """Make metrics and an entry of a call that ended."""
        del self.open[id(record)]
        metrics = self.metrics
        metrics.in_flight.add((record.endpoint,), -1)
        total_seconds = self._clock.monotonic() - record.started
        if record.left is not None:
            metrics.disconnects.add((record.left,))
            record.status = CLIENT_LEFT
            record.error_code = record.error_code or CLIENT_DISCONNECTED
        own_seconds = max(0.0, total_seconds - record.waited_seconds)
        self._count(record, total_seconds, own_seconds)
        says = self.access is not None and self._may_say(record.user)
        settled = self.account is not None and record.usage is not None
        if says or settled or self.show is not None:
            self._tell(record, total_seconds, own_seconds, says=says)

    def late(self, record: Record) -> None:
        """Count what a call came to that went on for other clients when its own had left."""
        named = record.user.name if record.user is not None and record.user.configured else None
        model = self.metrics.model(record.call.model if record.call is not None else None)
        self._charge(record, self.metrics.user(named), model)
        total_seconds = self._clock.monotonic() - record.started
        own_seconds = max(0.0, total_seconds - record.waited_seconds)
        self._tell(record, total_seconds, own_seconds, says=False)

    def unread(self, error: GatewayError, request_id: str) -> None:
        """Count and tell of a request that the parser refused."""
        self.metrics.requests.add((OTHER, OTHER, "", OTHER, str(error.status), error.label))
        if self.access is not None and self._may_say(None):
            now = self._clock.time()
            self.access(Entry(now, request_id, error.status, error.label, unsaid=self._missed()))

    def _count(self, record: Record, total_seconds: float, own_seconds: float) -> None:
        metrics, call, target = self.metrics, record.call, record.target
        endpoint, status = record.endpoint, str(record.status)
        error = record.error_code or (status if record.status >= 400 else "")
        named = record.user.name if record.user is not None and record.user.configured else None
        user, model = metrics.user(named), metrics.model(call.model if call is not None else None)
        upstream = target.upstream if target is not None else ""
        metrics.requests.add((endpoint, model, upstream, user, status, error))
        metrics.overhead.observe((endpoint,), own_seconds)
        self._charge(record, user, model)
        if record.cache is not None:
            self._cached(record, record.cache)
        operation = OPERATIONS.get(endpoint)
        provider = self.providers.get(upstream, upstream)
        if operation is not None and upstream:
            self._generated(record, (operation, provider, model), error, total_seconds)
        if record.span is not None:
            record.span.end(record, operation, provider, error)

    def _charge(self, record: Record, user: str, model: str) -> None:
        metrics, usage = self.metrics, record.usage
        if usage is not None:
            source = "estimated" if usage.estimated else "reported"
            for kind, amount in disjoint(usage):
                if amount:
                    metrics.tokens.add((user, model, kind, source), amount)
        if record.cost_nanodollars:
            metrics.cost.add((user, model), record.cost_nanodollars / NANODOLLARS_PER_USD)

    def _cached(self, record: Record, outcome: str) -> None:
        metrics, saved = self.metrics, record.saved
        metrics.cache_requests.add((outcome,))
        if saved is not None:
            metrics.cache_saved_tokens.add((), saved.input_tokens + saved.output_tokens)
        if record.saved_nanodollars:
            metrics.cache_saved_cost.add((), record.saved_nanodollars / NANODOLLARS_PER_USD)

    def _generated(
        self, record: Record, labels: tuple[str, str, str], error: str, total_seconds: float
    ) -> None:
        """Count a call by OpenTelemetry's conventions; `labels`: its operation, provider and model."""
        metrics, usage = self.metrics, record.usage
        metrics.duration.observe((*labels, error), total_seconds)
        if usage is not None:
            metrics.token_usage.observe((*labels, "input"), usage.input_tokens)
            if usage.output_tokens:
                metrics.token_usage.observe((*labels, "output"), usage.output_tokens)
        first = record.first_byte_at
        if error or first is None or record.call is None or not record.call.stream:
            return
        first_seconds = first - record.started
        metrics.first_token.observe(labels, first_seconds)
        if usage is not None and usage.output_tokens > 1:
            later = total_seconds - first_seconds
            metrics.per_token.observe(labels, later / (usage.output_tokens - 1))

    def _tell(
        self, record: Record, total_seconds: float, own_seconds: float, *, says: bool
    ) -> None:
        call, first = record.call, record.first_byte_at
        entry = Entry(
            self._clock.time(),
            record.request_id,
            record.status,
            record.error_code,
            record.user,
            call.end_user if call is not None else None,
            record.method,
            record.path,
            record.endpoint,
            call.model if call is not None else None,
            record.target,
            record.attempts,
            record.usage,
            record.cost_nanodollars,
            record.cache,
            record.sent_bytes,
            record.queued_seconds,
            first - record.started if first is not None else None,
            total_seconds,
            own_seconds,
            self._missed() if says else 0,
        )
        if self.account is not None and record.usage is not None:
            self.account(entry)
        if says and self.access is not None:
            self.access(entry)
        if self.show is not None:
            self.show(entry)

    def _missed(self) -> int:
        unsaid, self._unsaid = self._unsaid, 0
        return unsaid

    def _may_say(self, user: User | None) -> bool:
        if user is not None:
            return True
        second = int(self._clock.monotonic())
        if second != self._second:
            self._second, self._lines = second, 0
        self._lines += 1
        if self._lines > MAX_UNKNOWN_LINES:
            self._unsaid += 1
            return False
        return True


class _Metered:
    """Counts one call in flight. A class: `@asynccontextmanager` would cost five times as much."""

    __slots__ = ("_meter", "_record")

    def __init__(self, meter: Meter, record: Record) -> None:
        self._meter = meter
        self._record = record

    def __enter__(self) -> Record:
        self._meter.begin(self._record)
        return self._record

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._meter.end(self._record)


def disjoint(usage: Usage) -> tuple[tuple[str, int], ...]:
    """Return a usage in types that add up: OpenAI's details are parts of their wholes."""
    return (
        (
            "input",
            usage.input_tokens - usage.cached_input_tokens - usage.audio_input_tokens,
        ),
        ("cached_input", usage.cached_input_tokens),
        ("audio_input", usage.audio_input_tokens),
        ("output", usage.output_tokens - usage.reasoning_tokens - usage.audio_output_tokens),
        ("reasoning", usage.reasoning_tokens),
        ("audio_output", usage.audio_output_tokens),
    )
