"""How long hostile texts hold the event loop up while they are judged and counted, and how long counting takes.

`python -m benchmarks.hostile_texts` sends some fifty texts of two megabytes through the very steps that a call's body
goes through, while a watcher notes when the loop came back late, and prints a Markdown table of the worst.
"""

import asyncio
import gc
import json
import os
import platform
import sys
import time
from dataclasses import dataclass, field
from statistics import median

import uvloop

from gateway.app import SWITCH_SECONDS
from gateway.errors import InvalidRequestError
from gateway.json_body import decode_in_turns
from gateway.tokens import ModelTable, TokenCounter
from tests.tokens.test_pieces import HOSTILE

RUNS = 3
BYTES = 2 * 1024 * 1024
MODEL = "gpt-4o"
# So many rows are printed.
SHOWN = 10
IDLE = "(nothing)"


class Watcher:
    """Notes the longest time in which the loop did not come round: by the clock, and by its own thread's CPU."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._running = True
        self.begin()
        self._tick()

    def begin(self) -> None:
        """Forget what was noted."""
        self._at, self._cpu_at = time.perf_counter(), time.thread_time()
        self.longest = self.longest_cpu = 0.0

    def stop(self) -> None:
        """Watch no more."""
        self._running = False

    def _tick(self) -> None:
        now, cpu = time.perf_counter(), time.thread_time()
        self.longest = max(self.longest, now - self._at)
        self.longest_cpu = max(self.longest_cpu, cpu - self._cpu_at)
        self._at, self._cpu_at = now, cpu
        if self._running:
            self._loop.call_soon(self._tick)


@dataclass(slots=True)
class Outcome:
    """What each run of one text came to, in milliseconds."""

    took: list[float] = field(default_factory=list)
    held_up: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)


async def _handled(body: bytes, models: ModelTable) -> None:
    """Judge and count a body, with a memory of nothing."""
    payload = await decode_in_turns(body, lambda: asyncio.sleep(0))
    await TokenCounter(models).count("chat", payload, MODEL)


def _bodies() -> dict[str, bytes]:
    found = {IDLE: b""}
    for name, text in HOSTILE.items():
        try:
            size = len(json.dumps(text, ensure_ascii=False).encode())
        except UnicodeEncodeError:
            continue  # half a surrogate pair is refused unread
        long = (text * (BYTES // size + 1))[: BYTES * len(text) // size]
        messages = [{"role": "user", "content": long}]
        body = json.dumps({"model": MODEL, "messages": messages}, ensure_ascii=False)
        found[name] = body.encode()
    return found


async def _measured() -> dict[str, Outcome]:
    bodies, models = _bodies(), ModelTable()
    found = {name: Outcome() for name in bodies}
    TokenCounter(models)
    gc.collect()
    gc.freeze()
    watcher = Watcher()
    for _ in range(RUNS):
        for name, body in bodies.items():
            await asyncio.sleep(0.01)
            watcher.begin()
            began = time.perf_counter()
            try:
                await (_handled(body, models) if body else asyncio.sleep(0.5))
            except InvalidRequestError as error:
                raise SystemExit(f"{name}: {error.message}") from error
            outcome = found[name]
            outcome.took.append((time.perf_counter() - began) * 1000)
            outcome.held_up.append(watcher.longest * 1000)
            outcome.cpu.append(watcher.longest_cpu * 1000)
    watcher.stop()
    return found


def main() -> None:
    """Measure and print."""
    sys.setswitchinterval(SWITCH_SECONDS)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        found = runner.run(_measured())
    load, *_ = os.getloadavg()
    print(
        f"Python {platform.python_version()}, {len(found) - 1} texts of {BYTES >> 20} MiB,"
        f" {RUNS} runs, load {load:.1f}; milliseconds\n"
    )
    idle = found.pop(IDLE)
    worst = sorted(found.items(), key=lambda pair: min(pair[1].held_up), reverse=True)
    slowest = max(found.items(), key=lambda pair: median(pair[1].took))
    print("| text | held up, least | median | of it CPU, median | counted in |")
    print("|---|---|---|---|---|")
    for name, outcome in [(IDLE, idle), *worst[:SHOWN]]:
        print(
            f"| {name} | {min(outcome.held_up):.1f} | {median(outcome.held_up):.1f}"
            f" | {median(outcome.cpu):.1f} | {median(outcome.took):.0f} |"
        )
    print(f"\nslowest to count: {slowest[0]}, {median(slowest[1].took):.0f} ms")


if __name__ == "__main__":
    main()
