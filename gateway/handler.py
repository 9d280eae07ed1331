"""The journey of one call, top to bottom: start reading here.

`Handler.journey` is the whole of it in order; what each step means lives in the part that it names.
"""

import asyncio
import logging
import re
import secrets
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from urllib.parse import unquote

from aiohttp import web

from gateway import headers
from gateway.auth import Authenticator, credential, permit_model, unknown_model
from gateway.body_coding import check_content_type, inflate
from gateway.body_coding import check_content_type, inflate
from gateway.catalog import ASK_AGAIN_SECONDS, FRESH_SECONDS, Catalog
from gateway.clock import Clock
from gateway.deadlines import Deadlines
from gateway.downstream import ClientLeftError, Downstream, error_reply, too_large
from gateway.endpoints import MODEL, MODELS, Endpoint, find
from gateway.endpoints.multipart import boundary_of, read_model
from gateway.endpoints.parsing import parse
from gateway.errors import (
    GatewayError,
    InternalError,
    InvalidRequestError,
    UnavailableError,
    UpstreamFailedError,
)
from gateway.guard import Guard
from gateway.json_body import decode
from gateway.metering import Meter
from gateway.relay import Peer, Relay
from gateway.routing import Router
from gateway.transcript import Transcript
from gateway.types import Call, Headers, Record, Target, Upload

