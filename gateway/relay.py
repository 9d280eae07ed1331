"""Asking upstreams: one after the other, with retries and fallbacks, until one gives an answer worth relaying.

Nothing has reached the client while this goes on; `copying.py` does what follows. An upstream's failure is mapped to
what a client may read here and nowhere else.
"""

import logging
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import Protocol

from gateway.clock import Clock
from gateway.errors import (
    NotRecordedError,
    RateLimitError,
    UpstreamConnectError,
    UpstreamConnectTimeoutError,
    UpstreamError,
    UpstreamFailedError,
    UpstreamProtocolError,
    UpstreamTimeoutError,
)
from gateway.headers import upward
from gateway.inflate import Inflater, content_coding
from gateway.transport import Sink, Transport, UpstreamReply
from gateway.types import Call, Headers, Record, Target, Upload
from gateway.upstreams import Upstream

# The wait before another try of the same target doubles from here.
BACKOFF_SECONDS = 0.05
# OpenAI's code for a prompt that the model's window cannot hold; a target with a larger one may answer.
TOO_LONG = "context_length_exceeded"
MAX_REFUSAL_BYTES = 65_536
# Where a client's trace is named; where calls are traced, theirs are named to upstreams instead.
TRACE_CONTEXT = frozenset({b"traceparent", b"tracestate"})

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """One upstream as the relay uses it."""

    upstream: Upstream
    transport: Transport
    # The client's own key goes up instead of one of ours.
    passthrough: bool
    retries: int
    retry_on: frozenset[str]
    first_byte_seconds: float
    idle_seconds: float
    # What must never come back: the key that we send. Empty: none.
    secret: bytes = field(repr=False)


class Health(Protocol):
    """Where the outcome of a try is noted; and what makes a target come last for a while."""

    def failed(self, target: Target) -> None:
        """Note a failure."""

    def answered(self, target: Target) -> None:
        """Note an answer."""


class Admission(Protocol):
    """The call's place within its limits, as far as upstreams have limits of their own."""

    # Why the last upstream had no room.
    upstream_refusal: RateLimitError | None

    async def take_upstream(self, upstream: str, *, last: bool) -> bool:
        """Take what limits per upstream need before a try; False: it has no room. Raises UnavailableError."""


class Counters(Protocol):
    """What the relay counts as it goes."""

    def upstream_asked(self, upstream: str, status: str) -> None:
        """Count a try and how it ended: a status, or the name of a failure."""

    def retried(self, upstream: str, reason: str) -> None:
        """Count another try of the same target."""

    def fell_back(self, model: str | None, source: str, to: str) -> None:
        """Count a step to the next target."""


@dataclass(slots=True, kw_only=True)
class Answer:
    """An upstream's reply whose head is there, and who gave it."""

    reply: UpstreamReply
    peer: Peer
    target: Target


@dataclass(frozen=True, slots=True)
class Failure:
    """A try that gave nothing to relay."""

    reason: str
    error: UpstreamFailedError


