"""The only place where bytes cross: ask an upstream, with retries and fallbacks before the first byte; then copy.

An upstream's failure is mapped to what the client may read here and nowhere else. Read upstream and write downstream
fail under different names: `UpstreamError` there, `ClientLeftError` here.
"""

import logging
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Protocol

from gateway.clock import Clock
from gateway.downstream import ClientLeftError, Downstream
from gateway.errors import (
    UpstreamConnectError,
    UpstreamConnectTimeoutError,
    UpstreamError,
    UpstreamFailedError,
    UpstreamTimeoutError,
)
from gateway.headers import downward
from gateway.inflate import Inflater
from gateway.transport import Transport, UpstreamReply
from gateway.types import Call, Headers, Record, Target, Upload
from gateway.upstreams import Upstream

# A whole reply up to this size is held until it is whole, so that a cut is a 502 and not a broken reply.
HOLD_BYTES = 65_536
# The wait before another try of the same target doubles from here.
BACKOFF_SECONDS = 0.05

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


class Counters(Protocol):
    """What the relay counts as it goes."""

    def upstream_asked(self, upstream: str, status: str) -> None:
        """Count a try and how it ended: a status, or the name of a failure."""

    def retried(self, upstream: str, reason: str) -> None:
        """Count another try of the same target."""

    def fell_back(self, model: str | None, source: str, to: str) -> None:
        """Count a step to the next target."""


class Transcript(Protocol):
    """What notes a reply as it passes."""

    def feed(self, data: bytes) -> None:
        """Note the next bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An upstream's reply whose head is there, and who gave it."""

    reply: UpstreamReply
    peer: Peer
    target: Target


@dataclass(frozen=True, slots=True)
class _Failure:
    """A try that gave nothing to relay."""

    reason: str
    error: UpstreamFailedError


class Relay:
    """Asks upstreams and copies their replies to clients."""

    def __init__(
        self, peers: Mapping[str, Peer], health: Health, counters: Counters, clock: Clock
    ) -> None:
        self._peers = peers
        self._health = health
        self._counters = counters
        self._clock = clock

    async def open(
        self,
        call: Call,
        targets: Sequence[Target],
        upward: Callable[[Peer], Headers],
        record: Record,
    ) -> Answer:
        """Ask `targets` in turn and return the first answer that is worth relaying.

        `upward` gives the client's headers that may cross to a peer. All tries and waits end within the first
        target's `first_byte_seconds`. Raises UpstreamFailedError when there is no answer at all.
        """
        until = self._clock.monotonic() + self._peers[targets[0].upstream].first_byte_seconds
        failure: _Failure | None = None
        for position, target in enumerate(targets):
            last = position == len(targets) - 1
            outcome = await self._try_target(call, target, upward, record, until, last=last)
            if isinstance(outcome, Answer):
                return outcome
            failure = outcome
            if last or not _may_go_on(call, failure.reason) or self._clock.monotonic() >= until:
                break
            self._counters.fell_back(call.model, target.upstream, targets[position + 1].upstream)
        if failure is None:
            raise ValueError("a call needs a target")
        raise failure.error

    async def _try_target(
        self,
        call: Call,
        target: Target,
        upward: Callable[[Peer], Headers],
        record: Record,
        until: float,
        *,
        last: bool,
    ) -> Answer | _Failure:
        peer = self._peers[target.upstream]
        for attempt in range(peer.retries + 1):
            outcome = await self._try_once(call, target, peer, upward(peer), record, until)
            reason = outcome.reason if isinstance(outcome, _Failure) else _reason(outcome)
            if reason is None:
                return outcome
            left = until - self._clock.monotonic()
            pause = BACKOFF_SECONDS * 2**attempt * random.uniform(0.5, 1.5)  # noqa: S311 - jitter, no secret
            again = attempt < peer.retries and reason in peer.retry_on and _may_go_on(call, reason)
            if not again or left <= pause:
                return _settle_for(outcome, call, reason, last=last or left <= 0)
            if isinstance(outcome, Answer):
                outcome.reply.abort()
            self._counters.retried(target.upstream, reason)
            await self._clock.sleep(pause)
        raise AssertionError("unreachable")

    async def _try_once(
        self,
        call: Call,
        target: Target,
        peer: Peer,
        headers: Headers,
        record: Record,
        until: float,
    ) -> Answer | _Failure:
        record.target = target
        record.attempts += 1
        request = peer.upstream.request(call, target, headers)
        asked = self._clock.monotonic()
        try:
            reply = await peer.transport.open(request, first_byte_seconds=max(0.001, until - asked))
        except UpstreamError as error:
            log.warning("upstream %s: %s", target.upstream, error)
            failure = _failure(error)
            self._counters.upstream_asked(target.upstream, failure.reason)
            self._health.failed(target)
            return failure
        finally:
            record.head_at = self._clock.monotonic()
            record.waited_seconds += record.head_at - asked
        self._counters.upstream_asked(target.upstream, str(reply.status))
        if reply.status in (502, 503, 504):
            self._health.failed(target)
        else:
            self._health.answered(target)
        return Answer(reply=reply, peer=peer, target=target)

    async def copy(
        self,
        answer: Answer,
        down: Downstream,
        transcript: Transcript,
        record: Record,
        extra: Headers,
        *,
        head_only: bool,
    ) -> None:
        """Copy the reply to the client; `extra` are the gateway's own header fields.

        Raises UpstreamFailedError while nothing has been sent; later a break cuts the client's connection and
        is told by `record.error_code`. Raises ClientLeftError.
        """
        reply, peer = answer.reply, answer.peer
        copier = _Copier(answer, down, transcript, record, extra, self._clock, head_only=head_only)
        began = self._clock.monotonic()
        try:
            down.tie(reply, stall_seconds=peer.idle_seconds)
            copier.begin()
            await reply.copy(copier.take)
            copier.end()
            await down.drained()
        except UpstreamError as error:
            log.warning("upstream %s: %s", answer.target.upstream, error)
            failure = _failure(error)
            self._health.failed(answer.target)
            if not down.begun:
                raise failure.error from None
            record.error_code = failure.error.code
            down.cut()
        finally:
            down.untie()
            reply.abort()
            record.waited_seconds += self._clock.monotonic() - began


