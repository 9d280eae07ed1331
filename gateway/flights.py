"""One upstream call that several clients read: its body is held once, and each reads on at its own pace.

A `Flight` stands where a client stands for a call that nobody shares: `copying` writes to it. A `Reader` hands
what came to one client: at once while the client keeps up, later where it does not.
"""

import asyncio
import re
from collections.abc import Callable
from typing import Literal, NamedTuple

from gateway.copying import HOLD_BYTES, Client
from gateway.downstream import ClientLeftError, Producer
from gateway.errors import GatewayError, InternalError
from gateway.relay import protocol_error
from gateway.types import Headers

# How much is written to a client that was behind before it is looked whether it keeps up.
PIECE_BYTES = 65_536
# Where an event ends, in any of SSE's three line ends.
_EVENT_END = re.compile(rb"\r\n\r\n|\n\n|\r\r")


class Head(NamedTuple):
    """A reply's head, and how its body comes."""

    status: int
    reason: bytes | None
    headers: Headers
    kind: Literal["pieces", "whole", "bodiless"]
    # Of a body in pieces; None: not known beforehand.
    length: int | None = None


# What a client is told in a reply's head, made when the head is there.
Present = Callable[[Head], Headers]


class Flight:
    """A call in flight: what came of its reply, and who reads it."""

    def __init__(self, max_bytes: int, stall_seconds: float) -> None:
        """`max_bytes`: how much of the body is held for those who join, or are behind."""
        self.head: Head | None = None
        self._live = bytearray()
        # Of a kept reply the store's own bytes: however many read it, it is held once.
        self.body: bytearray | memoryview = self._live
        # How much of the body came, and how much of that is no longer held.
        self.end = 0
        self.dropped = 0
        # The reply is whole, or will never be.
        self.landed = False
        self.error: Exception | None = None
        # What is wrong stands in the opener's record: those who have begun to read need not be told.
        self.broke = False
        self._told = False
        self.stall_seconds = stall_seconds
        # Where one piece of the body ends; a live one comes as it comes.
        self.by_event = False
        self._max_bytes = max_bytes
        self._readers: dict[Reader, None] = {}
        self._producer: Producer | None = None
        self._held = False

    @classmethod
    def of(
        cls, head: Head, body: bytes | memoryview, stall_seconds: float, *, by_event: bool
    ) -> "Flight":
        """Return a flight that is over: a reply that was kept."""
        flight = cls(len(body), stall_seconds)
        flight.head = head
        flight.body = memoryview(body)
        flight.end = len(body)
        flight.landed = True
        flight.by_event = by_event
        return flight

    @property
    def joinable(self) -> bool:
        """Whether another client can still read the reply from its first byte."""
        return self.error is None and self.dropped == 0 and self.end <= self._max_bytes

    @property
    def read(self) -> bool:
        """Whether anybody reads."""
        return bool(self._readers)

    def add(self, reader: "Reader") -> None:
        """Let one more client read."""
        self._readers[reader] = None
        self.flow()

    def remove(self, reader: "Reader") -> None:
        """Let a client go; harmless when repeated."""
        self._readers.pop(reader, None)
        self._drop_read()
        self.flow()

    def piece(self, position: int) -> bytes:
        """Return the next bytes from `position` on."""
        start = position - self.dropped
        end = start + PIECE_BYTES
        if self.by_event and (found := _EVENT_END.search(self.body, start, end)):
            end = found.end()
        return bytes(self.body[start:end])

    def flow(self) -> None:
        """Let the upstream go on while anybody keeps up."""
        held = bool(self._readers) and all(reader.paused for reader in self._readers)
        if self._producer is None or held == self._held:
            return
        self._held = held
        if held:
            self._producer.pause()
        else:
            self._producer.resume()

    def fail(self, error: Exception) -> None:
        """Tell all who read that there will be no reply, or no more of it."""
        if not self.landed:
            self.error = error
            self._land()

    def failure(self, error: Exception) -> Exception:
        """Return `error` for the first who asks, and for each other one an exception of its own.

        What is a defect is told in full once.
        """
        if not self._told:
            self._told = True
            return error
        return error.again() if isinstance(error, GatewayError) else InternalError()

    # Where a client stands for a call that nobody shares.

    @property
    def begun(self) -> bool:
        """Whether a byte of the reply has been written."""
        return self.head is not None

    @property
    def paused(self) -> bool:
        """Whether nobody keeps up."""
        return self._held

    def tie(self, producer: Producer, *, stall_seconds: float) -> None:
        """Hold `producer` back while no client keeps up."""
        self._producer, self.stall_seconds = producer, stall_seconds
        self.flow()

    def untie(self) -> None:
        """Let go of the upstream."""
        self._producer = None

    def start(
        self, status: int, reason: bytes | None, headers: Headers, length: int | None
    ) -> None:
        """Note the head of a reply whose body comes in pieces."""
        self._begin(Head(status, reason, headers, "pieces", length))

    def bodiless(self, status: int, reason: bytes | None, headers: Headers) -> None:
        """Note a reply without a body."""
        self.landed = True
        self._begin(Head(status, reason, headers, "bodiless"))

    def reply(self, status: int, reason: bytes | None, headers: Headers, body: bytes) -> None:
        """Note a whole reply."""
        self._live += body
        self.end = len(body)
        self.landed = True
        self._begin(Head(status, reason, headers, "whole"))

    def write(self, data: bytes) -> None:
        """Note a piece of the body, and hand it on to all who keep up."""
        self._live += data
        self.end += len(data)
        self._pump()
        self._drop_read()

    def comment(self, data: bytes) -> None:
        """Hand what is no part of the reply to those who have had all of it so far."""
        for reader in tuple(self._readers):
            reader.comment(data)

    def finish(self) -> None:
        """Note that the body is whole."""
        self._land()

    def cut(self) -> None:
        """Note that the reply broke off: for those who have not begun it, that is a real status."""
        self.error = protocol_error()
        self.broke = True
        self._land()

    async def drained(self) -> None:
        """Return: each reader waits for its own client."""

    def _begin(self, head: Head) -> None:
        self.head = head
        self._pump()

    def _land(self) -> None:
        self.landed = True
        self._pump()

    def _pump(self) -> None:
        for reader in tuple(self._readers):
            reader.pump()

    def _drop_read(self) -> None:
        """Once nobody can join any more, hold only what somebody has yet to read; cut those far behind."""
        if self.end <= self._max_bytes or self.landed:
            return
        if not self._held:
            most = max(self._max_bytes, HOLD_BYTES)
            for reader in tuple(self._readers):
                if self.end - reader.position > most:
                    # Nothing is held for it from now on, though it may not have heard of it yet.
                    del self._readers[reader]
                    reader.fall_behind()
        read = min((reader.position for reader in self._readers), default=self.end)
        del self._live[: read - self.dropped]
        self.dropped = read