class Relay:
    """Asks upstreams in a call's name."""

    def __init__(
        self,
        peers: Mapping[str, Peer],
        health: Health,
        counters: Counters,
        clock: Clock,
        *,
        end_user_header: bytes | None = None,
    ) -> None:
        """`end_user_header`: the field in which a trusted app names its user; it stays here."""
        self._peers = peers
        self._health = health
        self._counters = counters
        self._clock = clock
        self._end_user_header = end_user_header

    async def open(
        self,
        call: Call,
        targets: Sequence[Target],
        record: Record,
        admission: Admission,
    ) -> Answer:
        """Ask `targets` in turn and return the first answer that is worth relaying.

        All tries and pauses end within the first target's `first_byte_seconds`; what a wait for an upstream's limit
        took is added to it. Raises UpstreamFailedError when there is no answer at all, RateLimitError where no
        upstream that is left has room.
        """
        until = self._clock.monotonic() + self._peers[targets[0].upstream].first_byte_seconds
        left = list(targets)
        while True:
            target = left.pop(0)
            began = self._clock.monotonic()
            has_room = await admission.take_upstream(target.upstream, last=not left)
            until += self._clock.monotonic() - began
            if not has_room:
                # Passed over like one that cools down.
                if not left and admission.upstream_refusal is not None:
                    raise admission.upstream_refusal
                continue
            outcome = await self._try(call, target, record, until)
            if isinstance(outcome, Answer) and outcome.reply.status < HTTPStatus.BAD_REQUEST:
                return outcome
            outcome = await self._try_again(
                outcome, call, target, record, until, admission, last=not left
            )
            if isinstance(outcome, Answer) and (roomier := _roomier(outcome, left)):
                outcome, left = await _unless_too_long(outcome), roomier
            if isinstance(outcome, Answer):
                return outcome
            late = self._clock.monotonic() >= until
            if not left or late or not _may_go_on(call, outcome.reason):
                raise outcome.error
            self._counters.fell_back(call.model, target.upstream, left[0].upstream)

    async def _try_again(
        self,
        outcome: Answer | Failure,
        call: Call,
        target: Target,
        record: Record,
        until: float,
        admission: Admission,
        *,
        last: bool,
    ) -> Answer | Failure:
        """Return what a target's tries come to, of which `outcome` was the first's; `last`: no other is left."""
        peer = self._peers[target.upstream]
        for attempt in range(peer.retries + 1):
            reason = outcome.reason if isinstance(outcome, Failure) else _reason(outcome)
            if reason is None:
                return outcome
            left = until - self._clock.monotonic()
            pause = BACKOFF_SECONDS * 2**attempt * random.uniform(0.5, 1.5)  # noqa: S311 - jitter, no secret
            again = attempt < peer.retries and reason in peer.retry_on and _may_go_on(call, reason)
            if again and left > pause:
                try:
                    again = await admission.take_upstream(target.upstream, last=False)
                except BaseException:
                    _give_up(outcome)
                    raise
            if not again or left <= pause:
                return _settle_for(outcome, call, reason, last=last or left <= 0)
            _give_up(outcome)
            self._counters.retried(target.upstream, reason)
            await self._clock.sleep(pause)
            record.waited_seconds += pause
            outcome = await self._try(call, target, record, until)
        raise AssertionError("unreachable")

    async def _try(
        self, call: Call, target: Target, record: Record, until: float
    ) -> Answer | Failure:
        peer = self._peers[target.upstream]
        record.target = target
        record.attempts += 1
        request = peer.upstream.request(call, target, self._crossing(call, peer, record))
        asked = self._clock.monotonic()
        try:
            reply = await peer.transport.open(request, first_byte_seconds=max(0.001, until - asked))
        except UpstreamError as error:
            log.warning("upstream %s: %s", target.upstream, error, extra=named(record))
            failure = failure_of(error)
            self._counters.upstream_asked(target.upstream, failure.reason)
            self._health.failed(target)
            return failure
        finally:
            now = self._clock.monotonic()
            record.waited_seconds += now - asked
        self._counters.upstream_asked(target.upstream, str(reply.status))
        if reply.status in (502, 503, 504):
            self._health.failed(target)
        else:
            self._health.answered(target)
        return Answer(reply=reply, peer=peer, target=target)

    def _crossing(self, call: Call, peer: Peer, record: Record) -> Headers:
        """Return the fields that go up to a peer: what may cross of the client's, and the call's names."""
        theirs = upward(
            call.headers, own_key=not peer.passthrough, end_user_header=self._end_user_header
        )
        own = (b"x-request-id", record.request_id.encode())
        if record.span is None:
            return (*theirs, own)
        kept = [field for field in theirs if field[0].lower() not in TRACE_CONTEXT]
        return (*kept, own, *record.span.fields)


def _give_up(outcome: Answer | Failure) -> None:
    if isinstance(outcome, Answer):
        outcome.reply.abort()


def _may_go_on(call: Call, reason: str) -> bool:
    """Return whether another try may follow: nothing may be created or charged twice."""
    if reason == "connect":
        return True
    if isinstance(call.body, Upload):
        return False
    # A refusal did nothing yet.
    return call.repeatable or reason in ("429", "401", TOO_LONG)


