"""Holds thousands of streams for minutes while clients leave and upstreams break, then makes many short calls.

What is asked at the end is what was left: sockets, tasks, calls, slots of limits, memory. `python -m benchmarks.soak`.
"""

import argparse
import asyncio
import contextlib
import random
import re
import resource
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import uvloop

from gateway import demo_upstream
from gateway.__main__ import main
from gateway.clock import SystemClock

# How many clients of a hundred leave, how many streams of a hundred the upstream resets, and when.
LEAVING_PERCENT = 30
RESET_PERCENT = 5
EVENTS = 40
PACE_MS = 250
SHORT_CLIENTS = 32
# Longer than a connection to the upstream is kept.
SETTLE_SECONDS = 75.0
# What memory may grow by while the short calls go on, after the first tenth of them.
MAX_GROWTH_MIB = 8.0

CONFIG = """\
server: {{listen: "127.0.0.1:0", max_in_flight: 20000}}
admin: {{listen: "127.0.0.1:0"}}
upstreams: [{{name: up, base_url: "{url}/v1", max_connections: 20000, retries: 0}}]
limits: [{{per: global, concurrency: 20000}}]
logging: {{access: false}}
"""
HEAD = "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
STREAM = b'{"model":"demo","messages":[{"role":"user","content":"soak"}],"stream":true}'
SHORT = b'{"model":"demo","messages":[{"role":"user","content":"soak"}]}'


