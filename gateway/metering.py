"""The end of every call: its `Record` becomes metrics and an entry for the logs, whatever happened."""

from collections.abc import Callable, Mapping

from gateway.clock import Clock
from gateway.entries import Entry
from gateway.errors import GatewayError
from gateway.metering_series import CallSeries, Key
from gateway.metric_families import OTHER, Cell
from gateway.metrics import Metrics
from gateway.prices import NANODOLLARS_PER_USD
from gateway.tracing import Tracer
from gateway.types import Record

# Lines a second for callers that nobody knows: a flood of wrong keys must not fill a disk.
MAX_UNKNOWN_LINES = 10
# What a client that left is counted as (nginx's own status).
CLIENT_LEFT = 499
CLIENT_DISCONNECTED = "client_disconnected"

_new_entry = tuple.__new__


class Meter:
    """Counts each call's record while it is in flight and settles it at its end."""

    def __init__(self, metrics: Metrics, clock: Clock) -> None:
        self.metrics = metrics
        self._clock = clock
        # Takes the entry of each call; None: no lines are written.
        self.access: Callable[[Entry], None] | None = None
        # Takes the entry of each call that was settled; None: there is no usage log.
        self.account: Callable[[Entry], None] | None = None
        # Takes the entry of each call that is shown; None: nobody shows any.
        self.show: Callable[[Entry], None] | None = None
        # None: calls are in nobody's trace.
        self.tracer: Tracer | None = None
        # The calls in flight, by their identity.
        self.open: dict[int, Record] = {}
        self._providers: Mapping[str, str] = {}
        self._series: dict[Key, CallSeries] = {}
        # In flight by endpoint, and answered by what the cache had to do with it.
        self._cells: dict[str, Cell] = {}
        self._outcomes: dict[str, Cell] = {}
        self._second = 0
        self._lines = 0
        self._unsaid = 0

    @property
    def in_flight(self) -> int:
        """How many calls are in flight."""
        return len(self.open)

    def serve(self, providers: Mapping[str, str]) -> None:
        """Count for these upstreams: their names, and what OpenTelemetry calls who runs them."""
        self._providers = providers
        self._series.clear()

    def begin(self, record: Record) -> None:
        """Count a call as in flight."""
        self.open[id(record)] = record
        endpoint = record.endpoint
        (self._cells.get(endpoint) or self._cell(endpoint)).value += 1

    def routed(self, record: Record, endpoint: str) -> None:
        """Note what a call in flight is for."""
        self._cells[record.endpoint].value -= 1
        record.endpoint = endpoint
        (self._cells.get(endpoint) or self._cell(endpoint)).value += 1

    def _cell(self, endpoint: str) -> Cell:
        cell = self._cells[endpoint] = self.metrics.in_flight.cell((endpoint,))
        return cell

    def end(self, record: Record) -> None:
        """Make metrics and an entry of a call that ended."""
        del self.open[id(record)]
        self._cells[record.endpoint].value -= 1
        total_seconds = self._clock.monotonic() - record.started
        if record.left is not None:
            self.metrics.disconnects.add((record.left,))
            record.status = CLIENT_LEFT
            record.error_code = record.error_code or CLIENT_DISCONNECTED
        own_seconds = total_seconds - record.waited_seconds
        if own_seconds < 0:
            own_seconds = 0.0
        series = self._series_of(record)
        series.count(record, total_seconds, own_seconds)
        if record.cache is not None:
            self._cached(record, record.cache)
        if record.span is not None:
            record.span.end(record, series.operation, series.provider, series.error)
        says = self.access is not None and (record.user is not None or self._may_say())
        settled = self.account is not None and record.usage is not None
        if says or settled or self.show is not None:
            self._tell(record, total_seconds, own_seconds, says=says)

    def late(self, record: Record) -> None:
        """Count what a call came to that went on for other clients when its own had left."""
        self._series_of(record).charge(record)
        total_seconds = self._clock.monotonic() - record.started
        own_seconds = max(0.0, total_seconds - record.waited_seconds)
        self._tell(record, total_seconds, own_seconds, says=False)

    def unread(self, error: GatewayError, request_id: str) -> None:
        """Count and tell of a request that the parser refused."""
        self.metrics.requests.add((OTHER, OTHER, "", OTHER, str(error.status), error.label))
        if self.access is not None and self._may_say():
            now = self._clock.time()
            self.access(Entry(now, request_id, error.status, error.label, unsaid=self._missed()))

    def _series_of(self, record: Record) -> CallSeries:
        metrics, call, user, target = self.metrics, record.call, record.user, record.target
        model = call.model if call is not None else None
        name = user.name if user is not None and user.configured else None
        key = (
            record.endpoint,
            model if model is not None and model in metrics.model.known else OTHER,
            target.upstream if target is not None else "",
            name if name is not None and name in metrics.user.known else OTHER,
            record.status,
            record.error_code or (str(record.status) if record.status >= 400 else ""),
        )
        series = self._series.get(key)
        if series is None:
            provider = self._providers.get(key[2], key[2])
            series = self._series[key] = CallSeries(metrics, key, provider)
        return series

    def _cached(self, record: Record, outcome: str) -> None:
        metrics, saved = self.metrics, record.saved
        cell = self._outcomes.get(outcome)
        if cell is None:
            cell = self._outcomes[outcome] = metrics.cache_requests.cell((outcome,))
        cell.value += 1
        if saved is not None:
            metrics.cache_saved_tokens.add((), saved.input_tokens + saved.output_tokens)
        if record.saved_nanodollars:
            metrics.cache_saved_cost.add((), record.saved_nanodollars / NANODOLLARS_PER_USD)

    def _tell(
        self, record: Record, total_seconds: float, own_seconds: float, *, says: bool
    ) -> None:
        call, first = record.call, record.first_byte_at
        # A tuple made as such: the class's own way costs twice as much.
        entry = _new_entry(
            Entry,
            (
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
                self._missed() if says and self._unsaid else 0,
            ),
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

    def _may_say(self) -> bool:
        """Return whether a line may be written for a caller that nobody knows."""
        second = int(self._clock.monotonic())
        if second != self._second:
            self._second, self._lines = second, 0
        self._lines += 1
        if self._lines > MAX_UNKNOWN_LINES:
            self._unsaid += 1
            return False
        return True