class _Copier:
    """Takes a reply's pieces: parsed strictly before they come here, written at once, then noted."""

    def __init__(
        self,
        answer: Answer,
        down: Downstream,
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
        self._headers = (*downward(answer.reply.headers), *extra)
        self._head_only = head_only
        self._held: list[bytes] | None = None
        self._held_bytes = 0

    def begin(self) -> None:
        """Hold a short or failed reply until it is whole; send the head of any other now."""
        reply = self._reply
        self._check_headers()
        if self._head_only or reply.status in (204, 304):
            self._down.bodiless(reply.status, reply.reason, self._with_length())
            self._held = None
        elif reply.status >= HTTPStatus.BAD_REQUEST or (
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
            self._down.write(data)
            self._transcript.feed(data)
            return
        self._held.append(data)
        self._held_bytes += len(data)
        if self._held_bytes > HOLD_BYTES:
            held = self._release()
            self._start()
            self._down.write(held)
            self._transcript.feed(held)

    def end(self) -> None:
        """Say that the reply is whole."""
        if self._head_only or self._reply.status in (204, 304):
            return
        if self._held is None:
            self._down.finish()
            return
        held = self._release()
        self._down.reply(self._reply.status, self._reply.reason, self._headers, held)
        self._transcript.feed(held)

    def _start(self) -> None:
        reply = self._reply
        self._down.start(reply.status, reply.reason, self._headers, reply.length_bytes)

    def _release(self) -> bytes:
        held = b"".join(self._held or ())
        self._held = None
        if self._reply.status >= HTTPStatus.BAD_REQUEST and self._secret:
            self._check_body(held)
        return held

    def _with_length(self) -> Headers:
        # What a GET would have got (RFC 9110, 8.6).
        length = next((f for f in self._reply.headers if f[0].lower() == b"content-length"), None)
        return self._headers if length is None else (*self._headers, length)

    def _check_headers(self) -> None:
        if self._secret and any(self._secret in value for _, value in self._reply.headers):
            raise _leak()

    def _check_body(self, body: bytes) -> None:
        coding = next(
            (v for n, v in self._reply.headers if n.lower() == b"content-encoding"), b"identity"
        )
        plain = Inflater(coding.decode("latin-1")).feed(body)
        if self._secret in body or self._secret in plain:
            raise _leak()


def _may_go_on(call: Call, reason: str) -> bool:
    """Return whether another try may follow: nothing may be created or charged twice."""
    if reason == "connect":
        return True
    if isinstance(call.body, Upload):
        return False
    return call.repeatable or reason in ("429", "401")


def _reason(answer: Answer) -> str | None:
    """Return why an answer is worth another try or target, None where it is what the client gets."""
    status = answer.reply.status
    if status == HTTPStatus.UNAUTHORIZED:
        return None if answer.peer.passthrough else "401"
    reason = str(status)
    return reason if reason == "429" or reason in answer.peer.retry_on else None


def _settle_for(
    outcome: Answer | _Failure, call: Call, reason: str, *, last: bool
) -> Answer | _Failure:
    """Return what a target's tries come to: an answer that nobody can better is relayed as it is.

    Only a refusal of *our* key is never shown to the client.
    """
    if isinstance(outcome, _Failure):
        return outcome
    if reason == "401":
        outcome.reply.abort()
        return _Failure(reason, _auth_failed())
    if last or not _may_go_on(call, reason):
        return outcome
    outcome.reply.abort()
    return _Failure(reason, _protocol_error())


def _failure(error: UpstreamError) -> _Failure:
    """Map what a transport says to what a client may read."""
    if isinstance(error, UpstreamConnectTimeoutError):
        return _Failure("connect", _too_slow())
    if isinstance(error, UpstreamConnectError):
        unreachable = UpstreamFailedError(
            "The upstream could not be reached.", code="upstream_unreachable"
        )
        return _Failure("connect", unreachable)
    if isinstance(error, UpstreamTimeoutError):
        return _Failure("504", _too_slow())
    return _Failure("502", _protocol_error())


def _too_slow() -> UpstreamFailedError:
    return UpstreamFailedError(
        "The upstream did not answer in time.",
        code="upstream_timeout",
        status=HTTPStatus.GATEWAY_TIMEOUT,
    )


def _protocol_error() -> UpstreamFailedError:
    return UpstreamFailedError(
        "The upstream's reply broke off or could not be read.", code="upstream_protocol_error"
    )


def _auth_failed() -> UpstreamFailedError:
    return UpstreamFailedError(
        "The upstream refused the gateway's own API key.",
        code="upstream_auth_failed",
        headers={"x-should-retry": "false"},
    )


def _leak() -> UpstreamFailedError:
    return UpstreamFailedError(
        "The upstream's reply held a secret of the gateway's and was withheld.",
        code="upstream_protocol_error",
    )


__all__ = ["Answer", "ClientLeftError", "Counters", "Health", "Peer", "Relay", "Transcript"]
