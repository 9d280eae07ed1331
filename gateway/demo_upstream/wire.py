"""How a reply goes out: in pieces, at a pace, with the faults that its script asks for.

The bytes are written to the connection directly: no HTTP server would let a broken reply pass.
"""

import asyncio
import socket
import struct
import zlib
from collections.abc import Iterable, Iterator
from email.utils import formatdate
from http import HTTPStatus

from aiohttp import web

from gateway.clock import Clock
from gateway.demo_upstream.journal import Seen
from gateway.demo_upstream.reply import Reply
from gateway.demo_upstream.script import Script

GARBAGE = b"\x00\xff<this is no HTTP>\r\n\r\n"
COMMENT = b": demo\n\n"

_REASONS = {status.value: status.phrase for status in HTTPStatus}
_WINDOW_BITS = {"gzip": 31, "deflate": 15}
_RESET = struct.pack("ii", 1, 0)


class Finished(web.StreamResponse):
    """What aiohttp is given as the end of a call whose reply is already written."""

    def __init__(self, *, keep_alive: bool) -> None:
        super().__init__()
        self._stays = keep_alive

    @property
    def keep_alive(self) -> bool:
        """Whether the connection stays open for another request."""
        return self._stays

    async def prepare(self, request: web.BaseRequest) -> None:
        """Write nothing."""

    async def write_eof(self, data: bytes = b"") -> None:
        """Write nothing."""


def dressed(reply: Reply, script: Script) -> Iterator[bytes]:
    """Yield the body as it crosses the wire, before transfer framing."""
    pieces: Iterable[bytes] = reply.pieces
    if reply.is_events:
        pieces = _as_events(pieces, script)
    if script.encoding is not None:
        pieces = _compressed(pieces, script.encoding)
    return _resized(pieces, script.piece_bytes)


def _as_events(events: Iterable[bytes], script: Script) -> Iterator[bytes]:
    for event in events:
        text = COMMENT + event if script.comments else event
        yield text.replace(b"\n", b"\r\n") if script.crlf else text


def _compressed(pieces: Iterable[bytes], encoding: str) -> Iterator[bytes]:
    packer = zlib.compressobj(wbits=_WINDOW_BITS[encoding])
    for piece in pieces:
        # Each piece can be read as soon as it has come.
        yield packer.compress(piece) + packer.flush(zlib.Z_SYNC_FLUSH)
    yield packer.flush()


def _resized(pieces: Iterable[bytes], size_bytes: int | None) -> Iterator[bytes]:
    if size_bytes is None:
        yield from pieces
        return
    rest = b""
    for piece in pieces:
        rest += piece
        while len(rest) >= size_bytes:
            yield rest[:size_bytes]
            rest = rest[size_bytes:]
    if rest:
        yield rest


class Wire:
    """One connection during one reply."""

    def __init__(
        self, request: web.BaseRequest, seen: Seen, script: Script, clock: Clock, pace_ms: float
    ) -> None:
        self._request = request
        self._seen = seen
        self._script = script
        self._clock = clock
        self._pace_seconds = (pace_ms if script.pace_ms is None else script.pace_ms) / 1000
        self._chunked = False
        self._keep_alive = bool(request.keep_alive)

    async def send(self, reply: Reply, headers: Iterable[tuple[str, str]]) -> web.StreamResponse:
        """Write a reply with these further headers. Raises ConnectionError when the client left."""
        body: Iterable[bytes] = dressed(reply, self._script)
        framing = self._script.framing or ("length" if reply.length_known else "chunked")
        if self._request.version < (1, 1) and framing == "chunked":
            framing = "close"
        length = 0
        if framing == "length":
            body = list(body)
            length = sum(map(len, body)) + self._script.length_off
        await self._wait(self._script.delay_ms / 1000)
        if not await self._fault(-1):
            self._write(self._head(reply, headers, framing, length))
            await self._wait(self._script.first_byte_ms / 1000)
            await self._body(body)
        self._seen.phase = "done"
        return Finished(keep_alive=self._keep_alive)

    def _head(
        self, reply: Reply, headers: Iterable[tuple[str, str]], framing: str, length: int
    ) -> bytes:
        fields = [
            ("date", formatdate(usegmt=True)),
            ("content-type", reply.content_type),
            *headers,
            *reply.headers,
        ]
        scripted = {name.lower() for name in self._script.headers}
        fields = [field for field in fields if field[0] not in scripted]
        fields += self._script.headers.items()
        if self._script.encoding is not None:
            fields.append(("content-encoding", self._script.encoding))
        if framing == "length":
            fields.append(("content-length", str(length)))
        elif framing == "chunked":
            self._chunked = True
            fields.append(("transfer-encoding", "chunked"))
        else:
            self._keep_alive = False
        if not self._keep_alive:
            fields.append(("connection", "close"))
        self._seen.status = reply.status
        self._seen.phase = "streaming"
        line = f"HTTP/1.1 {reply.status} {_REASONS.get(reply.status, 'Scripted')}\r\n"
        return (line + "".join(f"{name}: {value}\r\n" for name, value in fields) + "\r\n").encode()

    async def _body(self, pieces: Iterable[bytes]) -> None:
        if await self._fault(0):
            return
        for count, piece in enumerate(pieces, start=1):
            if count > 1:
                await self._wait(self._pace_seconds)
            self._write(b"%x\r\n%b\r\n" % (len(piece), piece) if self._chunked else piece)
            # Others get their turn, and a client that does not keep up holds us back.
            await asyncio.sleep(0)  # noqa: TID251 - no time passes
            await self._request.writer.drain()
            if await self._fault(count):
                return
        if self._chunked:
            self._write(b"0\r\n\r\n")
        if self._script.length_off > 0:
            self._close()

    async def _wait(self, seconds: float) -> None:
        if seconds:
            await self._clock.sleep(seconds)

    async def _fault(self, sent: int) -> bool:
        """Break the reply if this is the point for it; return whether it is over."""
        script = self._script
        if script.hang_after == sent:
            await asyncio.get_running_loop().create_future()
        if script.garbage_after == sent:
            self._write(GARBAGE)
            self._close()
            return True
        if script.cut_after == sent:
            self._close()
            return True
        return False

    def _close(self) -> None:
        """End the connection: after what was written, or by a reset that may overtake it."""
        self._keep_alive = False
        transport = self._request.transport
        if transport is None:
            return
        if self._script.reset:
            connection: socket.socket = transport.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            transport.abort()
        else:
            transport.close()

    def _write(self, data: bytes) -> None:
        transport = self._request.transport
        if transport is None or transport.is_closing():
            raise ConnectionResetError("the client left")
        self._seen.sent_bytes += len(data)
        transport.write(data)
