"""What metrics and log lines cost a call: CPU of the whole process, the writing threads' included.

`python -m benchmarks.metering_cost` prints a Markdown table. What is measured takes turns within each round, and the
ratios are those of a round: believe them, not the microseconds.
"""

import io
import platform
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from statistics import median

import prometheus_client

from gateway.clock import SystemClock
from gateway.ledger import Ledger
from gateway.logs import Log
from gateway.metering import Meter
from gateway.metrics import Metrics
from gateway.types import Call, Record, Target, Usage, User

ROUNDS = 15
# Fewer than the lines that may wait to be written.
CALLS = 5_000
ALICE = User(name="alice")
TARGET = Target(upstream="openai", model="gpt-4o-mini", asked="gpt-4o-mini")
CALL = Call(
    endpoint="/v1/chat/completions",
    method="POST",
    target="/chat/completions",
    headers=(),
    body=b"{}",
    model="gpt-4o-mini",
)
USAGE = Usage(input_tokens=120, output_tokens=80)
# The yardstick: as many series as such a call counts in, by prometheus-client itself.
LABELS = ("endpoint", "model", "upstream", "user", "status", "error_type")
VALUES = ("/v1/chat/completions", "gpt-4o-mini", "openai", "alice", "200", "")

# Does the same for so many calls.
Work = Callable[[int], None]


@contextmanager
def _metered(clock: SystemClock, *, says: bool, accounts: bool) -> Iterator[Work]:
    """Count calls as the gateway does, with a line of the log, and one of the usage log."""
    meter = Meter(Metrics(), clock)
    meter.serve({"openai": "openai"})
    with tempfile.TemporaryDirectory() as directory, io.StringIO() as lines:
        log = Log("info", "json", clock, lines)
        ledger = Ledger(Path(directory) / "usage.jsonl", max_bytes=2**40, keep=0)
        meter.access = log.access if says else None
        meter.account = ledger.write if accounts else None

        def work(calls: int) -> None:
            for _ in range(calls):
                record = _record(clock)
                meter.begin(record)
                meter.end(record)

        try:
            yield work
        finally:
            log.stop()
            ledger.stop()


@contextmanager
def _alone(clock: SystemClock) -> Iterator[Work]:
    """Make the records that all the others make too."""

    def work(calls: int) -> None:
        for _ in range(calls):
            _record(clock)

    yield work


@contextmanager
def _prometheus_client(clock: SystemClock) -> Iterator[Work]:
    """Count the same in series of prometheus-client, each found by its labels."""
    registry = prometheus_client.CollectorRegistry()
    flying = prometheus_client.Gauge("flying", "Calls.", ["endpoint"], registry=registry)
    counters = [
        prometheus_client.Counter(f"counted_{number}", "Calls.", LABELS, registry=registry)
        for number in range(3)
    ]
    histograms = [
        prometheus_client.Histogram(f"seen_{number}", "Calls.", LABELS[:3], registry=registry)
        for number in range(4)
    ]

    def work(calls: int) -> None:
        for _ in range(calls):
            _record(clock)
            flying.labels(VALUES[0]).inc()
            for counter in counters:
                counter.labels(*VALUES).inc()
            for histogram in histograms:
                histogram.labels(*VALUES[:3]).observe(0.5)
            flying.labels(VALUES[0]).dec()

    yield work


def _record(clock: SystemClock) -> Record:
    """Return what is known of an ordinary call at its end."""
    now = clock.monotonic()
    record = Record(
        request_id="018c2f6e-7a51-7c3e-9f5b-8d2a4e6b1c30",
        endpoint="/v1/chat/completions",
        method="POST",
        started=now - 0.5,
        path="/v1/chat/completions",
    )
    record.user, record.call, record.target = ALICE, CALL, TARGET
    record.status, record.attempts, record.usage = 200, 1, USAGE
    record.cost_nanodollars, record.sent_bytes = 66_000, 562
    record.first_byte_at, record.waited_seconds = now - 0.1, 0.499
    return record


KINDS: dict[str, Callable[[SystemClock], AbstractContextManager[Work]]] = {
    "prometheus-client": _prometheus_client,
    "metrics": lambda clock: _metered(clock, says=False, accounts=False),
    "metrics, a line of the log": lambda clock: _metered(clock, says=True, accounts=False),
    "metrics, a line of the log, one of the usage log": lambda clock: _metered(
        clock, says=True, accounts=True
    ),
}


def main() -> None:
    """Measure and print."""
    clock = SystemClock()
    found: dict[str, list[float]] = {kind: [] for kind in KINDS}
    for _ in range(ROUNDS):
        alone = _microseconds(_alone(clock))
        for name, kind in KINDS.items():
            found[name].append(_microseconds(kind(clock)) - alone)
    print(f"Python {platform.python_version()}, {ROUNDS} rounds of {CALLS:,} calls, medians\n")
    print("| for each call | CPU µs | × prometheus-client |")
    print("|---|---|---|")
    for name, costs in found.items():
        ratios = [
            cost / least for cost, least in zip(costs, found["prometheus-client"], strict=True)
        ]
        print(f"| {name} | {median(costs):.1f} | {median(ratios):.2f} |")


def _microseconds(doing: AbstractContextManager[Work]) -> float:
    """Return the CPU of a call; what is still to be written is written at the end, and belongs to it."""
    with doing as work:
        work(CALLS // 10)  # series begin with what is first counted in them
        began = time.process_time()
        work(CALLS)
    return (time.process_time() - began) / CALLS * 1e6


if __name__ == "__main__":
    main()
