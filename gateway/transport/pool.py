"""The connections to an upstream: which of them takes a request, how many there are, when an idle one ends."""

import asyncio
import ssl
from collections import deque
from dataclasses import dataclass

from gateway.deadlines import Deadlines
from gateway.errors import UpstreamConnectError, UpstreamCutError, UpstreamTimeoutError
from gateway.transport import UpstreamReply
from gateway.transport.connecting import connect
from gateway.transport.framing import request_head
from gateway.transport.http1 import READ_BYTES, Connection, Origin
from gateway.types import Upload, UpstreamRequest

# Less than most servers wait; one that says `keep-alive: timeout=N` is believed.
KEEPALIVE_SECONDS = 60.0
# How long before its server would, an idle connection is closed.
KEEPALIVE_MARGIN_SECONDS = 1.0


@dataclass(frozen=True, slots=True, eq=False)
class _Waiter:
    """A request for which there is no place yet."""

    origin: Origin
    fresh: bool
    place: asyncio.Future[Connection]


class Pool:
    """Connections opened as they are needed, used again while they are good, newest first.

    Each holds one of `max_connections` places from before it is connected until it is lost. Requests that find no place
    queue; a place that becomes free goes to the first of them, so while one waits nothing is free.
    """

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
        self._buffer = memoryview(bytearray(READ_BYTES))
        self._places: set[Connection] = set()
        self._idle: dict[Connection, None] = {}
        self._waiting: deque[_Waiter] = deque()
        self._hosts: dict[Origin, bytes] = {}
        self._retired = False

    def __repr__(self) -> str:
        active = len(self._places) - len(self._idle)
        return f"<Pool [{active} active, {len(self._idle)} idle, {len(self._waiting)} waiting]>"

    async def open(self, request: UpstreamRequest, *, first_byte_seconds: float) -> UpstreamReply:
        """Send `request` and return the reply once its head is there, within `first_byte_seconds`.

        A pooled connection that turns out to be closed is replaced once, by a fresh one: no byte of a reply came
        (RFC 9112, 9.3.1). An upload, which cannot be sent twice, has a fresh one from the beginning.
        """
        until = self._deadlines.now() + first_byte_seconds
        origin = (request.scheme, request.host, request.port)
        body = request.body
        fresh = isinstance(body, Upload)
        head = request_head(request, self._hosts.get(origin) or self._host(origin))
        while True:
            connection = self._grant(origin, fresh=fresh)
            if connection is None or not connection.served:
                connection = await self._connected(connection, origin, until, fresh=fresh)
            reused = connection.served > 0
            reply = connection.begin(request.method, until)
            try:
                if isinstance(body, Upload):
                    await connection.send_upload(body, head, reply, until)
                else:
                    connection.send(head, body)
                if not reply.head_done:
                    await reply.news()
            except BaseException as error:
                reply.abort()
                stale = reused and not connection.answering and isinstance(error, UpstreamCutError)
                if not stale:
                    raise
                fresh = True
            else:
                return reply

    def retire(self) -> None:
        """Close idle connections now, and the others as their replies end."""
        self._retired = True
        for connection in list(self._idle):
            connection.abort()

    async def aclose(self) -> None:
        """Close every connection; nobody waits for one any more."""
        self._retired = True
        while self._waiting:
            place = self._waiting.popleft().place
            if not place.done():
                place.set_exception(UpstreamConnectError("the pool is closed"))
        for connection in list(self._places):
            connection.abort()

    def _host(self, origin: Origin) -> bytes:
        host = self._hosts.get(origin)
        if host is None:
            scheme, name, port = origin
            text = f"[{name}]" if ":" in name else name
            if port != (443 if scheme == "https" else 80):
                text = f"{text}:{port}"
            host = self._hosts[origin] = text.encode("ascii" if text.isascii() else "idna")
        return host

    # Places

    async def _connected(
        self, connection: Connection | None, origin: Origin, until: float, *, fresh: bool
    ) -> Connection:
        """Return a connection for one request: one that was granted or is waited for, connected."""
        if connection is None:
            connection = await self._wait(origin, until, fresh=fresh)
        if not connection.served:
            await self._connect(connection, until)
        return connection

    def _grant(self, origin: Origin, *, fresh: bool) -> Connection | None:
        """Give the newest idle connection that is good, or a place for a new one; None where nothing is free."""
        while not fresh:
            for connection in reversed(self._idle):
                if connection.origin == origin:
                    break
            else:
                break
            del self._idle[connection]
            if connection.quiet:
                return connection
            self._evict(connection)
        if len(self._places) >= self._max_connections:
            if not self._idle:
                return None
            self._evict(next(iter(self._idle)))
        connection = Connection(
            origin,
            buffer=self._buffer,
            deadlines=self._deadlines,
            idle_seconds=self._idle_seconds,
            on_free=self._freed,
            on_lost=self._lost,
        )
        self._places.add(connection)
        return connection

    async def _wait(self, origin: Origin, until: float, *, fresh: bool) -> Connection:
        place: asyncio.Future[Connection] = asyncio.get_running_loop().create_future()
        waiter = _Waiter(origin, fresh, place)

        def too_late() -> None:
            if not place.done():
                place.set_exception(UpstreamTimeoutError("no connection became free in time"))

        self._waiting.append(waiter)
        deadline = self._deadlines.watch(until - self._deadlines.now(), too_late)
        try:
            return await place
        except BaseException:
            if waiter in self._waiting:
                self._waiting.remove(waiter)
            if place.done() and not place.cancelled() and place.exception() is None:
                self._give_back(place.result())
            raise
        finally:
            deadline.drop()

    def _hand_over(self) -> None:
        """Give what is free to those who wait, first come first served."""
        while self._waiting:
            waiter = self._waiting[0]
            if not waiter.place.done():
                connection = self._grant(waiter.origin, fresh=waiter.fresh)
                if connection is None:
                    return
                waiter.place.set_result(connection)
            self._waiting.popleft()

    def _give_back(self, connection: Connection) -> None:
        """Take back what its taker, who left, has not used."""
        if connection.open:
            self._idle[connection] = None
            self._hand_over()
        else:
            connection.abort()

    async def _connect(self, connection: Connection, until: float) -> None:
        seconds = min(self._connect_seconds, until - self._deadlines.now())
        try:
            await connect(connection, ssl_context=self._ssl_context, seconds=seconds)
        except BaseException:
            connection.abort()
            raise
        if connection not in self._places:
            connection.abort()
            raise UpstreamConnectError("the connection was closed at once")

    def _freed(self, connection: Connection, keepalive_seconds: int | None) -> None:
        seconds = KEEPALIVE_SECONDS
        if keepalive_seconds is not None:
            seconds = min(seconds, keepalive_seconds - KEEPALIVE_MARGIN_SECONDS)
        if self._retired or seconds <= 0:
            connection.abort()
            return
        connection.due_at(self._deadlines.now() + seconds)
        self._idle[connection] = None
        if self._waiting:
            self._hand_over()

    def _lost(self, connection: Connection) -> None:
        if connection in self._places:
            self._forget(connection)
            self._hand_over()

    def _evict(self, connection: Connection) -> None:
        """Close a connection whose place is taken at once."""
        self._forget(connection)
        connection.abort()

    def _forget(self, connection: Connection) -> None:
        self._places.discard(connection)
        self._idle.pop(connection, None)