_WELL_FORMED_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What a client may take, in bytes, seconds and calls."""

    max_body_bytes: int
    max_upload_bytes: int
    body_seconds: float
    max_in_flight: int
    stream_keepalive_seconds: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """Everything that a call meets on its way, as one configuration makes it."""

    guard: Guard
    auth: Authenticator
    router: Router
    catalog: Catalog
    relay: Relay
    meter: Meter
    bounds: Bounds
    base_url: str
    end_user_header: bytes | None = None
    # A sole upstream that takes everything lists its models itself.
    relay_models: bool = False


@dataclass(slots=True)
class RequestIds:
    """Names for calls, and which of our own are in flight: one that comes back is a loop."""

    _prefix: str = field(default_factory=lambda: "req-" + secrets.token_hex(8))
    _numbers: "count[int]" = field(default_factory=count)
    in_flight: set[str] = field(default_factory=set)

    def new(self) -> str:
        """Return a name that no other call of any gateway has, and note it as in flight."""
        name = f"{self._prefix}-{next(self._numbers):x}"
        self.in_flight.add(name)
        return name


class Handler:
    """Carries calls from clients to upstreams and their replies back."""

    def __init__(self, parts: Parts, ids: RequestIds, clock: Clock, deadlines: Deadlines) -> None:
        self._parts = parts
        self._ids = ids
        self._clock = clock
        self._deadlines = deadlines

    async def serve(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request, whatever happens on the way; what the listener calls."""
        down = Downstream(request, self._deadlines)
        record, loops = self._record(request)
        with self._parts.meter.record(record):
            try:
                if loops:
                    raise _loop()
                await self._answer(request, down, record)
            except GatewayError as error:
                self._tell(down, record, error)
            except ClientLeftError:
                record.left = "streaming" if down.begun else "waiting"
            except asyncio.CancelledError:
                record.left = "streaming" if down.begun else "waiting"
                raise
            except Exception as error:  # noqa: BLE001 - the last line: nothing of the inside may leave
                _log_defect(error, record)
                self._tell(down, record, InternalError())
            finally:
                if not loops:
                    self._ids.in_flight.discard(record.request_id)
                record.sent_bytes = down.sent_bytes
        return down.done()

    async def _answer(self, request: web.BaseRequest, down: Downstream, record: Record) -> None:
        """Turn away who may not talk to this port at all; send the others on their journey."""
        parts = self._parts
        if parts.meter.in_flight > parts.bounds.max_in_flight:
            parts.meter.metrics.shed.add(("max_in_flight",))
            raise UnavailableError("The gateway has too many calls in flight.", code="overloaded")
        host, target = _host_and_target(request)
        parts.guard.check_host(host)
        cors = parts.guard.check_origin(
            request.headers.get("origin"), request.headers.get("sec-fetch-site"), host
        )
        record.reply_headers.extend(cors)
        path = target.partition("?")[0]
        endpoint = find(path, parts.base_url)
        parts.meter.routed(record, endpoint.path)
        if request.method == "OPTIONS" and cors:
            wanted = request.headers.get("access-control-request-headers", "").encode()
            self._send(down, record, 204, parts.guard.preflight((), wanted or None), b"")
            return
        _check_method(endpoint, request)
        await self.journey(endpoint, target[len("/v1") :], request, down, record)

    async def journey(
        self,
        endpoint: Endpoint,
        target: str,
        request: web.BaseRequest,
        down: Downstream,
        record: Record,
    ) -> None:
        """Carry one call to an upstream and its reply back, or raise a GatewayError."""
        parts = self._parts
        key = credential(request.raw_headers)
        user = record.user = parts.auth.identify(key)  # 401: before the body is read
        parts.auth.permit_endpoint(
            user, request.method, "/v1" + target.partition("?")[0], shareable=endpoint.shareable
        )
        if endpoint in (MODELS, MODEL) and not parts.relay_models:
            await self._models(endpoint, target, down, record)
            return
        await down.expect()
        call = record.call = await self._read(endpoint, target, key, request, down, record)
        if endpoint.names_model or call.model is not None:
            permit_model(user, call.model)  # 403
        targets = await self._targets(call)  # 404
        upward = self._upward(call, record)
        answer = await parts.relay.open(call, targets, upward, record)  # 502, 503, 504
        transcript = Transcript.of(call, answer.reply)
        try:
            await parts.relay.copy(
                answer,
                down,
                transcript,
                record,
                self._reply_headers(record, answer.reply.headers),
                head_only=request.method == "HEAD",
            )
        finally:  # also when the client leaves
            record.usage = transcript.usage()
            record.status = answer.reply.status

    async def _read(
        self,
        endpoint: Endpoint,
        target: str,
        key: str | None,
        request: web.BaseRequest,
        down: Downstream,
        record: Record,
    ) -> Call:
        """Take the request's body: held and judged where it is JSON, else streamed up as it comes."""
        bounds = self._parts.bounds
        content_type = request.headers.get("content-type")
        if endpoint.body == "json":
            check_content_type(content_type)
        elif not request.body_exists:
            return self._unread(endpoint, target, key, request, b"")
        elif not _is_json(content_type):
            return await self._upload(endpoint, target, key, request, down)
        waited = self._clock.monotonic()
        body = await down.read_body(bounds.max_body_bytes, bounds.body_seconds)
        record.waited_seconds += self._clock.monotonic() - waited
        coding = request.headers.get("content-encoding")
        plain = None
        if coding is not None:
            # Inflating lets the other calls go on: it may take milliseconds.
            plain = await asyncio.to_thread(inflate, body, coding, bounds.max_body_bytes)
        return parse(
            endpoint,
            method=request.method,
            target=target,
            headers=request.raw_headers,
            body=body,
            plain=plain,
            payload=decode(body if plain is None else plain),
            credential=key,
        )

    async def _upload(
        self,
        endpoint: Endpoint,
        target: str,
        key: str | None,
        request: web.BaseRequest,
        down: Downstream,
    ) -> Call:
        """Take a body that is streamed up; of a form, read along which model it is for."""
        bounds = self._parts.bounds
        length = down.announced_length()
        if length is not None and length > bounds.max_upload_bytes:
            raise too_large(bounds.max_upload_bytes)
        pieces = down.pieces(bounds.max_upload_bytes, bounds.body_seconds)
        boundary = boundary_of(request.headers.get("content-type"))
        model = None
        if boundary is not None:
            model, pieces = await read_model(pieces, boundary)
        upload = Upload(pieces=pieces, length_bytes=length)
        return self._unread(endpoint, target, key, request, upload, model)

    def _unread(
        self,
        endpoint: Endpoint,
        target: str,
        key: str | None,
        request: web.BaseRequest,
        body: bytes | Upload,
        model: str | None = None,
    ) -> Call:
        return Call(
            endpoint=endpoint.path,
            method=request.method,
            target=target,
            headers=request.raw_headers,
            body=body,
            model=model,
            credential=key,
            repeatable=endpoint.repeatable or request.method in ("GET", "HEAD"),
        )

    async def _targets(self, call: Call) -> tuple[Target, ...]:
        """Return where the call may go, asking the upstreams for their lists where a name is new."""
        parts = self._parts
        targets = parts.router.targets(call.model)
        if not targets:
            await parts.catalog.refresh(parts.router.names, max_age_seconds=ASK_AGAIN_SECONDS)
            targets = parts.router.targets(call.model)
        if not targets:
            raise unknown_model(call.model or "")
        return targets

    async def _models(
        self, endpoint: Endpoint, target: str, down: Downstream, record: Record
    ) -> None:
        """Answer which models this caller may use, from what is configured and what is listed."""
        parts = self._parts
        user = record.user
        if user is None:
            raise InternalError
        await parts.catalog.refresh(parts.router.names, max_age_seconds=FRESH_SECONDS)
        if endpoint is MODELS:
            body = parts.catalog.listing(user)
        else:
            name = unquote(target.partition("?")[0].removeprefix("/models/"))
            one = parts.catalog.one(user, name)
            if one is None:
                raise unknown_model(name)
            body = one
        self._send(down, record, 200, ((b"content-type", b"application/json"),), body)

    def _upward(self, call: Call, record: Record) -> Callable[[Peer], Headers]:
        """Return what gives the headers that may cross to a peer, filtered once for each kind of key."""
        own: Headers = ((b"x-request-id", record.request_id.encode()),)
        done: dict[bool, Headers] = {}

        def upward(peer: Peer) -> Headers:
            crossing = done.get(peer.passthrough)
            if crossing is None:
                crossing = done[peer.passthrough] = (
                    *headers.upward(
                        call.headers,
                        own_key=not peer.passthrough,
                        end_user_header=self._parts.end_user_header,
                    ),
                    *own,
                )
            return crossing

        return upward

    def _reply_headers(self, record: Record, theirs: Headers) -> Headers:
        """Return the gateway's own fields of a relayed reply."""
        request_id = record.request_id.encode()
        own = [(b"x-gateway-request-id", request_id)]
        if not any(name.lower() == b"x-request-id" for name, _ in theirs):
            own.append((b"x-request-id", request_id))
        if record.target is not None:
            own.append((b"x-gateway-upstream", record.target.upstream.encode()))
        spent = self._clock.monotonic() - record.started - record.waited_seconds
        own.append((b"server-timing", b"gateway;dur=%.2f" % (max(0.0, spent) * 1000)))
        return (*own, *record.reply_headers)

    def _send(
        self, down: Downstream, record: Record, status: int, fields: Headers, body: bytes
    ) -> None:
        """Send a reply of the gateway's own."""
        record.status = status
        down.reply(status, None, (*fields, *self._reply_headers(record, ())), body)

    def _tell(self, down: Downstream, record: Record, error: GatewayError) -> None:
        """Tell the client what went wrong; where its reply has begun, cut it."""
        record.error_code = error.label
        if down.begun:
            down.cut()
            return
        record.status = error.status
        if not down.body_whole or record.method == "CONNECT":
            down.keep_alive = False
        head, body = error_reply(error, self._reply_headers(record, ()), close=not down.keep_alive)
        try:
            down.send(head if record.method == "HEAD" else head + body)
        except ClientLeftError:
            record.left = "waiting"

    def _record(self, request: web.BaseRequest) -> tuple[Record, bool]:
        """Open a call's record under the client's own id or a new one; say whether the call is one of ours."""
        theirs = request.headers.get("x-request-id")
        if theirs is not None and _WELL_FORMED_ID.fullmatch(theirs):
            request_id = theirs
        else:
            request_id = self._ids.new()
        loops = request_id == theirs and theirs in self._ids.in_flight
        record = Record(
            request_id=request_id,
            endpoint="other",
            method=request.method,
            started=self._clock.monotonic(),
        )
        return record, loops


