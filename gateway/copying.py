"""The only place where a reply's bytes cross: parsed strictly before they come here, written at once, then noted.

Read upstream and write downstream fail under different names: `UpstreamError` there, `ClientLeftError` here. A break
before the first byte is a real status; after it the client's connection is cut, so that the reply never looks whole.
"""

import contextlib
import logging
from typing import Protocol

from gateway.clock import Clock
from gateway.deadlines import Deadlines
from gateway.downstream import ClientLeftError, Producer
from gateway.errors import UpstreamError, UpstreamFailedError
from gateway.headers import downward
from gateway.inflate import Inflater, content_coding
from gateway.relay import Answer, Health, failure_of, named
from gateway.types import Headers, Record

# A whole reply up to this size is held until it is whole, so that a cut is a 502 and not a broken reply.
HOLD_BYTES = 65_536
# What tells a client, and what stands between them, that a silent stream is alive (an SSE comment).
KEEPALIVE = b": keep-alive\n\n"

log = logging.getLogger(__name__)


class Transcript(Protocol):
    """What notes a reply as it passes."""

    def feed(self, data: bytes) -> None:
        """Note the next bytes."""

    def finish(self) -> None:
        """Note that the reply ended as its framing says."""


class Client(Protocol):
    """Where a reply is written: one client's side of a call, or what several clients read."""

    @property
    def begun(self) -> bool:
        """Whether a byte of the reply has been written."""

    @property
    def paused(self) -> bool:
        """Whether the client does not keep up."""

    def tie(self, producer: Producer, *, stall_seconds: float) -> None:
        """Hold `producer` back while the client does not keep up."""

    def untie(self) -> None:
        """Stop watching the client."""

    def start(
        self, status: int, reason: bytes | None, headers: Headers, length: int | None
    ) -> None:
        """Write the head of a reply whose body comes in pieces."""

    def reply(self, status: int, reason: bytes | None, headers: Headers, body: bytes) -> None:
        """Write a whole reply."""

    def bodiless(self, status: int, reason: bytes | None, headers: Headers) -> None:
        """Write a reply without a body."""

    def write(self, data: bytes) -> None:
        """Write a piece of the body."""

    def comment(self, data: bytes) -> None:
        """Write what is no part of the upstream's reply."""

    def finish(self) -> None:
        """Say that the body is whole."""

    def cut(self) -> None:
        """Abort: what was written must not look whole."""

    async def drained(self) -> None:
        """Return when the client has taken what was written."""


class StreamFilter(Protocol):
    """What takes out of a stream of events what its client is not to read."""

    def feed(self, data: bytes) -> bytes:
        """Take the next bytes; return what may go on now."""

    def finish(self) -> bytes:
        """Return what is left at the end."""


class Number(Protocol):
    """A number that is shown somewhere."""

    value: float


class Copying:
    """Copies replies to clients, under one configuration's rules."""

    def __init__(
        self,
        health: Health,
        clock: Clock,
        deadlines: Deadlines,
        *,
        keepalive_seconds: float | None,
        streams: Number,
    ) -> None:
        """`streams`: how many streamed replies are on their way."""
        self._health = health
        self._streams = streams
        self._clock = clock
        self._deadlines = deadlines
        self._keepalive_seconds = keepalive_seconds

    async def copy(
        self,
        answer: Answer,
        down: Client,
        transcript: Transcript,
        record: Record,
        extra: Headers,
        *,
        head_only: bool,
        unasked: StreamFilter | None = None,
    ) -> bool:
        """Copy the reply to the client and return whether it is whole; `extra` are the gateway's own header fields.

        `unasked` takes out of a stream what only the gateway asked for.

        Raises UpstreamFailedError while nothing has been sent; after a later break, which `record.error_code`
        tells, the client is still to be cut: that ends its call's task. Raises ClientLeftError.
        """
        reply, peer = answer.reply, answer.peer
        copier = _Copier(answer, down, transcript, record, extra, self._clock, head_only=head_only)
        if unasked is not None and copier.is_plain_stream:
            copier.unasked = unasked
        if self._keepalive_seconds is not None and copier.takes_comments:
            copier.keepalive = _Keepalive(down, self._deadlines, self._keepalive_seconds)
        began = self._clock.monotonic()
        streamed = record.call is not None and record.call.stream
        self._streams.value += streamed
        try:
            down.tie(reply, stall_seconds=peer.idle_seconds)
            copier.begin()
            await reply.copy(copier.take)
            copier.end()
            transcript.finish()
            if down.paused:
                await down.drained()
            return True
        except UpstreamError as error:
            log.warning("upstream %s: %s", answer.target.upstream, error, extra=named(record))
            failure = failure_of(error)
            self._health.failed(answer.target)
            if not down.begun:
                raise failure.error from None
            record.error_code = failure.error.code
            return False
        finally:
            self._streams.value -= streamed
            if copier.keepalive is not None:
                copier.keepalive.stop()
            down.untie()
            reply.abort()
            record.waited_seconds += self._clock.monotonic() - began