@dataclass(slots=True)
class Gateway:
    """The process under test, and where it is."""

    process: asyncio.subprocess.Process
    host: str
    port: int
    admin_port: int

    def rss_mib(self) -> float:
        """Return its resident memory."""
        found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{self.process.pid}/status").read_text())
        return int(found.group(1)) / 1024 if found else 0.0

    def sockets(self) -> int:
        """Return how many sockets it holds."""
        links = Path(f"/proc/{self.process.pid}/fd").iterdir()
        count = 0
        for link in links:
            with contextlib.suppress(OSError):
                count += str(link.readlink()).startswith("socket:")
        return count

    async def tasks(self) -> int:
        """Return how many tasks its loop has."""
        self.process.send_signal(signal.SIGUSR1)
        if self.process.stdout is None:
            raise ValueError("no standard output")
        return int(await self.process.stdout.readline())

    async def metric(self, name: str) -> float:
        """Return the sum of a family's samples."""
        reader, writer = await asyncio.open_connection(self.host, self.admin_port)
        writer.write(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        text = (await reader.read()).decode()
        writer.close()
        return sum(float(v) for v in re.findall(rf"^{name}(?:{{.*}})? (\S+)$", text, re.MULTILINE))


@contextlib.asynccontextmanager
async def gateway(folder: Path, upstream_url: str) -> AsyncIterator[Gateway]:
    """Run a gateway before an upstream."""
    config = folder / "config.yaml"
    config.write_text(CONFIG.format(url=upstream_url))
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "benchmarks.soak",
        "--serve",
        str(config),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        if process.stderr is None:
            raise ValueError("no standard error")
        said = ""
        while "listening at" not in said:
            said = (await process.stderr.readline()).decode()
            if not said:
                raise ConnectionError("the gateway did not start")
        found = re.findall(r"http://([\d.]+):(\d+)", said)
        (host, port), (_, admin_port) = found
        draining = asyncio.ensure_future(process.stderr.read())
        yield Gateway(process, host, int(port), int(admin_port))
        process.send_signal(signal.SIGTERM)
        await process.wait()
        await draining
    finally:
        if process.returncode is None:
            process.kill()


def request(body: bytes, script: str = "") -> bytes:
    """Return a chat request."""
    demo = f"x-demo: {script}\r\n" if script else ""
    return f"{HEAD}{demo}Content-Length: {len(body)}\r\n\r\n".encode() + body


@dataclass(slots=True)
class Streams:
    """Clients that open streams one after the other until told to stop."""

    at: Gateway
    until: float
    ends: Counter[str] = field(default_factory=Counter)
    open: int = 0
    most: int = 0

    async def client(self, number: int) -> None:
        """Hold one stream after the other."""
        dice = random.Random(number)
        await asyncio.sleep(dice.uniform(0, EVENTS * PACE_MS / 1000))
        while time.monotonic() < self.until:
            leaves = dice.uniform(0, 100) < LEAVING_PERCENT
            resets = dice.uniform(0, 100) < RESET_PERCENT
            script = f'{{"chunks": {EVENTS}, "pace_ms": {PACE_MS}'
            if resets:
                script += f', "cut_after": {dice.randrange(1, EVENTS)}, "reset": true'
            reader, writer = await asyncio.open_connection(self.at.host, self.at.port)
            self.open += 1
            self.most = max(self.most, self.open)
            writer.write(request(STREAM, script + "}"))
            stay = dice.uniform(0, EVENTS * PACE_MS / 1000) if leaves else 3600.0
            self.ends[await _watched(reader, stay)] += 1
            writer.transport.abort()
            self.open -= 1


async def _watched(reader: asyncio.StreamReader, seconds: float) -> str:
    """Read a stream for some seconds; return how it ended."""
    tail = b""
    try:
        async with asyncio.timeout(seconds):
            while data := await reader.read(65_536):
                tail = (tail + data)[-5:]
                if tail == b"0\r\n\r\n":
                    return "whole"
    except TimeoutError:
        return "left"
    except ConnectionError:
        return "cut"
    return "cut"


async def shorts(at: Gateway, calls: int) -> list[float]:
    """Make short calls on kept connections; return the memory in MiB after each tenth of them."""
    per_client = calls // SHORT_CLIENTS // 10
    memory = []

    async def client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asking = request(SHORT)
        for _ in range(per_client):
            writer.write(asking)
            head = await reader.readuntil(b"\r\n\r\n")
            if not head.startswith(b"HTTP/1.1 200 "):
                raise ConnectionError(head.decode())
            length = re.search(rb"(?i)content-length: (\d+)", head)
            await reader.readexactly(int(length.group(1)) if length else 0)

    connections = [await asyncio.open_connection(at.host, at.port) for _ in range(SHORT_CLIENTS)]
    for tenth in range(10):
        await asyncio.gather(*(client(*one) for one in connections))
        memory.append(at.rss_mib())
        print(
            f"  {(tenth + 1) * per_client * SHORT_CLIENTS:>9,} calls: {memory[-1]:.1f} MiB",
            flush=True,
        )
    for _, writer in connections:
        writer.close()
    return memory


async def settled(at: Gateway, sockets: int) -> None:
    """Wait until as few sockets are open as at the beginning, or long enough."""
    end = time.monotonic() + SETTLE_SECONDS
    while time.monotonic() < end and at.sockets() > sockets:  # noqa: ASYNC110 - nothing tells
        await asyncio.sleep(0.5)


async def soak(streams: int, seconds: float, calls: int) -> int:
    """Run both halves and say what was left; return 1 where something was."""
    # Clients and upstream live in this process: two descriptors a stream.
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    upstream = await demo_upstream.start("127.0.0.1", 0, SystemClock())
    with tempfile.TemporaryDirectory() as folder:
        async with gateway(Path(folder), upstream.url) as at:
            await asyncio.sleep(1)
            idle_sockets, idle_tasks = at.sockets(), await at.tasks()
            print(f"idle: {idle_sockets} sockets, {idle_tasks} tasks, {at.rss_mib():.1f} MiB")
            load = Streams(at, time.monotonic() + seconds)
            clients = asyncio.gather(*(load.client(number) for number in range(streams)))
            while not clients.done():
                await asyncio.wait({clients}, timeout=max(5.0, seconds / 6))
                print(
                    f"  {load.open:,} streams open, {at.sockets():,} sockets, {at.rss_mib():.1f} MiB",
                    flush=True,
                )
            await clients
            await settled(at, idle_sockets)
            facts = {
                "sockets beyond idle ones": at.sockets() - idle_sockets,
                "tasks beyond idle ones": await at.tasks() - idle_tasks,
                "calls in flight": await at.metric("gateway_requests_in_flight"),
                "slots of the limit": await at.metric("gateway_limit_used_ratio"),
            }
            print(f"streams: {dict(load.ends)}, at most {load.most:,} at once")
            print(f"afterwards: {facts}, {at.rss_mib():.1f} MiB")
            memory = await shorts(at, calls)
            growth = memory[-1] - memory[0]
            print(f"short calls: {calls:,}, memory grew by {growth:.1f} MiB after the first tenth")
    await upstream.aclose()
    return int(any(fact > 0 for fact in facts.values()) or growth > MAX_GROWTH_MIB)


def serve(config: str) -> int:
    """Be the gateway under test: as ever, but it says how many tasks there are when it gets SIGUSR1."""
    signal.signal(signal.SIGUSR1, lambda *_: print(len(asyncio.all_tasks()), flush=True))
    return main(["serve", "-c", config])


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.add_argument("--streams", type=int, default=2_000, help="how many at once")
    parser.add_argument("--seconds", type=float, default=300.0, help="for how long")
    parser.add_argument("--calls", type=int, default=1_000_000, help="how many short ones")
    parser.add_argument("--serve", metavar="CONFIG", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    options = _arguments()
    if options.serve:
        sys.exit(serve(options.serve))
    sys.exit(uvloop.run(soak(options.streams, options.seconds, options.calls)))
