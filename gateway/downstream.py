"""The client's side of a call: its body comes in under deadlines, its reply goes out as ready-made bytes.

Nothing here knows what the bytes mean.
"""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from http import HTTPStatus
from typing import Protocol

from gateway.deadlines import Deadline, Deadlines
from gateway.errors import GatewayError, InvalidRequestError
from gateway.listener.connection import Connection
from gateway.listener.head import Request
from gateway.types import Headers

# Refusals that waiting does not cure: the SDKs would try some of them again (408, 409, 429 and every 5xx).
_FINAL = frozenset({400, 401, 403, 404, 405, 413, 415, 417, 431, 501})

_REASONS = {status.value: status.phrase.encode() for status in HTTPStatus}


class ClientLeftError(Exception):
    """The client's connection is gone: not an error of the call's, and nobody is left to tell."""


def head_bytes(
    status: int, headers: Headers, *, reason: bytes | None = None, version: bytes = b"1.1"
) -> bytes:
    """Return a reply's head as it goes on the wire; every name and value must already be clean."""
    line = b"HTTP/%b %d %b\r\n" % (version, status, reason or _REASONS.get(status, b""))
    return line + b"".join([b"%b: %b\r\n" % field for field in headers]) + b"\r\n"


def error_reply(error: GatewayError, headers: Headers, *, close: bool) -> tuple[bytes, bytes]:
    """Return the head and the body that tell a client of `error`."""
    body = error.body()
    fields = [
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(body)),
        *headers,
    ]
    # What is said of the call goes before what the error says: of the limits that refused it there may be others.
    said = {name for name, _ in headers}
    more = [(name.encode(), value.encode()) for name, value in error.headers.items()]
    fields += [field for field in more if field[0] not in said]
    if error.status in _FINAL and "x-should-retry" not in error.headers:
        fields.append((b"x-should-retry", b"false"))
    if close:
        fields.append((b"connection", b"close"))
    return head_bytes(error.status, tuple(fields)), body


class Producer(Protocol):
    """Where a reply comes from: it can be held back while the client does not keep up."""

    def pause(self) -> None:
        """Send nothing more for now."""

    def resume(self) -> None:
        """Go on."""


