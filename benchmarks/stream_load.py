"""Holds many streams open and counts their events: says "ready" once all flow, then the count for each line read."""

import asyncio
import os
import sys
from pathlib import Path
from typing import cast

import uvloop

CONNECT_AT_A_TIME = 50


class Counter:
    """How many streams flow, and how many events came in all of them."""

    def __init__(self, streams: int) -> None:
        self.events = 0
        self.all_flow = asyncio.Event()
        self._waiting = streams

    def flows(self) -> None:
        """Note a stream's first event."""
        self._waiting -= 1
        if not self._waiting:
            self.all_flow.set()


class Stream(asyncio.Protocol):
    """One stream: sends its request, then counts the blank lines that end events."""

    def __init__(self, request: bytes, counter: Counter, done: "asyncio.Future[None]") -> None:
        self._request = request
        self._counter = counter
        self._done = done
        self._head = b""
        self._last = 0
        self._flowing = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask."""
        # Written out because uvloop's transports are no subclasses of asyncio's.
        cast(asyncio.WriteTransport, transport).write(self._request)

    def data_received(self, data: bytes) -> None:
        """Count the events that end in these bytes."""
        if not self._flowing:
            self._head += data
            head, blank, data = self._head.partition(b"\r\n\r\n")
            if not blank or not data:
                return
            if not head.startswith(b"HTTP/1.1 200 "):
                self._fail(head.decode("latin-1"))
                return
            self._flowing = True
            self._counter.flows()
        # An event's end may be cut in two.
        halves = self._last == 10 and data[0] == 10
        self._counter.events += data.count(b"\n\n") + halves
        self._last = data[-1]

    def connection_lost(self, exc: Exception | None) -> None:
        """Streams never end by themselves."""
        self._fail(f"a stream ended: {exc}")

    def _fail(self, why: str) -> None:
        if not self._done.done():
            self._done.set_exception(ConnectionError(why))


async def run(port: int, streams: int, request: bytes) -> None:
    """Hold the streams open until standard input ends."""
    loop = asyncio.get_running_loop()
    done = loop.create_future()
    counter = Counter(streams)
    for start in range(0, streams, CONNECT_AT_A_TIME):
        batch = range(start, min(start + CONNECT_AT_A_TIME, streams))
        await asyncio.gather(
            *(
                loop.create_connection(lambda: Stream(request, counter, done), "127.0.0.1", port)
                for _ in batch
            )
        )

    def answer() -> None:
        asked = os.read(0, 64)
        if asked:
            print(counter.events, flush=True)
        elif not done.done():
            done.set_result(None)

    flowing = asyncio.ensure_future(counter.all_flow.wait())
    await asyncio.wait({flowing, done}, return_when=asyncio.FIRST_COMPLETED)
    if not done.done():
        print("ready", flush=True)
        loop.add_reader(0, answer)
    await done


if __name__ == "__main__":
    uvloop.run(run(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]).read_bytes()))
