"""What is still to come of a request's body, without a socket: counted or chunked, held up to a bound.

Source: RFC 9112, 7.1 (chunks). Extensions and trailers are checked and dropped.
"""

import asyncio
import re
from typing import Protocol

from gateway.errors import GatewayError, InvalidRequestError

# Above it the client waits until what is held was read.
HELD_BYTES = 65_536
MAX_TRAILER_BYTES = 65_536

_SIZE = re.compile(rb"(?=[0-9A-Fa-f])0*+([0-9A-Fa-f]{0,15}+)(;|\r\n)")
_SIZE_BEGUN = re.compile(rb"(?:[0-9A-Fa-f]{1,64}\r?)?")
_EXTENSION = re.compile(rb"[\t\x20-\x7e\x80-\xff]*+")
_TRAILER = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]++):[\t\x20-\x7e\x80-\xff]*+")
# What would frame the body behind which it stands.
_NO_TRAILERS = frozenset((b"content-length", b"host", b"transfer-encoding"))


class Sender(Protocol):
    """Whoever sends the body."""

    def pause_reading(self) -> None:
        """Let it wait; harmless when repeated."""

    def resume_reading(self) -> None:
        """Let it go on; harmless when repeated."""


class Chunks:
    """Reads a chunked body: feed it bytes, and it gives back those of the body; `surplus` is what came behind it."""

    __slots__ = ("_in_extension", "_in_trailer", "_kept", "_left", "_opened", "complete", "surplus")

    def __init__(self) -> None:
        self.complete = False
        self.surplus = b""
        # What cannot be read until more comes.
        self._kept = b""
        # Of the chunk that has begun: what is to come, its line end left out.
        self._left = 0
        self._opened = False
        self._in_extension = False
        self._in_trailer = False

    def feed(self, data: bytes) -> bytes:
        """Take the next bytes and return those of the body among them. Raises InvalidRequestError."""
        if self._kept:
            data, self._kept = self._kept + data, b""
        pieces: list[bytes] = []
        at: int | None = 0
        while at is not None:
            at = self._step(data, at, pieces)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _step(self, data: bytes, at: int, pieces: list[bytes]) -> int | None:
        """Read on at `at`; return where to go on, or None where more must come first."""
        if self._in_trailer:
            return self._trailer(data, at)
        if self._in_extension:
            at = _end_of(_EXTENSION, data, at)
            at_end = self._line_end(data, at)
            self._in_extension = at_end is None
            return self._sized(at_end)
        if not self._opened:
            return self._size(data, at)
        if self._left:
            piece = data[at : at + self._left]
            self._left -= len(piece)
            at += len(piece)
            pieces.append(piece)
            if self._left:
                return None
        at_end = self._line_end(data, at)
        self._opened = at_end is None
        return at_end

    def _size(self, data: bytes, at: int) -> int | None:
        size = _SIZE.match(data, at)
        if size is None:
            if not _SIZE_BEGUN.fullmatch(data, at):
                raise _bad_framing()
            self._kept = data[at:]
            return None
        self._left = int(size[1] or b"0", 16)
        self._in_extension = size[2] == b";"
        return size.end() if self._in_extension else self._sized(size.end())

    def _sized(self, at: int | None) -> int | None:
        """Note that the line with a chunk's size has ended."""
        if at is not None:
            self._opened = self._left > 0
            self._in_trailer = not self._opened
        return at

    def _line_end(self, data: bytes, at: int) -> int | None:
        end = data[at : at + 2]
        if end == b"\r\n":
            return at + 2
        if end not in (b"", b"\r"):
            raise _bad_framing()
        self._kept = end
        return None

    def _trailer(self, data: bytes, at: int) -> int | None:
        if not data.startswith(b"\r\n", at):
            end = data.find(b"\r\n\r\n", at)
            if (end if end >= 0 else len(data)) - at > MAX_TRAILER_BYTES:
                raise _bad_framing()
            if end < 0:
                self._kept = data[at:]
                return None
            for line in data[at:end].split(b"\r\n"):
                name = _TRAILER.fullmatch(line)
                if name is None or name[1].lower() in _NO_TRAILERS:
                    raise _bad_framing()
            at = end + 2
        self.complete = True
        self.surplus = data[at + 2 :]
        return None


class Body:
    """What is still to come of the body of a request whose call has begun."""

    __slots__ = (
        "_chunks",
        "_error",
        "_held_bytes",
        "_left",
        "_pieces",
        "_sender",
        "_waiter",
        "complete",
    )

    def __init__(self, length_bytes: int | None, sender: Sender) -> None:
        """`length_bytes` None: it comes in chunks."""
        # Whether every byte has arrived.
        self.complete = False
        self._left = length_bytes or 0
        self._chunks = Chunks() if length_bytes is None else None
        self._sender = sender
        self._pieces: list[bytes] = []
        self._held_bytes = 0
        self._error: GatewayError | None = None
        self._waiter: asyncio.Future[None] | None = None

    def feed(self, data: bytes) -> bytes:
        """Take the next bytes; return what came behind the body's end."""
        if self._error is not None:
            return b""
        surplus = b""
        if self._chunks is None:
            data, surplus = data[: self._left], data[self._left :]
            self._left -= len(data)
            self.complete = not self._left
        else:
            try:
                data = self._chunks.feed(data)
            except InvalidRequestError as error:
                self.fail(error)
                return b""
            self.complete, surplus = self._chunks.complete, self._chunks.surplus
        if data:
            self._pieces.append(data)
            self._held_bytes += len(data)
            if self._held_bytes > HELD_BYTES:
                self._sender.pause_reading()
        if data or self.complete:
            self._wake()
        return surplus

    def fail(self, error: GatewayError) -> None:
        """Let it be read no further: whoever reads it is told why."""
        self._error = error
        self._wake()

    async def read(self) -> bytes:
        """Return what came, as soon as there is something; nothing at the body's end. Raises InvalidRequestError."""
        if not self._pieces and not self.complete and self._error is None:
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        if self._error is not None:
            raise self._error
        data = b"".join(self._pieces)
        self._pieces.clear()
        self._held_bytes = 0
        self._sender.resume_reading()
        return data

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


def _end_of(pattern: re.Pattern[bytes], data: bytes, at: int) -> int:
    found = pattern.match(data, at)
    return at if found is None else found.end()


def _bad_framing() -> InvalidRequestError:
    return InvalidRequestError("The request's body breaks HTTP's framing.", code="invalid_http")
