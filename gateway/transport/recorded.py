"""Upstreams on file: a transport that keeps what passes, and one that answers from what was kept.

What a file holds is in `recordings.py`.
"""

import asyncio
import contextlib
import itertools
import logging
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

from gateway.clock import Clock
from gateway.errors import NotRecordedError
from gateway.recordings import Asked, Recording, Shelf, reply_recorded
from gateway.transport import Sink, Transport, UpstreamReply
from gateway.types import Headers, Upload, UpstreamRequest

# More than this of one body is not kept.
MAX_RECORDED_BYTES = 64 * 1024 * 1024
# Where keys go up. What is shorter than this is a placeholder that engines do not look at, and a word of any text.
_CREDENTIALS = frozenset({b"authorization", b"api-key", b"x-api-key"})
MIN_KEY_BYTES = 8

log = logging.getLogger(__name__)


class RecordingTransport:
    """Asks an upstream through another transport, and writes each exchange that is whole to a file."""

    def __init__(self, inner: Transport, folder: Path) -> None:
        self._inner = inner
        self._folder = folder

    async def open(self, request: UpstreamRequest, *, first_byte_seconds: float) -> UpstreamReply:
        """Ask the upstream, for a reply that can be read on file: without a content coding."""
        headers: Headers = (
            *(pair for pair in request.headers if pair[0].lower() != b"accept-encoding"),
            (b"accept-encoding", b"identity"),
        )
        sent = bytearray()
        body = request.body
        if isinstance(body, Upload):
            body = replace(body, pieces=_kept(body.pieces, sent))
        else:
            sent += body
        reply = await self._inner.open(
            replace(request, headers=headers, body=body), first_byte_seconds=first_byte_seconds
        )
        return _RecordedReply(reply, request, sent, self._folder)

    def retire(self) -> None:
        """Close what is idle."""
        self._inner.retire()

    async def aclose(self) -> None:
        """Close every connection."""
        await self._inner.aclose()


class _RecordedReply:
    """A reply that is written to a file when it has passed whole."""

    def __init__(
        self, reply: UpstreamReply, request: UpstreamRequest, sent: bytearray, folder: Path
    ) -> None:
        self.status = reply.status
        self.reason = reply.reason
        self.headers = reply.headers
        self.length_bytes = reply.length_bytes
        self._reply = reply
        self._request = request
        self._sent = sent
        self._folder = folder

    async def copy(self, sink: Sink) -> None:
        """Hand the body on, and keep it."""
        body = bytearray()

        def take(data: bytes) -> None:
            sink(data)
            if len(body) <= MAX_RECORDED_BYTES:
                body.extend(data)

        await self._reply.copy(take)
        if max(len(body), len(self._sent)) > MAX_RECORDED_BYTES:
            log.warning("an exchange of more than %d bytes was not recorded", MAX_RECORDED_BYTES)
            return
        try:
            await asyncio.to_thread(self._keep, bytes(body))
        except (OSError, RecursionError) as error:
            log.warning("an exchange was not recorded: %s", error)

    def _keep(self, body: bytes) -> None:
        request = self._request
        asked = Asked.of(request.method, request.target, request.headers, bytes(self._sent))
        recording = reply_recorded(asked, self.status, self.headers, body)
        # An upstream may echo what it was sent.
        if any(key in body or key in recording.content() for key in _keys(request.headers)):
            log.warning("an exchange was not recorded: its reply holds a key")
            return
        write(recording, self._folder)

    def pause(self) -> None:
        """Stop reading."""
        self._reply.pause()

    def resume(self) -> None:
        """Read on."""
        self._reply.resume()

    def abort(self) -> None:
        """Give up."""
        self._reply.abort()


class ReplayTransport:
    """Answers from a folder of recordings, and asks nobody."""

    def __init__(self, shelf: Shelf, clock: Clock) -> None:
        self._shelf = shelf
        self._clock = clock

    async def open(self, request: UpstreamRequest, *, first_byte_seconds: float) -> UpstreamReply:  # noqa: ARG002 - nothing is waited for
        """Return the recorded reply. Raises NotRecordedError."""
        body = request.body
        if isinstance(body, Upload):
            pieces = bytearray()
            async for _ in _kept(body.pieces, pieces):
                pass
            body = bytes(pieces)
        asked = Asked.of(request.method, request.target, request.headers, body)
        recording = self._shelf.take(asked)
        if recording is None:
            raise NotRecordedError(self._shelf.told_missing(asked))
        return _ReplayedReply(recording, self._clock)

    def retire(self) -> None:
        """Do nothing: nothing is open."""

    async def aclose(self) -> None:
        """Do nothing."""


class _ReplayedReply:
    """A recorded reply, handed on piece by piece."""

    reason = b""

    def __init__(self, recording: Recording, clock: Clock) -> None:
        self.status = recording.status
        self.headers = recording.headers
        streams = len(recording.pieces) > 1
        self.length_bytes = None if streams else sum(map(len, recording.pieces))
        self._pieces = recording.pieces
        self._clock = clock
        self._flowing = asyncio.Event()
        self._flowing.set()

    async def copy(self, sink: Sink) -> None:
        """Hand the body on, as fast as the client takes it."""
        for piece in self._pieces:
            await self._flowing.wait()
            sink(piece)
            # Each event is a write of its own, and everybody else has a turn between two.
            await self._clock.sleep(0)

    def pause(self) -> None:
        """Wait before the next piece."""
        self._flowing.clear()

    def resume(self) -> None:
        """Go on."""
        self._flowing.set()

    def abort(self) -> None:
        """Do nothing: nothing is open."""


def _keys(headers: Headers) -> tuple[bytes, ...]:
    """Return the keys that a request carries."""
    values = (value for name, value in headers if name.lower() in _CREDENTIALS)
    keys = (value.strip().rpartition(b" ")[2] for value in values)
    return tuple(key for key in keys if len(key) >= MIN_KEY_BYTES)


def write(recording: Recording, folder: Path) -> Path:
    """Write a recording to the first free name of its request, whole or not at all.

    Raises OSError, RecursionError.
    """
    folder.mkdir(parents=True, exist_ok=True)
    content = recording.content()
    path = _free(folder, recording.asked.stem)
    unfinished = path.with_suffix(".part")
    try:
        unfinished.write_bytes(content)
        unfinished.replace(path)
    except OSError:
        unfinished.unlink(missing_ok=True)
        path.unlink(missing_ok=True)
        raise
    return path


def _free(folder: Path, stem: str) -> Path:
    """Take the first free name by an empty file, which replaying passes over."""
    for number in itertools.count(1):
        path = folder / f"{stem}-{number}.json"
        with contextlib.suppress(FileExistsError):
            path.touch(exist_ok=False)
            return path
    raise AssertionError("unreachable")


async def _kept(pieces: AsyncIterator[bytes], into: bytearray) -> AsyncIterator[bytes]:
    async for piece in pieces:
        if len(into) <= MAX_RECORDED_BYTES:
            into += piece
        yield piece
