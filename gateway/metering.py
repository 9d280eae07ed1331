"""The end of every call: its `Record` becomes metrics and one log line, whatever happened."""

from collections.abc import Callable, Mapping
from types import TracebackType

from gateway.clock import Clock
from gateway.errors import GatewayError
from gateway.metrics import OTHER, Metrics
from gateway.prices import NANODOLLARS_PER_USD
from gateway.types import Record, Usage, User

# Lines a second for callers that nobody knows: a flood of wrong keys must not fill a disk.
MAX_UNKNOWN_LINES = 10
# What a client that left is counted as (nginx's own status).
CLIENT_LEFT = 499


class Meter:
    """Opens a record for each call and settles it at its end."""

    def __init__(self, metrics: Metrics, clock: Clock) -> None:
        self.metrics = metrics
        self._clock = clock
        # Takes the fields of each call's line; None: no lines are written.
        self.access: Callable[[Mapping[str, object]], None] | None = None
        self.in_flight = 0
        self._second = 0
        self._lines = 0
        self._unsaid = 0

    def record(self, record: Record) -> "_Metered":
        """Return a context that counts `record` as in flight and settles it when it ends."""
        return _Metered(self, record)

    def begin(self, record: Record) -> None:
        """Count a call as in flight."""
        self.in_flight += 1
        self.metrics.in_flight.add((record.endpoint,), 1)

    def routed(self, record: Record, endpoint: str) -> None:
        """Note what a call in flight is for."""
        self.metrics.in_flight.add((record.endpoint,), -1)
        record.endpoint = endpoint
        self.metrics.in_flight.add((endpoint,), 1)

    def end(self, record: Record) -> None:
        """Make metrics and a line of a call that ended."""
        self.in_flight -= 1
        metrics = self.metrics
        metrics.in_flight.add((record.endpoint,), -1)
        total_seconds = self._clock.monotonic() - record.started
        if record.left is not None:
            metrics.disconnects.add((record.left,))
            record.status = CLIENT_LEFT
        self._count(record)
        own_seconds = max(0.0, total_seconds - record.waited_seconds)
        metrics.overhead.observe((record.endpoint,), own_seconds)
        if self.access is not None and self._may_say(record.user):
            self.access(self._line(record, total_seconds, own_seconds))

    def unread(self, error: GatewayError, request_id: str) -> None:
        """Count and tell of a request that the parser refused."""
        self.metrics.requests.add(("other", OTHER, "", OTHER, str(error.status), error.label))
        if self.access is not None and self._may_say(None):
            self.access({"request_id": request_id, "status": error.status, "code": error.label})

    def _count(self, record: Record) -> None:
        metrics = self.metrics
        user = record.user.name if record.user is not None and record.user.configured else None
        model = metrics.model(record.call.model if record.call is not None else None)
        metrics.requests.add(
            (
                record.endpoint,
                model,
                record.target.upstream if record.target is not None else "",
                metrics.user(user),
                str(record.status),
                record.error_code or "",
            )
        )
        if record.cache is not None:
            metrics.cache_requests.add((record.cache,))
        if record.saved is not None:
            saved = record.saved.input_tokens + record.saved.output_tokens
            metrics.cache_saved_tokens.add((), saved)
        if record.saved_nanodollars:
            usd = record.saved_nanodollars / NANODOLLARS_PER_USD
            metrics.cache_saved_cost.add((), usd)
        self._charge(metrics.user(user), model, record)

    def late(self, record: Record) -> None:
        """Count what a call came to that went on for others when its client had left."""
        user = record.user.name if record.user is not None and record.user.configured else None
        model = self.metrics.model(record.call.model if record.call is not None else None)
        self._charge(self.metrics.user(user), model, record)

    def _charge(self, user: str, model: str, record: Record) -> None:
        metrics = self.metrics
        if record.usage is not None:
            source = "estimated" if record.usage.estimated else "reported"
            for kind, amount in disjoint(record.usage):
                if amount:
                    metrics.tokens.add((user, model, kind, source), amount)
        if record.cost_nanodollars:
            usd = record.cost_nanodollars / NANODOLLARS_PER_USD
            metrics.cost.add((user, model), usd)

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

    def _line(
        self, record: Record, total_seconds: float, own_seconds: float
    ) -> Mapping[str, object]:
        fields: dict[str, object] = {
            "request_id": record.request_id,
            "user": record.user.name if record.user is not None else None,
            "method": record.method,
            "endpoint": record.endpoint,
            "model": record.call.model if record.call is not None else None,
            "upstream": record.target.upstream if record.target is not None else None,
            "served": record.target.model if record.target is not None else None,
            "attempts": record.attempts,
            "cache": record.cache,
            "status": record.status,
            "code": record.error_code,
            "input_tokens": record.usage.input_tokens if record.usage is not None else None,
            "output_tokens": record.usage.output_tokens if record.usage is not None else None,
            "cost_usd": _usd(record.cost_nanodollars),
            "sent_bytes": record.sent_bytes,
            "total_ms": round(total_seconds * 1000, 2),
            "own_ms": round(own_seconds * 1000, 3),
        }
        if record.first_byte_at is not None:
            fields["first_byte_ms"] = round((record.first_byte_at - record.started) * 1000, 2)
        if self._unsaid:
            fields["lines_not_logged"] = self._unsaid
            self._unsaid = 0
        return fields


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


def _usd(nanodollars: int | None) -> float | None:
    return None if nanodollars is None else nanodollars / NANODOLLARS_PER_USD


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
