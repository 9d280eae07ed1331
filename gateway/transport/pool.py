"""The connections to one upstream: which of them takes a request, how many there are, when an idle one ends."""

import asyncio
import ssl
from collections import deque

from gateway.deadlines import Deadline, Deadlines
from gateway.errors import (
    UpstreamConnectError,
    UpstreamConnectTimeoutError,
    UpstreamCutError,
    UpstreamTimeoutError,
)
from gateway.transport import UpstreamReply
from gateway.transport.http1 import READ_BYTES, Connection, connect_error, request_head
from gateway.types import Upload, UpstreamRequest

# Below what servers usually allow (uvicorn's 5 s apart): one that closed meanwhile costs a second try.
KEEPALIVE_SECONDS = 60.0

Origin = tuple[str, str, int]


class Pool:
    """Connections to one upstream, opened as they are needed, used again while they are good."""

    def __init__(
        self,
        *,
        ssl_context: ssl.SSLContext | None,
        connect_seconds: float,
        idle_seconds: float,
        max_connections: int,
        deadlines: Deadlines,
    ) -> None:
        self._ssl_context = ssl_context
        self._connect_seconds = connect_seconds
        self._idle_seconds = idle_seconds
        self._max_connections = max_connections
        self._deadlines = deadlines
        self._buffer = bytearray(READ_BYTES)
        self._idle: list[Connection] = []
        # Every connection that is open or being opened holds a place.
        self._open: set[Connection] = set()
        self._opening = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._sweep: Deadline | None = None
        self._hosts: dict[Origin, bytes] = {}
        self._retired = False

    def __repr__(self) -> str:
        active = len(self._open) - len(self._idle)
        return f"<Pool [{active} active, {len(self._idle)} idle, {len(self._waiting)} waiting]>"

    async def open(self, request: UpstreamRequest, *, first_byte_seconds: float) -> UpstreamReply:
        """Send `request` and return the reply once its head is there, within `first_byte_seconds`.

        A pooled connection that turns out to be closed is replaced once, by a fresh one: no byte of a reply
        came, so the upstream did not answer (RFC 9110, 9.2.2; RFC 9112, 9.3.1).
        """
        until = self._deadlines.now() + first_byte_seconds
        head = request_head(request, self._host(request))
        connection = await self._take(request, first_byte_seconds)
        stale_is_possible = connection.served > 0 and not isinstance(request.body, Upload)
        try:
            return await connection.ask(request, head, max(0.001, until - self._deadlines.now()))
        except UpstreamCutError:
            if not stale_is_possible or connection.answering:
                raise
        connection = await self._take(request, until - self._deadlines.now(), fresh=True)
        return await connection.ask(request, head, max(0.001, until - self._deadlines.now()))

    def retire(self) -> None:
        """Close idle connections now, and the others as their replies end."""
        self._retired = True
        for connection in list(self._idle):
            connection.abort()

    async def aclose(self) -> None:
        """Close every connection."""
        self._retired = True
        for connection in list(self._open):
            connection.abort()

    def _host(self, request: UpstreamRequest) -> bytes:
        origin = (request.scheme, request.host, request.port)
        host = self._hosts.get(origin)
        if host is None:
            name = f"[{request.host}]" if ":" in request.host else request.host
            usual = 443 if request.scheme == "https" else 80
            text = name if request.port == usual else f"{name}:{request.port}"
            host = self._hosts[origin] = text.encode("idna" if not text.isascii() else "ascii")
        return host

    async def _take(
        self, request: UpstreamRequest, seconds: float, *, fresh: bool = False
    ) -> Connection:
        """Return a connection for one request: a pooled one, the newest first, or a new one."""
        waited = False
        while True:
            if self._waiting and not waited:
                await self._wait(seconds, first=False)
                waited = True
            while self._idle and not fresh:
                connection = self._idle.pop()
                if connection.open:
                    return connection
            if len(self._open) + self._opening < self._max_connections:
                return await self._connect(request, seconds)
            if self._idle:
                self._idle[0].abort()
            else:
                await self._wait(seconds, first=waited)
                waited = True

    async def _connect(self, request: UpstreamRequest, seconds: float) -> Connection:
        loop = asyncio.get_running_loop()
        secure = request.scheme == "https"
        self._opening += 1
        try:
            # A timer of its own: once a connection, not once a request.
            async with asyncio.timeout(min(self._connect_seconds, seconds)):  # noqa: TID251
                _, connection = await loop.create_connection(
                    self._connection,
                    request.host,
                    request.port,
                    ssl=self._ssl_context if secure else None,
                    server_hostname=request.host if secure else None,
                )
            self._open.add(connection)
        except TimeoutError:
            raise UpstreamConnectTimeoutError("no connection in time") from None
        except OSError as error:
            raise connect_error(error) from None
        finally:
            self._opening -= 1
            if len(self._open) + self._opening < self._max_connections:
                self._hand_over()
        if not connection.open:
            self._lost(connection)
            raise UpstreamConnectError("the connection was closed at once")
        return connection

    def _connection(self) -> Connection:
        return Connection(
            buffer=self._buffer,
            deadlines=self._deadlines,
            idle_seconds=self._idle_seconds,
            on_free=self._freed,
            on_lost=self._lost,
        )

    async def _wait(self, seconds: float, *, first: bool) -> None:
        """Wait for a place, first come first served; `first`: it waited before and lost its place to another."""
        place = asyncio.get_running_loop().create_future()
        if first:
            self._waiting.appendleft(place)
        else:
            self._waiting.append(place)

        def too_late() -> None:
            if not place.done():
                place.set_exception(UpstreamTimeoutError("no free connection"))

        deadline = self._deadlines.watch(seconds, too_late)
        try:
            await place
        except BaseException:
            if place in self._waiting:
                self._waiting.remove(place)
            elif place.done() and not place.cancelled() and place.exception() is None:
                # The place was given just as its taker left: the next one has it.
                self._hand_over()
            raise
        finally:
            deadline.drop()

    def _hand_over(self) -> None:
        while self._waiting:
            place = self._waiting.popleft()
            if not place.done():
                place.set_result(None)
                return

    def _freed(self, connection: Connection) -> None:
        if self._retired:
            connection.abort()
            return
        connection.idle_since = self._deadlines.now()
        self._idle.append(connection)
        if self._sweep is None:
            self._sweep = self._deadlines.watch(KEEPALIVE_SECONDS, self._close_idle)
        self._hand_over()

    def _lost(self, connection: Connection) -> None:
        self._open.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)
        self._hand_over()

    def _close_idle(self) -> None:
        """Close the connections that were idle for too long, and look again while there are others."""
        self._sweep = None
        oldest = self._deadlines.now() - KEEPALIVE_SECONDS
        for connection in [c for c in self._idle if c.idle_since <= oldest]:
            connection.abort()
        if self._idle:
            left = self._idle[0].idle_since - oldest
            self._sweep = self._deadlines.watch(left, self._close_idle)