class Downstream:
    """One call's client: read the body once, then write a reply once."""

    def __init__(self, request: Request, connection: Connection, deadlines: Deadlines) -> None:
        self._request = request
        self._connection = connection
        self._deadlines = deadlines
        self._transport = connection.transport
        self._producer: Producer | None = None
        self._stall: Deadline | None = None
        self._stall_seconds = 0.0
        self._chunked = False
        self._begun = False
        self._waits_for_leave = False
        self._ends_with_connection = False
        self.keep_alive = request.keep_alive
        self.http10 = request.line.http10
        self.sent_bytes = 0

    @property
    def begun(self) -> bool:
        """Whether a byte of the reply has been written: it can only be finished or cut now."""
        return self._begun

    # The body

    def check_expectation(self) -> None:
        """Refuse what `Expect` may not ask for: InvalidRequestError, 417 (RFC 9110, 10.1.1)."""
        expectation = self._request.field(b"expect")
        if expectation is None or self.http10:
            return
        if expectation.lower() != b"100-continue":
            raise InvalidRequestError(
                "The Expect header may only be '100-continue'.",
                code="expectation_failed",
                status=417,
            )
        self._waits_for_leave = not self.body_whole

    def _ask_for_body(self) -> None:
        """Let a client that waits for leave send its body: whatever its head decides has been decided."""
        if self._waits_for_leave:
            self._waits_for_leave = False
            self._connection.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    async def read_body(self, max_bytes: int, timeout_seconds: float) -> bytes:
        """Return the whole body.

        Raises InvalidRequestError: 413 above `max_bytes`, 408 after `timeout_seconds`, 400 for bad framing.
        """
        request = self._request
        if (request.length_bytes or 0) > max_bytes:
            raise too_large(max_bytes)
        if request.rest is None:
            return request.body
        self._ask_for_body()
        deadline = self._deadlines.watch(timeout_seconds, self._body_too_slow)
        pieces = []
        size = 0
        try:
            while piece := await request.rest.read():
                size += len(piece)
                if size > max_bytes:
                    raise too_large(max_bytes)
                pieces.append(piece)
        finally:
            deadline.drop()
        return b"".join(pieces)

    async def pieces(self, max_bytes: int, gap_seconds: float) -> AsyncIterator[bytes]:
        """Yield the body as it comes, never more than `gap_seconds` apart.

        Raises like `read_body`.
        """
        rest = self._request.rest
        if rest is None:
            if len(self._request.body) > max_bytes:
                raise too_large(max_bytes)
            yield self._request.body
            return
        size = 0
        self._ask_for_body()
        while True:
            deadline = self._deadlines.watch(gap_seconds, self._body_too_slow)
            try:
                piece = await rest.read()
            finally:
                deadline.drop()
            if not piece:
                return
            size += len(piece)
            if size > max_bytes:
                raise too_large(max_bytes)
            yield piece

    def _body_too_slow(self) -> None:
        if self._request.rest is not None:
            self._request.rest.fail(
                InvalidRequestError(
                    "The request's body did not arrive in time.", code="request_timeout", status=408
                )
            )

    @property
    def body_whole(self) -> bool:
        """Whether every byte of the body has arrived."""
        rest = self._request.rest
        return rest is None or rest.complete

    # The reply

    def send(self, data: bytes) -> None:
        """Write a whole reply, head and body, that is ready as it stands."""
        self._write(data)

    def start(
        self, status: int, reason: bytes | None, headers: Headers, length: int | None
    ) -> None:
        """Write the head of a reply whose body comes in pieces; `length` None: framed by us."""
        framing: list[tuple[bytes, bytes]] = []
        if length is not None:
            framing.append((b"content-length", b"%d" % length))
        elif self.http10:
            self.keep_alive = False
            self._ends_with_connection = True
        else:
            self._chunked = True
            framing.append((b"transfer-encoding", b"chunked"))
        self._write(
            head_bytes(status, (*headers, *framing, *self._said_connection()), reason=reason)
        )

    def reply(self, status: int, reason: bytes | None, headers: Headers, body: bytes) -> None:
        """Write a whole reply at once."""
        fields = (*headers, (b"content-length", b"%d" % len(body)), *self._said_connection())
        self._write(head_bytes(status, fields, reason=reason) + body)

    def bodiless(self, status: int, reason: bytes | None, headers: Headers) -> None:
        """Write a reply that has no body by its nature (HEAD, 204, 304); its length stays as it was sent."""
        self._write(head_bytes(status, (*headers, *self._said_connection()), reason=reason))

    def write(self, data: bytes) -> None:
        """Write a piece of the body now, in a chunk of its own where the reply is chunked.

        Raises ClientLeftError.
        """
        if not data:
            return
        if self._chunked:
            data = b"%x\r\n%b\r\n" % (len(data), data)
        # Not by way of `_write`: this is done for each piece of a stream.
        transport = self._transport
        if transport is None or transport.is_closing():
            raise ClientLeftError
        self._begun = True
        self.sent_bytes += len(data)
        transport.write(data)

    def comment(self, data: bytes) -> None:
        """Write what is no part of the upstream's reply.

        Raises ClientLeftError.
        """
        self.write(data)

    def finish(self) -> None:
        """Say that the body is whole."""
        if self._chunked:
            self._write(b"0\r\n\r\n")

    def cut(self) -> None:
        """Abort the connection: what was sent must not look whole."""
        self.keep_alive = False
        transport = self._transport
        if transport is not None:
            if self._ends_with_connection:
                _never_in_order(transport)
            transport.abort()

    def tie(self, producer: Producer, *, stall_seconds: float) -> None:
        """Hold `producer` back while the client does not keep up; cut a client that stands still for too long."""
        self._producer = producer
        self._stall_seconds = stall_seconds
        self._connection.on_pause = self._pause
        self._connection.on_resume = self._resume
        if self._connection.writing_paused:
            self._pause()

    def untie(self) -> None:
        """Stop watching the client; harmless when nothing was tied."""
        self._producer = self._connection.on_pause = self._connection.on_resume = None
        self._drop_stall()

    @property
    def paused(self) -> bool:
        """Whether the client does not keep up."""
        return self._connection.writing_paused

    async def drained(self) -> None:
        """Return when the client has taken what was written, up to the connection's own buffer."""
        await self._connection.drained()

    def _pause(self) -> None:
        if self._producer is not None:
            self._producer.pause()
        if self._stall is None:
            self._stall = self._deadlines.watch(self._stall_seconds, self.cut)

    def _resume(self) -> None:
        self._drop_stall()
        if self._producer is not None:
            self._producer.resume()

    def _drop_stall(self) -> None:
        if self._stall is not None:
            self._stall.drop()
            self._stall = None

    def closes(self) -> bool:
        """Settle, when a reply's head is written, whether the connection ends with it; say so."""
        # What is still to come of the body is not waited for.
        if not self.body_whole or self._connection.rules.draining:
            self.keep_alive = False
        return not self.keep_alive

    def _said_connection(self) -> Headers:
        if self.closes():
            return ((b"connection", b"close"),)
        return ((b"connection", b"keep-alive"),) if self.http10 else ()

    def _write(self, data: bytes) -> None:
        transport = self._transport
        if transport is None or transport.is_closing():
            raise ClientLeftError
        self._begun = True
        self.sent_bytes += len(data)
        transport.write(data)


def _never_in_order(transport: asyncio.Transport) -> None:
    """Let a connection end by a reset (socket(7), SO_LINGER): where its end is the reply's, a plain one is a lie."""
    kernel_socket: socket.socket | None = transport.get_extra_info("socket")
    if kernel_socket is not None:
        kernel_socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def too_large(max_bytes: int) -> InvalidRequestError:
    """Return the refusal of a body above `max_bytes`."""
    return InvalidRequestError(
        f"The request is too large: at most {max_bytes} bytes are accepted.",
        code="request_too_large",
        status=413,
    )