def _host_and_target(request: web.BaseRequest) -> tuple[str | None, str]:
    """Return the Host and the path with query; an absolute target's authority counts as Host (RFC 9112, 3.2.2)."""
    target = request.raw_path
    host = request.headers.get("host")
    if target.startswith("/") or target == "*":
        return host, target
    scheme, separator, rest = target.partition("://")
    if not separator or scheme.lower() not in ("http", "https"):
        raise InvalidRequestError("The request's target cannot be read.", code="invalid_path")
    authority, slash, path = rest.partition("/")
    return authority, slash + path


def _check_method(endpoint: Endpoint, request: web.BaseRequest) -> None:
    if request.headers.get("upgrade", "").lower() == "websocket":
        raise InvalidRequestError(
            "WebSockets are not supported here.", code="not_supported", status=501
        )
    if request.method not in endpoint.methods:
        allowed = ", ".join(endpoint.methods)
        raise InvalidRequestError(
            f"Not allowed to {request.method} on {endpoint.path}. (HINT: allowed: {allowed})",
            code="method_not_allowed",
            status=405,
            headers={"allow": allowed},
        )


def _is_json(content_type: str | None) -> bool:
    kind = (content_type or "").partition(";")[0].strip().lower()
    return kind == "application/json" or kind.endswith("+json")


def _loop() -> UpstreamFailedError:
    return UpstreamFailedError(
        "The call came back to the gateway that sent it: an upstream leads here.",
        code="loop_detected",
        headers={"x-should-retry": "false"},
    )


def _log_defect(error: Exception, record: Record) -> None:
    # Where it happened, without the values: a message may quote a prompt or a key.
    frames = traceback.extract_tb(error.__traceback__)
    where = " < ".join(f"{f.name}:{f.lineno}" for f in reversed(frames))
    fields = {"request_id": record.request_id, "error": type(error).__name__, "where": where}
    log.error("internal error", extra={"fields": fields})
