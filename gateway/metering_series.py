"""The series in which calls count that nothing tells apart but their times and amounts: found once, then added to."""

from gateway.metric_families import Buckets, Cell
from gateway.metrics import Metrics
from gateway.prices import NANODOLLARS_PER_USD
from gateway.types import Record, Usage

# What OpenTelemetry calls the operations of generative AI; other paths have no series of theirs.
OPERATIONS = {
    "/v1/chat/completions": "chat",
    "/v1/completions": "text_completion",
    "/v1/embeddings": "embeddings",
    "/v1/responses": "chat",
}
TOKEN_TYPES = ("input", "cached_input", "audio_input", "output", "reasoning", "audio_output")

# What tells calls apart: endpoint, model, upstream, user, status, type of error.
Key = tuple[str, str, str, str, int, str]


class CallSeries:
    """What calls of one key count in. A series begins with what is first counted in it."""

    __slots__ = (
        "_cost", "_duration", "_first_token", "_generated", "_input", "_key", "_metrics", "_output",
        "_overhead", "_per_token", "_requests", "_tokens", "error", "operation", "provider",
    )  # fmt: skip

    def __init__(self, metrics: Metrics, key: Key, provider: str) -> None:
        endpoint, model, upstream, user, status, self.error = key
        self.operation = OPERATIONS.get(endpoint)
        self.provider = provider
        self._metrics = metrics
        self._key = key
        self._requests = metrics.requests.cell(
            (endpoint, model, upstream, user, str(status), self.error)
        )
        self._overhead = metrics.overhead.series((endpoint,))
        # Labels of what an upstream generated; None where none was asked.
        self._generated = (
            (self.operation, provider, model) if self.operation is not None and upstream else None
        )
        self._duration: Buckets | None = None
        self._input: Buckets | None = None
        self._output: Buckets | None = None
        self._first_token: Buckets | None = None
        self._per_token: Buckets | None = None
        self._cost: Cell | None = None
        # By type, of what was reported and then of what was estimated.
        self._tokens: list[Cell | None] = [None] * (2 * len(TOKEN_TYPES))

    def count(self, record: Record, total_seconds: float, own_seconds: float) -> None:
        """Count a call that ended."""
        self._requests.value += 1
        self._overhead.observe(own_seconds)
        self.charge(record)
        if self._generated is not None:
            self._count_generated(self._generated, record, record.usage, total_seconds)

    def charge(self, record: Record) -> None:
        """Count what a call came to."""
        usage = record.usage
        if usage is not None:
            first = len(TOKEN_TYPES) if usage.estimated else 0
            tokens = self._tokens
            for index, amount in enumerate(disjoint(usage), first):
                if amount:
                    cell = tokens[index] or self._token_cell(index)
                    cell.value += amount
        if record.cost_nanodollars:
            if self._cost is None:
                self._cost = self._metrics.cost.cell((self._key[3], self._key[1]))
            self._cost.value += record.cost_nanodollars / NANODOLLARS_PER_USD

    def _token_cell(self, index: int) -> Cell:
        kind = TOKEN_TYPES[index % len(TOKEN_TYPES)]
        source = "reported" if index < len(TOKEN_TYPES) else "estimated"
        cell = self._metrics.tokens.cell((self._key[3], self._key[1], kind, source))
        self._tokens[index] = cell
        return cell

    def _count_generated(
        self,
        labels: tuple[str, str, str],
        record: Record,
        usage: Usage | None,
        total_seconds: float,
    ) -> None:
        metrics = self._metrics
        if self._duration is None:
            self._duration = metrics.duration.series((*labels, self.error))
        self._duration.observe(total_seconds)
        if usage is not None:
            if self._input is None:
                self._input = metrics.token_usage.series((*labels, "input"))
            self._input.observe(usage.input_tokens)
            if usage.output_tokens:
                if self._output is None:
                    self._output = metrics.token_usage.series((*labels, "output"))
                self._output.observe(usage.output_tokens)
        if not self.error and record.call is not None and record.call.stream:
            self._count_stream(labels, record, usage, total_seconds)

    def _count_stream(
        self,
        labels: tuple[str, str, str],
        record: Record,
        usage: Usage | None,
        total_seconds: float,
    ) -> None:
        if record.first_byte_at is None:
            return
        first_seconds = record.first_byte_at - record.started
        if self._first_token is None:
            self._first_token = self._metrics.first_token.series(labels)
        self._first_token.observe(first_seconds)
        if usage is not None and usage.output_tokens > 1:
            if self._per_token is None:
                self._per_token = self._metrics.per_token.series(labels)
            self._per_token.observe((total_seconds - first_seconds) / (usage.output_tokens - 1))


def disjoint(usage: Usage) -> tuple[int, ...]:
    """Return a usage in TOKEN_TYPES, which add up: OpenAI's details are parts of their wholes."""
    return (
        usage.input_tokens - usage.cached_input_tokens - usage.audio_input_tokens,
        usage.cached_input_tokens,
        usage.audio_input_tokens,
        usage.output_tokens - usage.reasoning_tokens - usage.audio_output_tokens,
        usage.reasoning_tokens,
        usage.audio_output_tokens,
    )
