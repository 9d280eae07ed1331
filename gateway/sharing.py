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
from gateway.copying import told
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


@dataclass(slots=True, kw_only=True)
class Call:
    """A shared call: its flight, and what became of it."""

    key: str
    flight: Flight
    # The record of the client that opened it, which pays, even when it leaves.
    record: Record
    # Set when the opener is admitted, or will not be; and when it is known what the call came to.
    admitted: "asyncio.Future[bool]"
    settled: "asyncio.Future[None]"
    task: "asyncio.Task[None] | None" = None
    opener_left: bool = False
    # Monotonic seconds at which the upstream's part was over.
    over_at: float = 0.0


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
            hit = await self.cache.find(wanted) if call is None else None
            if hit is not None:
                await self._replay(hit, down, record, admit)
                return
            # Another may have begun while the store was asked.
            call = call or self._joinable(wanted)
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
            flight = _kept(entry, self.stall_seconds)
            await self._read(Reader(flight), down, record, self._present(record))

    async def _join(self, call: Call, down: Downstream, record: Record, admit: Admit) -> bool:
        """Read along with a call in flight; False: it cannot be read from its beginning."""
        reader = Reader(call.flight)
        began = self.clock.monotonic()
        try:
            admitted = await asyncio.shield(call.admitted)
            record.waited_seconds += self.clock.monotonic() - began
            if not admitted:
                return False
            async with admit(True) as admission:  # 429
                if reader.lost:
                    return False
                record.cache = "collapsed"
                _tell(record, admission, b"fwd=miss; collapsed")
                whole = await self._read(reader, down, record, self._present(record, call))
                await asyncio.shield(call.settled)
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
        loop = asyncio.get_running_loop()
        call = Call(
            key=wanted.key,
            flight=Flight(self.cache.max_entry_bytes, self.stall_seconds),
            record=record,
            admitted=loop.create_future(),
            settled=loop.create_future(),
        )
        reader = Reader(call.flight)
        # One that is asked anew is newer than one on its way, and takes its place.
        if wanted.anew or self._joinable(wanted) is None:
            self._calls[wanted.key] = call
        call.task = self.tasks.start(self._fly(call, wanted, admit, ask))
        try:
            whole = await reader.read(
                down, lambda head: told(head.headers, self._own(record, head))
            )
            await asyncio.shield(call.settled)
            record.waited_seconds += self.clock.monotonic() - call.over_at
            if not whole:
                down.cut()
        finally:
            await self._leave(call, reader)
            call.opener_left = not call.settled.done()

    async def _fly(self, call: Call, wanted: Wanted, admit: Admit, ask: Ask) -> None:
        """Run a shared call: whatever happens is told to those who read."""
        flight, record = call.flight, call.record
        keep = False
        try:
            async with admit(False) as admission:  # 429, to the opener alone
                call.admitted.set_result(True)
                keep = await ask(admission, flight)
        except Exception as error:  # noqa: BLE001 - raised again in the calls of those who read
            flight.fail(error)
        except asyncio.CancelledError:
            flight.fail(InternalError())
            raise
        finally:
            if not call.admitted.done():
                call.admitted.set_result(False)
            call.over_at = self.clock.monotonic()
            call.settled.set_result(None)
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
        await asyncio.wait([call.settled, call.task], return_when=asyncio.FIRST_COMPLETED)

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

    def _present(self, record: Record, call: Call | None = None) -> Present:
        """Return what makes the head for a client that shares another's reply: nothing that was the other's."""

        def present(head: Head) -> Headers:
            record.status = head.status
            record.head_at = record.first_byte_at = self.clock.monotonic()
            if call is not None:
                record.target = call.record.target
            names = KEPT_FIELDS if head.status < 400 else _ERROR_FIELDS
            theirs = tuple(f for f in head.headers if f[0].lower() in names)
            return (*theirs, *own_fields(record, theirs, self.clock))

        return present

    def _own(self, record: Record, head: Head) -> Headers:
        return own_fields(record, head.headers, self.clock)


def _tell(record: Record, admission: Admission, status: bytes) -> None:
    record.reply_headers.extend(admission.headers)
    record.reply_headers.append((b"cache-status", b"gateway; " + status))


def _kept(entry: Entry, stall_seconds: float) -> Flight:
    """Return a kept reply as a flight that is over: a stream comes event by event, another one whole."""
    fields = {name.lower(): value for name, value in entry.headers}
    streams = fields.get(b"content-type", b"").lower().startswith(b"text/event-stream")
    whole = not streams and len(entry.body) <= PIECE_BYTES
    head = Head(
        entry.status,
        None,
        entry.headers,
        "whole" if whole else "pieces",
        None if streams else len(entry.body),
    )
    by_event = streams and b"content-encoding" not in fields
    return Flight.of(head, entry.body, stall_seconds, by_event=by_event)