def _reason(answer: Answer) -> str | None:
    """Return why an answer is worth another try or target, None where it is what the client gets."""
    status = answer.reply.status
    if status < 400:
        return None
    if status == HTTPStatus.UNAUTHORIZED:
        return None if answer.peer.passthrough else "401"
    reason = str(status)
    return reason if reason == "429" or reason in answer.peer.retry_on else None


def _settle_for(
    outcome: Answer | Failure, call: Call, reason: str, *, last: bool
) -> Answer | Failure:
    """Return what a target's tries come to: an answer that nobody can better is relayed as it is.

    Only a refusal of *our* key is never shown to the client.
    """
    if isinstance(outcome, Failure):
        return outcome
    if reason == "401":
        outcome.reply.abort()
        return Failure(reason, _auth_failed())
    if last or not _may_go_on(call, reason):
        return outcome
    outcome.reply.abort()
    return Failure(reason, protocol_error())


def _roomier(answer: Answer, targets: Sequence[Target]) -> list[Target]:
    """Return those of `targets` known to have a larger window than one that may have found a prompt too long."""
    if answer.reply.status != HTTPStatus.BAD_REQUEST:
        return []
    known_tokens = answer.target.context_window or 0
    return [t for t in targets if t.context_window is not None and t.context_window > known_tokens]


async def _unless_too_long(answer: Answer) -> Answer | Failure:
    """Return a refusal as it came, to be relayed; a failure where it says that the prompt is too long."""
    body = bytearray()

    def take(data: bytes) -> None:
        body.extend(data)
        if len(body) > MAX_REFUSAL_BYTES:
            raise UpstreamProtocolError("a refusal without end")

    try:
        await answer.reply.copy(take)
    except UpstreamError as error:
        return failure_of(error)
    plain = b"".join(Inflater(content_coding(answer.reply.headers)).feed(bytes(body)))
    if TOO_LONG.encode() in plain:
        return Failure(TOO_LONG, protocol_error())
    return replace(answer, reply=HeldReply(answer.reply, bytes(body)))


class HeldReply:
    """A refusal whose body has been read already."""

    whole: bytes | None = None

    def __init__(self, reply: UpstreamReply, body: bytes) -> None:
        self.status = reply.status
        self.reason = reply.reason
        self.headers = reply.headers
        self.length_bytes: int | None = len(body)
        self._body = body

    async def copy(self, sink: Sink) -> None:
        """Hand the body on."""
        sink(self._body)

    def pause(self) -> None:
        """Do nothing: all of it is here."""

    def resume(self) -> None:
        """Do nothing."""

    def abort(self) -> None:
        """Do nothing: nothing is open."""


def named(record: Record) -> Mapping[str, object]:
    """Return what ties a line of the log to its call."""
    return {"fields": {"request_id": record.request_id}}


def failure_of(error: UpstreamError) -> Failure:
    """Map what a transport says to what a client may read."""
    if isinstance(error, NotRecordedError):
        missing = UpstreamFailedError(
            error.told, code="recording_not_found", status=HTTPStatus.NOT_FOUND
        )
        return Failure("404", missing)
    if isinstance(error, UpstreamConnectTimeoutError):
        return Failure("connect", _too_slow())
    if isinstance(error, UpstreamConnectError):
        unreachable = UpstreamFailedError(
            "The upstream could not be reached.", code="upstream_unreachable"
        )
        return Failure("connect", unreachable)
    if isinstance(error, UpstreamTimeoutError):
        return Failure("504", _too_slow())
    return Failure("502", protocol_error())


def _too_slow() -> UpstreamFailedError:
    return UpstreamFailedError(
        "The upstream did not answer in time.",
        code="upstream_timeout",
        status=HTTPStatus.GATEWAY_TIMEOUT,
    )


def protocol_error() -> UpstreamFailedError:
    """Return what a client reads of a reply that broke off or cannot be read."""
    return UpstreamFailedError(
        "The upstream's reply broke off or could not be read.", code="upstream_protocol_error"
    )


def _auth_failed() -> UpstreamFailedError:
    return UpstreamFailedError(
        "The upstream refused the gateway's own API key.",
        code="upstream_auth_failed",
        headers={"x-should-retry": "false"},
    )
