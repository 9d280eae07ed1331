"""An upstream that sends exactly the bytes that a test wrote down, and says exactly which bytes it was sent."""

import asyncio
import contextlib
import os
import re
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal, cast

HANG_SECONDS = 10.0

# What follows the last piece: the connection ends in order, is reset, ends under TLS without saying so (a bare FIN),
# stays silent, or takes another request.
Then = Literal["end", "cut", "truncate", "hang", "keep"]


@dataclass(frozen=True, slots=True)
class Say:
    """What is said to one request: pieces, each on its way before the next is written; then what follows.

    An event among the pieces is waited for.
    """

    pieces: tuple[bytes | asyncio.Event, ...]
    then: Then = "keep"


def say(*pieces: bytes | asyncio.Event, then: Then = "keep") -> Say:
    """Return what is said to one request."""
    return Say(pieces, then)


def whole(body: bytes, *fields: bytes, status: bytes = b"200 OK") -> bytes:
    """Return a well-formed reply with a length."""
    lines = [b"HTTP/1.1 " + status, *fields, b"Content-Length: %d" % len(body)]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def chunked(*chunks: bytes, end: bool = True) -> bytes:
    """Return chunks as they stand on the wire."""
    body = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks)
    return body + (b"0\r\n\r\n" if end else b"")


STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
)


@dataclass(slots=True)
class Seen:
    """One connection: what came on it, and whether the other side left."""

    transport: asyncio.Transport
    received: bytearray = field(default_factory=bytearray)
    requests: int = 0
    left: asyncio.Event = field(default_factory=asyncio.Event)


class _Connection(asyncio.Protocol):
    """Answers each whole request with the next saying."""

    def __init__(self, upstream: "RawUpstream") -> None:
        self._upstream = upstream
        self._waiting = bytearray()
        self._room = asyncio.Event()
        self._room.set()
        self._speaking: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.seen = Seen(cast(asyncio.Transport, transport))
        self._upstream.took(self.seen)

    def data_received(self, data: bytes) -> None:
        self.seen.received += data
        if self._upstream.deaf:
            # Not before: uvloop begins to read after `connection_made` whatever that asked for.
            self.seen.transport.pause_reading()
            return
        self._waiting += data
        if self._upstream.eager or (end := _request_end(self._waiting)) is not None:
            del self._waiting[: len(self._waiting) if self._upstream.eager else end]
            self.seen.requests += 1
            self._upstream.asked.set()
            saying = self._upstream.next()
            self._speaking = asyncio.get_running_loop().create_task(self._speak(saying))

    async def _speak(self, saying: Say) -> None:
        transport = self.seen.transport
        for piece in saying.pieces:
            if isinstance(piece, asyncio.Event):
                await piece.wait()
                continue
            await self._room.wait()
            if transport.is_closing():
                return
            transport.write(piece)
            # Two turns of the loop: the piece is in the socket before the next one is written.
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        self._upstream.said.set()
        if saying.then == "end":
            transport.close()
        elif saying.then == "cut":
            _reset(transport)
        elif saying.then == "truncate":
            _truncate(transport)

    def pause_writing(self) -> None:
        self._upstream.stalled += 1
        self._room.clear()

    def resume_writing(self) -> None:
        self._upstream.stalled -= 1
        self._room.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self.seen.left.set()
        self._room.set()
        if self._speaking is not None:
            self._speaking.cancel()


class RawUpstream:
    """A server that answers the n-th request with the n-th saying, and the last one from then on.

    `eager`: it answers the first bytes of a request, not its end. `deaf`: it reads once and no more.
    """

    def __init__(self, sayings: Sequence[Say], *, eager: bool = False, deaf: bool = False) -> None:
        self._sayings = list(sayings)
        self._said = 0
        self.eager = eager
        self.deaf = deaf
        self.connections: list[Seen] = []
        # Set when a request is whole, when everything of a saying is written, when a connection is made.
        self.asked = asyncio.Event()
        self.said = asyncio.Event()
        self.connected = asyncio.Event()
        # How many connections cannot write on, because the other side does not read.
        self.stalled = 0
        self.url = ""
        self.port = 0

    def script(self, *sayings: Say) -> None:
        """Say these from the next request on."""
        self._sayings = list(sayings)
        self._said = 0

    def next(self) -> Say:
        """Return what is said to the next request."""
        saying = self._sayings[min(self._said, len(self._sayings) - 1)]
        self._said += 1
        return saying

    def took(self, seen: Seen) -> None:
        """Note a new connection."""
        self.connections.append(seen)
        self.connected.set()

    @property
    def requests(self) -> int:
        """How many requests came."""
        return sum(connection.requests for connection in self.connections)

    async def until(self, done: Callable[[], bool]) -> None:
        """Wait until something that must happen has happened."""
        async with asyncio.timeout(HANG_SECONDS):
            while not done():  # noqa: ASYNC110 - what is waited for has no event of its own
                await asyncio.sleep(0.001)


@contextlib.asynccontextmanager
async def raw_upstream(
    *sayings: Say,
    eager: bool = False,
    deaf: bool = False,
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[RawUpstream]:
    """Run a scripted upstream at a free port."""
    upstream = RawUpstream(sayings, eager=eager, deaf=deaf)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Connection(upstream), "127.0.0.1", 0, ssl=tls)
    # Its connections have it from the listener: what nobody reads is soon felt, and not after megabytes in the kernel.
    server.sockets[0].setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65_536)
    upstream.port = server.sockets[0].getsockname()[1]
    upstream.url = f"{'https' if tls else 'http'}://127.0.0.1:{upstream.port}"
    try:
        yield upstream
    finally:
        server.close()
        for connection in upstream.connections:
            connection.transport.abort()


def _reset(transport: asyncio.Transport) -> None:
    """End a connection by RST: with no time to linger, the kernel drops what was not sent (socket(7))."""
    transport.get_extra_info("socket").setsockopt(
        socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
    )
    transport.abort()


def _truncate(transport: asyncio.Transport) -> None:
    """End the TCP connection below TLS, which is not told."""
    with socket.socket(fileno=os.dup(transport.get_extra_info("socket").fileno())) as below:
        below.shutdown(socket.SHUT_WR)


def _request_end(data: bytearray) -> int | None:
    """Return where the first request in `data` ends, None while it is not whole."""
    head_end = data.find(b"\r\n\r\n")
    if head_end < 0:
        return None
    head = bytes(data[:head_end]).lower()
    start = head_end + 4
    if b"transfer-encoding: chunked" in head:
        end = data.find(b"0\r\n\r\n", start)
        return None if end < 0 else end + 5
    length = re.search(rb"content-length: (\d+)", head)
    end = start + (int(length.group(1)) if length else 0)
    return end if len(data) >= end else None
