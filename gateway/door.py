"""The door of the client's listener: names each request, turns away who may not talk to this port, tells what failed.

Whoever passes goes on the journey in `handler.py`.
"""

import asyncio
import logging
import re
import secrets
from dataclasses import dataclass, field
from itertools import count

from gateway.clock import Clock
from gateway.deadlines import Deadlines
from gateway.downstream import ClientLeftError, Downstream
from gateway.endpoints import Endpoint, find
from gateway.errors import (
    GatewayError,
    InternalError,
    InvalidRequestError,
    UnavailableError,
    UpstreamFailedError,
    whereabouts,
)
from gateway.guard import Guard
from gateway.handler import Handler
from gateway.listener.connection import Connection
from gateway.listener.head import Request
from gateway.metering import Meter
from gateway.replies import send, tell
from gateway.types import Record

_WELL_FORMED_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")

log = logging.getLogger(__name__)


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


class Door:
    """Answers every request of the client's listener, whatever happens on the way."""

    def __init__(
        self,
        handler: Handler,
        *,
        guard: Guard,
        meter: Meter,
        ids: RequestIds,
        base_url: str,
        max_in_flight: int,
        clock: Clock,
        deadlines: Deadlines,
    ) -> None:
        self._handler = handler
        self._guard = guard
        self._meter = meter
        self._ids = ids
        self._base_url = base_url
        self._max_in_flight = max_in_flight
        self._clock = clock
        self._deadlines = deadlines

    async def serve(self, request: Request, connection: Connection) -> bool:
        """Answer one request, and say whether its connection may stay; what the listener calls."""
        down = Downstream(request, connection, self._deadlines)
        record, loops = self._record(request)
        with self._meter.record(record):
            try:
                if loops:
                    raise _loop()
                await self._answer(request, down, record)
            except ClientLeftError:
                record.left = "streaming" if down.begun else "waiting"
            except asyncio.CancelledError:
                record.left = "streaming" if down.begun else "waiting"
                raise
            except Exception as error:  # noqa: BLE001 - the last line: nothing of the inside may leave
                self._fail(down, record, error)
            finally:
                if not loops:
                    self._ids.in_flight.discard(record.request_id)
                record.sent_bytes = down.sent_bytes
        return down.keep_alive

    async def _answer(self, request: Request, down: Downstream, record: Record) -> None:
        line = request.line
        target = line.path_and_query
        if target is None:
            raise InvalidRequestError("The request's target cannot be read.", code="invalid_path")
        # An absolute target's authority counts as Host (RFC 9112, 3.2.2).
        host = request.text(b"host") if line.authority is None else line.authority
        self._guard.check_host(host)
        cors = self._guard.check_origin(
            request.text(b"origin"), request.text(b"sec-fetch-site"), host
        )
        record.reply_headers.extend(cors)
        if self._meter.in_flight > self._max_in_flight:
            self._meter.metrics.shed.add(("max_in_flight",))
            raise UnavailableError("The gateway has too many calls in flight.", code="overloaded")
        endpoint = find(line.path, self._base_url)
        self._meter.routed(record, endpoint.path)
        if request.method == "OPTIONS" and cors:
            wanted = request.field(b"access-control-request-headers") or b""
            send(down, record, self._clock, 204, Guard.preflight(wanted), b"")
            return
        _check_method(endpoint, request)
        await self._handler.journey(endpoint, request, target[len("/v1") :], down, record)

    def _fail(self, down: Downstream, record: Record, error: Exception) -> None:
        if not isinstance(error, GatewayError):
            _log_defect(error, record)
            error = InternalError()
        try:
            tell(down, record, self._clock, error)
        except ClientLeftError:
            record.left = "waiting"

    def _record(self, request: Request) -> tuple[Record, bool]:
        """Open a call's record under the client's own id or a new one; say whether the call is one of ours."""
        theirs = request.text(b"x-request-id")
        if theirs is not None and _WELL_FORMED_ID.fullmatch(theirs):
            request_id = theirs
        else:
            request_id = self._ids.new()
        tracer = self._meter.tracer
        loops = request_id == theirs and theirs in self._ids.in_flight
        record = Record(
            request_id=request_id,
            endpoint="other",
            method=request.method,
            started=self._clock.monotonic(),
            path=request.line.target,
            span=None if tracer is None else tracer.begin(request.fields),
        )
        return record, loops


def _check_method(endpoint: Endpoint, request: Request) -> None:
    if (request.field(b"upgrade") or b"").lower() == b"websocket":
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


def _loop() -> UpstreamFailedError:
    return UpstreamFailedError(
        "The call came back to the gateway that sent it: an upstream leads here.",
        code="loop_detected",
        headers={"x-should-retry": "false"},
    )


def _log_defect(error: Exception, record: Record) -> None:
    fields = {
        "request_id": record.request_id,
        "error": type(error).__name__,
        "where": whereabouts(error),
    }
    log.error("internal error", extra={"fields": fields})
