"""`python -m gateway.demo_upstream`: the demo upstream as a process of its own."""

import argparse
import asyncio
import signal
import sys

import uvloop

from gateway.clock import SystemClock
from gateway.demo_upstream import start


def main() -> int:
    """Run until told to stop; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m gateway.demo_upstream",
        description="A small OpenAI-like server that is scripted by the requests it gets.",
    )
    parser.add_argument(
        "--listen", default="127.0.0.1:0", metavar="HOST:PORT", help="0: a free port"
    )
    parser.add_argument(
        "--pace-ms",
        type=float,
        default=0,
        metavar="MS",
        help="what passes between two pieces of a stream whose request does not say",
    )
    options = parser.parse_args()
    host, _, port = options.listen.rpartition(":")
    if not port.isdecimal():
        parser.error(f"--listen {options.listen}: HOST:PORT is wanted")
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_run(host.strip("[]"), int(port), options.pace_ms))
    except OSError as error:
        sys.stderr.write(f"cannot listen at {options.listen}: {error}\n")
        return 1
    return 0


async def _run(host: str, port: int, pace_ms: float) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    upstream = await start(host, port, SystemClock(), pace_ms=pace_ms)
    sys.stdout.write(f"{upstream.url}\n")
    sys.stdout.flush()
    await stop.wait()
    await upstream.aclose()


if __name__ == "__main__":
    sys.exit(main())
