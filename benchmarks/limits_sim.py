"""Limits at scale: memory per million users, what an admission costs here and in Redis, and a hammer.

`python -m benchmarks.limits_sim` starts a Redis server of its own and prints Markdown tables.
"""

import asyncio
import gc
import itertools
import multiprocessing
import os
import re
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import uvloop

from gateway.clock import SystemClock
from gateway.limit_estimates import Estimate
from gateway.limit_rules import LimitRule, Rate
from gateway.limits import Limiter
from gateway.stores import SLOTS, Bucket, Kind
from gateway.stores.memory import MemoryStore
from gateway.stores.redis import RedisStore
from gateway.stores.redis_client import RedisAddress, RedisConnection, connect
from gateway.types import Call, Usage, User
from tests.support.clock import FakeClock
from tests.support.redis_server import RedisServer, running_redis
from tests.support.running_store import running

CALLERS = 32
CALLS = 32_000
SIMULATED_USERS = 100_000
HAMMER_SECONDS = 6.0
HAMMER_CLIENTS = 200
HAMMER_PAUSE_SECONDS = 0.05
# At most so many in any second, and so many at once.
HAMMER_RATE, HAMMER_PLACES = 100, 10

CALL = Call(
    endpoint="/v1/chat/completions",
    method="POST",
    target="/chat/completions",
    headers=(),
    body=b"",
    model="gpt-4o",
    max_output_tokens=100,
)
ALICE = User(name="alice")
ESTIMATE = Estimate(input_tokens=50)
USAGE = Usage(input_tokens=50, output_tokens=80)

RULES = {
    "one rate": LimitRule(per=("user",), requests=(Rate(10**9, 60),)),
    "two rates, tokens, concurrency": LimitRule(
        per=("user",),
        requests=(Rate(10**9, 60), Rate(10**9, 86_400)),
        tokens=(Rate(10**12, 60),),
        concurrency=10**6,
    ),
}


def main() -> None:
    """Run everything."""
    with tempfile.TemporaryDirectory() as directory, running_redis(Path(directory)) as server:
        for title, lines in (
            ("Memory: a daily limit for a million users", uvloop.run(memory(server))),
            ("CPU: an admission and its settlement in memory", uvloop.run(in_memory())),
            (f"Redis: {CALLERS} calls at a time", uvloop.run(in_redis(server))),
            ("Hammer: several processes, one Redis", hammer(server)),
        ):
            print(f"\n## {title}\n", *lines, sep="\n")


async def memory(server: RedisServer) -> list[str]:
    """Weigh the states of users who called now and then today, here and in Redis."""
    lines = ["| slots in use by each | memory:// | redis:// |", "|---|---|---|"]
    redis = await _raw(server)
    for slots in (1, 5, 60):
        before = _resident_bytes()
        clock = FakeClock()
        store = MemoryStore(clock)
        names = [f"requests:86400:end_user=app,user-{number}" for number in range(SIMULATED_USERS)]
        for _ in range(slots):
            for name in names:
                store.take_now([(Bucket(name, 1000, 86_400, Kind.COUNT), 1)])
            clock.advance(1440)
        here = (_resident_bytes() - before) / SIMULATED_USERS
        # As `redis_take.lua` writes them.
        fields = {"b": slots, "f": 1_250_000, "s": 1_250_000 + slots}
        fields |= {str(1_250_000 + number): 1 for number in range(slots)}
        words = [str(word) for pair in fields.items() for word in pair]
        await redis.call("HSET", names[0], *words)
        await redis.call("EXPIRE", names[0], "86400")
        there = await redis.call("MEMORY", "USAGE", names[0])
        lines.append(f"| {slots} | {here:.0f} MB | {there} MB |")
        del store, names
        gc.collect()
    redis.close()
    return lines


async def in_memory() -> list[str]:
    """Admit and settle, one after the other."""
    lines = ["| limits | CPU per call |", "|---|---|"]
    for name, rule in RULES.items():
        clock = SystemClock()
        limiter = Limiter([rule], MemoryStore(clock), clock)
        began = time.process_time()
        for _ in range(CALLS):
            async with limiter.admit(ALICE, CALL, ESTIMATE) as admission:
                admission.settle(USAGE)
        lines.append(f"| {name} | {(time.process_time() - began) / CALLS * 1e6:.1f} µs |")
    return lines


