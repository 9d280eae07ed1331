"""Calls that an earlier reply may answer, or one in flight: looked up, joined, or made so that others may join.

A call that is shared is run by a task of its own; every client, the first one too, reads along. What may be shared
is `cache`'s to say, how several read one reply is `flights`'.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from gateway.cache import Cache, Hit, Wanted
from gateway.cache_entry import KEPT_FIELDS, Entry, kept_fields
from gateway.clock import Clock
from gateway.copying import taken, told
from gateway.downstream import Downstream
from gateway.errors import InternalError
from gateway.flights import PIECE_BYTES, Flight, Head, Present, Reader
from gateway.limits import Admission
from gateway.replies import own_fields
from gateway.tasks import Tasks
from gateway.types import Headers, Record

# What tells a client when to try again; it goes with an error to all who wait.
_ERROR_FIELDS = KEPT_FIELDS | {b"retry-after", b"retry-after-ms", b"x-should-retry"}

# Makes a call's place within its limits; true: it shares another's reply, and costs a request and no tokens.
Admit = Callable[[bool], Admission]
# Asks an upstream and writes its reply to a flight; says whether the reply may answer other calls.
Ask = Callable[[Admission, Flight], Awaitable[bool]]


class Call:
    """A shared call: its flight, and what became of it."""

    __slots__ = (
        "_news",
        "admitted",
        "flight",
        "key",
        "opener_left",
        "over_at",
        "record",
        "settled",
        "task",
    )

    def __init__(self, key: str, flight: Flight, record: Record) -> None:
        """`record` is that of the client that opened it, which pays, even when it leaves."""
        self.key = key
        self.flight = flight
        self.record = record
        # Whether the opener is admitted, or will not be; None: that is not known yet.
        self.admitted: bool | None = None
        # It is known what the call came to.
        self.settled = False
        self.task: asyncio.Task[None] | None = None
        self.opener_left = False
        # Monotonic seconds at which the upstream's part was over.
        self.over_at = 0.0
        # Of those who wait for either.
        self._news: asyncio.Future[None] | None = None

    def admit(self) -> None:
        """Note that the opener is admitted."""
        self.admitted = True
        self._tell()

    def settle(self) -> None:
        """Note that all of it is over."""
        self.admitted = bool(self.admitted)
        self.settled = True
        self._tell()

    def _tell(self) -> None:
        news, self._news = self._news, None
        if news is not None:
            news.set_result(None)

    def news(self) -> "asyncio.Future[None]":
        """Return what is done at the next change; who stops waiting disturbs nobody."""
        if self._news is None:
            self._news = asyncio.get_running_loop().create_future()
        return asyncio.shield(self._news)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sharing:
    """Answers the calls that may be shared, under one configuration."""

    cache: Cache
    tasks: Tasks
    clock: Clock
    # How long a client may stand still while it reads what was kept.
    stall_seconds: float
    # Counts what a call came to whose opener had left.
    late: Callable[[Record], None]
    _calls: dict[str, Call] = field(default_factory=dict)

    async def answer(
        self, wanted: Wanted, down: Downstream, record: Record, admit: Admit, ask: Ask
    ) -> None:
        """Answer a call from what is kept, by a call in flight, or by one that others may join.

        Raises GatewayError, ClientLeftError.
        """
        while True:
            call = self._joinable(wanted)
            if call is None:
                hit = await self.cache.find(wanted)
                if hit is not None:
                    await self._replay(hit, down, record, admit)
                    return
                # Another may have begun while the store was asked.
                call = self._joinable(wanted)
            if call is None:
                await self._open(wanted, down, record, admit, ask)
                return
            if await self._join(call, down, record, admit):
                return

    def _joinable(self, wanted: Wanted) -> Call | None:
        call = None if wanted.anew else self._calls.get(wanted.key)
        return call if call is not None and call.flight.joinable else None

    async def _replay(self, hit: Hit, down: Downstream, record: Record, admit: Admit) -> None:
        entry = hit.entry
        async with admit(True) as admission:  # 429
            record.cache = "hit"
            record.saved, record.saved_nanodollars = entry.usage, entry.cost_nanodollars
            _tell(record, admission, b"hit; ttl=%d" % hit.ttl_seconds)
            record.reply_headers.append((b"age", b"%d" % hit.age_seconds))
            if len(entry.body) <= PIECE_BYTES and not _streams(entry):
                await self._hand_over(entry, down, record)
                return
            flight = _kept(entry, self.stall_seconds)
            await self._read(Reader(flight), down, record, self._present(record))

    async def _join(self, call: Call, down: Downstream, record: Record, admit: Admit) -> bool:
        """Read along with a call in flight; False: it cannot be read from its beginning."""
        reader = Reader(call.flight)
        began = self.clock.monotonic()
        try:
            while call.admitted is None:
                await call.news()
            record.waited_seconds += self.clock.monotonic() - began
            if not call.admitted:
                return False
            async with admit(True) as admission:  # 429
                if reader.lost:
                    return False
                record.cache = "collapsed"
                _tell(record, admission, b"fwd=miss; collapsed")
                whole = await self._read(reader, down, record, self._present(record, call))
                while not call.settled:
                    await call.news()
                record.error_code = call.record.error_code
                record.saved = call.record.usage
                record.saved_nanodollars = call.record.cost_nanodollars
                if not whole:
                    down.cut()
        finally:
            await self._leave(call, reader)
        return True

    async def _open(
        self, wanted: Wanted, down: Downstream, record: Record, admit: Admit, ask: Ask
    ) -> None:
        """Make a call that others may join, and be its first reader."""
        record.cache = "miss"
        status = b"gateway; fwd=request" if wanted.anew else b"gateway; fwd=miss"
        record.reply_headers.append((b"cache-status", status))
        flight = Flight(self.cache.max_entry_bytes, self.stall_seconds)
        call = Call(wanted.key, flight, record)
        reader = Reader(flight)
        # One that is asked anew is newer than one on its way, and takes its place.
        if wanted.anew or self._joinable(wanted) is None:
            self._calls[wanted.key] = call
        call.task = self.tasks.start(self._fly(call, wanted, admit, ask))
        try:
            whole = await reader.read(down, lambda head: self._told(record, head))
            while not call.settled:
                await call.news()
            record.waited_seconds += self.clock.monotonic() - call.over_at
            if not whole:
                down.cut()
        finally:
            await self._leave(call, reader)
            call.opener_left = not call.settled

    async def _fly(self, call: Call, wanted: Wanted, admit: Admit, ask: Ask) -> None:
        """Run a shared call: whatever happens is told to those who read."""
        flight, record = call.flight, call.record
        keep = False
        try:
            async with admit(False) as admission:  # 429, to the opener alone
                call.admit()
                keep = await ask(admission, flight)
        except Exception as error:  # noqa: BLE001 - raised again in the calls of those who read
            flight.fail(error)
        except asyncio.CancelledError:
            flight.fail(InternalError())
            raise
        finally:
            call.over_at = self.clock.monotonic()
            call.settle()
            if call.opener_left:
                self.late(record)
            if not keep:
                self._forget(call)
        if keep and self._calls.get(call.key) is call:
            try:
                await self.cache.keep(wanted, self._entry(call))
            finally:
                self._forget(call)

    def _entry(self, call: Call) -> Entry:
        head = call.flight.head
        return Entry(
            status=head.status if head is not None else 0,
            headers=kept_fields(head.headers) if head is not None else (),
            body=bytes(call.flight.body),
            stored_at=self.clock.time(),
            usage=call.record.usage,
            cost_nanodollars=call.record.cost_nanodollars,
        )

    def _forget(self, call: Call) -> None:
        if self._calls.get(call.key) is call:
            del self._calls[call.key]

    async def _leave(self, call: Call, reader: Reader) -> None:
        """Let a client go; the last one to go while the reply is on its way ends the call."""
        reader.leave()
        if call.task is None or call.flight.read or call.flight.landed:
            return
        self._forget(call)
        call.task.cancel()
        # One that never ran settles nothing.
        while not call.settled and not call.task.done():
            await asyncio.wait([call.news(), call.task], return_when=asyncio.FIRST_COMPLETED)

    async def _read(
        self, reader: Reader, down: Downstream, record: Record, present: Present
    ) -> bool:
        """Hand a reply to a client that did not pay for it; what that takes is not the gateway's own time.

        Return whether it is whole.
        """
        began = self.clock.monotonic()
        try:
            return await reader.read(down, present)
        finally:
            record.waited_seconds += self.clock.monotonic() - began

    async def _hand_over(self, entry: Entry, down: Downstream, record: Record) -> None:
        """Write a kept reply at once."""
        began = record.first_byte_at = self.clock.monotonic()
        record.status = entry.status
        fields = (*entry.headers, *own_fields(record, entry.headers, self.clock))
        down.reply(entry.status, None, fields, bytes(entry.body))
        if down.paused:
            await taken(down, self.stall_seconds)
        record.waited_seconds += self.clock.monotonic() - began

    def _present(self, record: Record, call: Call | None = None) -> Present:
        """Return what makes the head for a client that shares another's reply: nothing that was the other's."""

        def present(head: Head) -> Headers:
            record.status = head.status
            record.first_byte_at = self.clock.monotonic()
            if call is not None:
                record.target = call.record.target
            names = KEPT_FIELDS if head.status < 400 else _ERROR_FIELDS
            theirs = tuple(f for f in head.headers if f[0].lower() in names)
            return (*theirs, *own_fields(record, theirs, self.clock))

        return present

    def _told(self, record: Record, head: Head) -> Headers:
        """Return the head for the client that opened the call: all that it would have been told alone."""
        theirs = head.headers
        return told(theirs, own_fields(record, theirs, self.clock), crossed=True)


def _tell(record: Record, admission: Admission, status: bytes) -> None:
    record.reply_headers.extend(admission.headers)
    record.reply_headers.append((b"cache-status", b"gateway; " + status))


def _streams(entry: Entry) -> bool:
    for name, value in entry.headers:
        if name.lower() == b"content-type":
            return value.lower().startswith(b"text/event-stream")
    return False


def _kept(entry: Entry, stall_seconds: float) -> Flight:
    """Return a kept reply as a flight that is over: a stream comes event by event, another one as it is read."""
    streams = _streams(entry)
    coded = any(name.lower() == b"content-encoding" for name, _ in entry.headers)
    length = None if streams else len(entry.body)
    head = Head(entry.status, None, entry.headers, "pieces", length)
    return Flight.of(head, entry.body, stall_seconds, by_event=streams and not coded)