class Reader:
    """One client of a flight, from when it joined: enter it, wait to be let in, read."""

    def __init__(self, flight: Flight) -> None:
        self.position = 0
        # Until it reads, it is behind and holds nobody up.
        self.paused = True
        self._flight = flight
        self._down: Client | None = None
        self._present: Present | None = None
        self._begun = False
        self._over: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        flight.add(self)

    @property
    def lost(self) -> bool:
        """Whether it is too far behind to read on."""
        return self._over.done()

    async def read(self, down: Client, present: Present) -> bool:
        """Hand the reply to `down`, and return whether it is whole: one that broke after its first byte is not.

        The client is then still to be cut. Raises what the flight failed by; ClientLeftError.
        """
        self._down, self._present = down, present
        self.paused = False
        down.tie(self, stall_seconds=self._flight.stall_seconds)
        try:
            self._flight.flow()
            self.pump()
            whole = await self._over
            if whole:
                await down.drained()
            return whole
        finally:
            down.untie()

    def leave(self) -> None:
        """Read no more."""
        self._flight.remove(self)
        if not self._over.done():
            self._over.cancel()

    def pause(self) -> None:
        """Hand nothing on for now."""
        self.paused = True
        self._flight.flow()

    def resume(self) -> None:
        """Go on."""
        self.paused = False
        self._flight.flow()
        self.pump()

    def pump(self) -> None:
        """Hand on what came, as far as the client keeps up."""
        if self._down is None or self._over.done():
            return
        try:
            self._hand_on(self._down)
        except ClientLeftError as error:
            self._end(error)

    def comment(self, data: bytes) -> None:
        """Hand on what is no part of the reply, between its pieces."""
        down, flight = self._down, self._flight
        if down is None or not self._begun or self.paused or self.position < flight.end:
            return
        try:
            down.write(data)
        except ClientLeftError as error:
            self._end(error)

    def fall_behind(self) -> None:
        """Give up on a client that is further behind than is held for it."""
        if self._begun and self._down is not None:
            self._down.cut()
        self._end(ClientLeftError())

    def _hand_on(self, down: Client) -> None:
        flight, head = self._flight, self._flight.head
        if not self._begun and head is not None and flight.error is None:
            self._begin(down, head)
            if self._over.done():
                return
        while self._begun and not self.paused and self.position < flight.end:
            piece = flight.piece(self.position)
            self.position += len(piece)
            down.write(piece)
        if not flight.landed:
            return
        if flight.error is not None:
            if self._begun and flight.broke:
                self._over.set_result(False)
            else:
                self._end(flight.failure(flight.error))
        elif self.position == flight.end:
            down.finish()
            self._end(None)

    def _begin(self, down: Client, head: Head) -> None:
        self._begun = True
        fields = self._present(head) if self._present is not None else head.headers
        if head.kind == "pieces":
            down.start(head.status, head.reason, fields, head.length)
            return
        if head.kind == "whole":
            self.position = self._flight.end
            down.reply(head.status, head.reason, fields, bytes(self._flight.body))
        else:
            down.bodiless(head.status, head.reason, fields)
        self._end(None)

    def _end(self, error: Exception | None) -> None:
        if self._over.done():
            return
        if error is None:
            self._over.set_result(True)
        else:
            self._over.set_exception(error)
            # Who does not read is not told.
            self._over.exception()