class _Copier:
    """Takes a reply's pieces: parsed strictly before they come here, written at once, then noted."""

    def __init__(
        self,
        answer: Answer,
        down: Client,
        transcript: Transcript,
        record: Record,
        extra: Headers,
        clock: Clock,
        *,
        head_only: bool,
    ) -> None:
        self._reply = answer.reply
        self._secret = answer.peer.secret
        self._down = down
        self._transcript = transcript
        self._record = record
        self._clock = clock
        self._headers = told(answer.reply.headers, extra)
        self._head_only = head_only
        self._held: list[bytes] | None = None
        self._held_bytes = 0
        self.keepalive: _Keepalive | None = None
        self.unasked: StreamFilter | None = None

    @property
    def takes_comments(self) -> bool:
        """Whether a comment may stand between what the upstream sends: a plain event stream, framed by us."""
        return self._reply.length_bytes is None and self.is_plain_stream

    @property
    def is_plain_stream(self) -> bool:
        """Whether the reply is a stream of events that can be read as it comes."""
        fields = {name.lower(): value for name, value in self._reply.headers}
        return (
            fields.get(b"content-type", b"").startswith(b"text/event-stream")
            and fields.get(b"content-encoding", b"identity") == b"identity"
            and self._reply.status < 400
        )

    def begin(self) -> None:
        """Hold a short or failed reply until it is whole; send the head of any other now."""
        reply = self._reply
        self._check_headers()
        if self._head_only or reply.status in (204, 304):
            self._down.bodiless(reply.status, reply.reason, self._with_length())
            self._held = None
        elif reply.status >= 400 or (
            reply.length_bytes is not None and reply.length_bytes <= HOLD_BYTES
        ):
            self._held = []
        else:
            self._start()

    def take(self, data: bytes) -> None:
        """Pass a piece on."""
        if self._record.first_byte_at is None:
            self._record.first_byte_at = self._clock.monotonic()
        if self._held is None:
            self._pass(data)
            return
        self._held.append(data)
        self._held_bytes += len(data)
        if self._held_bytes > HOLD_BYTES:
            held = self._release()
            self._start()
            self._pass(held)

    def _pass(self, data: bytes) -> None:
        sent = data if self.unasked is None else self.unasked.feed(data)
        if sent:
            self._down.write(sent)
            if self.keepalive is not None:
                self.keepalive.note(sent)
        self._transcript.feed(data)

    def end(self) -> None:
        """Say that the reply is whole."""
        if self._head_only or self._reply.status in (204, 304):
            return
        if self._held is None:
            if self.unasked is not None:
                self._down.write(self.unasked.finish())
            self._down.finish()
            return
        held = self._release()
        sent = held
        if self.unasked is not None:
            sent = self.unasked.feed(held) + self.unasked.finish()
        self._down.reply(self._reply.status, self._reply.reason, self._headers, sent)
        self._transcript.feed(held)

    def _start(self) -> None:
        reply = self._reply
        # What will be taken out is not known yet.
        length = reply.length_bytes if self.unasked is None else None
        self._down.start(reply.status, reply.reason, self._headers, length)

    def _release(self) -> bytes:
        held = b"".join(self._held or ())
        self._held = None
        if self._reply.status >= 400 and self._secret:
            self._check_body(held)
        return held

    def _with_length(self) -> Headers:
        # What a GET would have got (RFC 9110, 8.6).
        length = next((f for f in self._reply.headers if f[0].lower() == b"content-length"), None)
        return self._headers if length is None else (*self._headers, length)

    def _check_headers(self) -> None:
        # Joined by what no key can hold, which is searched once.
        values = [self._reply.reason, *[value for _, value in self._reply.headers]]
        if self._secret and self._secret in b"\n".join(values):
            raise _leak()

    def _check_body(self, body: bytes) -> None:
        plain = b"".join(Inflater(content_coding(self._reply.headers)).feed(body))
        if self._secret in body or self._secret in plain:
            raise _leak()


class _Keepalive:
    """Writes a comment between the events of a stream while its upstream is silent."""

    def __init__(self, down: Client, deadlines: Deadlines, seconds: float) -> None:
        self._down = down
        self._deadlines = deadlines
        self._seconds = seconds
        # The end of what was sent: an event ends with an empty line, in any of SSE's three line ends.
        self._tail = b"\n\n"
        self._deadline = deadlines.watch(seconds, self._silent)

    def note(self, data: bytes) -> None:
        """Note what was sent: the silence begins anew."""
        self._tail = (self._tail + data[-4:])[-4:]
        self._deadline.extend(self._seconds)

    def stop(self) -> None:
        """Write no more."""
        self._deadline.drop()

    def _silent(self) -> None:
        self._deadline = self._deadlines.watch(self._seconds, self._silent)
        if self._tail.endswith((b"\n\n", b"\r\n\r\n", b"\r\r")) and not self._down.paused:
            # A client that left is found by whoever waits for the upstream.
            with contextlib.suppress(ClientLeftError):
                self._down.comment(KEEPALIVE)


def told(theirs: Headers, own: Headers) -> Headers:
    """Return what a client is told of the fields `theirs` of an upstream, and our `own`.

    Where the gateway says who may read a reply, and how much is left, the upstream does not.
    """
    own_limits = own_cors = False
    for name, _ in own:
        own_limits |= name.startswith(b"x-ratelimit-")
        own_cors |= name == b"access-control-allow-origin"
    return (*downward(theirs, own_limits=own_limits, own_cors=own_cors), *own)


def _leak() -> UpstreamFailedError:
    return UpstreamFailedError(
        "The upstream's reply held a secret of the gateway's and was withheld.",
        code="upstream_protocol_error",
    )