async def in_redis(server: RedisServer) -> list[str]:
    """Admit and settle, many at a time; what it costs us, the server and the wire."""
    lines = [
        "| limits | our CPU per call | server's | scripts | commands in them | bytes to, from it"
        " | calls/s that fill it |",
        "|---|---|---|---|---|---|---|",
    ]
    clock = SystemClock()
    redis = await _raw(server)
    async with running(RedisStore(server.url, clock, timeout_seconds=5.0)) as store:
        for name, rule in RULES.items():
            limiter = Limiter([rule], store, clock)
            await redis.call("CONFIG", "RESETSTAT")
            began = time.process_time()
            await asyncio.gather(*(_admit(limiter, CALLS // CALLERS) for _ in range(CALLERS)))
            ours = (time.process_time() - began) / CALLS * 1e6
            stats = (await _info(redis)).replace(",", " ")
            spent = _number(r"cmdstat_evalsha:calls=\d+ usec=(\d+)", stats)
            counts = dict(re.findall(r"cmdstat_(\S+?):calls=(\d+)", stats))
            scripts = int(counts.pop("evalsha"))
            inside = sum(map(int, counts.values()))
            sent = _number(r"total_net_input_bytes:(\d+)", stats)
            got = _number(r"total_net_output_bytes:(\d+)", stats)
            lines.append(
                f"| {name} | {ours:.1f} µs | {spent / CALLS:.1f} µs | {scripts / CALLS:.1f}"
                f" | {inside / CALLS:.1f} | {sent / CALLS:.0f}, {got / CALLS:.0f}"
                f" | {CALLS * 1e6 / spent:,.0f} |"
            )
    redis.close()
    return lines


def hammer(server: RedisServer) -> list[str]:
    """Let many clients of several processes go at one limit, and count what got through."""
    lines = [
        f"{HAMMER_CLIENTS} clients in each process ask for {HAMMER_SECONDS:g} s, again and again,"
        f" against {HAMMER_RATE}/s and concurrency {HAMMER_PLACES}.",
        "",
        "| processes | asked | admitted | allowed in that time | most in any second | most at once |",
        "|---|---|---|---|---|---|",
    ]
    for processes in (1, 4):
        with multiprocessing.get_context("spawn").Pool(processes) as pool:
            found = pool.starmap(_hammer, [(server.url, f"hammer{processes}:")] * processes)
        slots: Counter[int] = Counter()
        edges: list[tuple[float, int]] = []
        for result in found:
            slots.update(result.slots)
            edges += [(at, 1) for at, _ in result.held] + [(at, -1) for _, at in result.held]
        at_once = max(itertools.accumulate(change for _, change in sorted(edges)))
        in_a_second = max(
            sum(n for slot, n in slots.items() if first <= slot <= first + SLOTS) for first in slots
        )
        # A window's worth at once at the beginning, and again when that has left.
        allowed = HAMMER_RATE * ((max(slots) - min(slots)) // SLOTS + 1)
        asked = sum(result.asked for result in found)
        lines.append(
            f"| {processes} | {asked:,} | {slots.total():,} | {allowed:,}"
            f" | {in_a_second} of {HAMMER_RATE} | {at_once} of {HAMMER_PLACES} |"
        )
    return lines


class Hammered(NamedTuple):
    """What one process saw: admissions by the server's slot, and when it held a place."""

    asked: int
    slots: Counter[int]
    held: list[tuple[float, float]]


def _hammer(url: str, prefix: str) -> Hammered:
    return uvloop.run(_hammer_process(url, prefix))


async def _hammer_process(url: str, prefix: str) -> Hammered:
    clock = SystemClock()
    rate = Bucket("requests", HAMMER_RATE, 1.0, Kind.COUNT)
    places = Bucket("places", HAMMER_PLACES, 0, Kind.LEASE)
    slots: Counter[int] = Counter()
    held: list[tuple[float, float]] = []
    asked = 0

    async def client(store: RedisStore, end: float) -> None:
        nonlocal asked
        while clock.monotonic() < end:
            decision = await store.take([(rate, 1), (places, 1)])
            asked += 1
            if decision.refusal is not None:
                await asyncio.sleep(HAMMER_PAUSE_SECONDS)
            else:
                # The machine's monotonic clock is the same for all processes.
                since = clock.monotonic()
                await asyncio.sleep(0.005)
                held.append((since, clock.monotonic()))
                slots[int(decision.slots[0])] += 1
                store.settle(decision, [1, 0])

    async with running(RedisStore(url, clock, prefix=prefix, timeout_seconds=5.0)) as store:
        end = clock.monotonic() + HAMMER_SECONDS
        await asyncio.gather(*(client(store, end) for _ in range(HAMMER_CLIENTS)))
    return Hammered(asked, slots, held)


async def _admit(limiter: Limiter, calls: int) -> None:
    for _ in range(calls):
        async with limiter.admit(ALICE, CALL, ESTIMATE) as admission:
            admission.settle(USAGE)


async def _raw(server: RedisServer) -> RedisConnection:
    address = RedisAddress.from_url(server.url)
    return await connect(address, SystemClock(), timeout_seconds=30, connect_seconds=5)


async def _info(redis: RedisConnection) -> str:
    text = await redis.call("INFO", "everything")
    return text.decode() if isinstance(text, bytes) else ""


def _number(pattern: str, text: str) -> int:
    match = re.search(pattern, text)
    return int(match[1]) if match else 0


def _resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    main()
