"""The figures beside throughput: each stage asks one target for some seconds and notes what it found."""

import sys
import time

from benchmarks.asking import Client, beside
from benchmarks.cases import UNSEEN, streams
from benchmarks.hostile import HOSTILE, sent
from benchmarks.loads import Load, LoadFailedError
from benchmarks.samples import Samples, percentile
from benchmarks.targets import Running

# How long calls are timed that follow each other at once, and those at a low rate, a second; and how many streams.
QUICK_SECONDS = 1.0
PACED_SECONDS = 2.0
RATE = 30
FIRST_EVENTS = 20
# In streams whose memory is measured an event is rare.
MEMORY_STREAMS = streams(500, 1)
# A stream counts as held while its events come in time.
HELD_RATE = 20
HELD_STEPS = (50, 100, 250, *range(500, 5_001, 500))
HELD_DELAY_US = 100_000
# What large prompts a second small calls have beside them.
BIG_RATE = 10
PROBE_RATE = 100


def memory(target: Running, samples: Samples, *, load: Load) -> None:
    """Measure a fresh target's memory: idle, and what an open stream adds."""
    time.sleep(0.5)
    idle = target.program.memory_bytes()
    samples.add("idle memory", target, 1, idle / 2**20)
    try:
        with load.streams(MEMORY_STREAMS, target) as opened:
            opened.read()
            time.sleep(1)
            held = target.program.memory_bytes()
    except LoadFailedError as error:
        samples.fail("memory per stream", target, error)
        return
    each = (held - idle) / MEMORY_STREAMS.concurrency
    samples.add("memory per stream", target, 1, each / 1024)


def loaded(target: Running, samples: Samples) -> None:
    """Measure a target's memory after all the load that it had."""
    samples.add("memory after load", target, 1, target.program.memory_bytes() / 2**20)


def latency(target: Running, samples: Samples, *, number: int) -> None:
    """Time calls one at a time, as fast as they go and at a low rate, and streams' first events."""
    client = Client(target)
    client.ask()
    quick, end = [], time.monotonic() + QUICK_SECONDS
    while time.monotonic() < end:
        quick.append(client.ask())
    paced = _paced(client, RATE, PACED_SECONDS)
    client.close()
    first = Client(target, streams(1, HELD_RATE))
    firsts = [first.first_event() for _ in range(FIRST_EVENTS)]
    first.close()
    for name, values in (("one at a time", quick), (f"at {RATE}/s", paced)):
        samples.add(f"{name}, p50", target, number, percentile(values, 0.5) * 1e3)
        samples.add(f"{name}, p99", target, number, percentile(values, 0.99) * 1e3)
    samples.add("first event, p50", target, number, percentile(firsts, 0.5) * 1e3)


def held(target: Running, samples: Samples, *, load: Load) -> None:
    """Find how many streams it holds whose events come in time, opening more and more."""
    count = 0
    case = streams(HELD_STEPS[0], HELD_RATE)
    try:
        with load.streams(case, target) as opened:
            for wanted in HELD_STEPS:
                opened.grow(wanted, 10.0)
                time.sleep(0.3)
                opened.read()
                at = time.monotonic()
                time.sleep(1)
                reading = opened.read()
                due = wanted * HELD_RATE * (time.monotonic() - at)
                if reading.delay_p99_us >= HELD_DELAY_US or reading.events < 0.95 * due:
                    break
                count = wanted
    except LoadFailedError:
        # Those before were held.
        pass
    samples.add("streams held", target, 1, count)


def neighbours(target: Running, samples: Samples) -> None:
    """Time small calls alone, and beside prompts of some 45,000 tokens."""
    client, big = Client(target), Client(target, UNSEEN)
    big.ask()
    alone = percentile(_paced(client, PROBE_RATE, PACED_SECONDS), 0.99)
    with beside(big, BIG_RATE):
        crowded = percentile(_paced(client, PROBE_RATE, PACED_SECONDS), 0.99)
    client.close()
    big.close()
    samples.add("small calls alone, p99", target, 1, alone * 1e3)
    samples.add("small calls beside 45,000 tokens, p99", target, 1, crowded * 1e3)


def stalls(target: Running, samples: Samples) -> None:
    """Time small calls while hostile bodies come: the longest wait is the longest time in which nobody had a turn."""
    client = Client(target)
    client.ask()
    longest, at = 0.0, ""
    for name, body in HOSTILE.items():
        with sent(target, body) as sending:
            while sending.is_alive():
                took = client.ask()
                if took > longest:
                    longest, at = took, name
    client.close()
    samples.add("longest wait beside 2 MB", target, 1, longest * 1e3)
    print(f"  the longest beside: {at}", file=sys.stderr)


def _paced(client: Client, per_second: float, seconds: float) -> list[float]:
    values = []
    due = time.monotonic()
    end = due + seconds
    while due < end:
        values.append(client.ask())
        due = max(due + 1 / per_second, time.monotonic())
        time.sleep(due - time.monotonic() if due > time.monotonic() else 0)
    return values
