"""A small client of Redis's protocol: the commands of one loop tick leave in one write.

Parsing is hiredis's, the only part of that package that is used. What is said is up to `redis`.
"""

import asyncio
import ssl
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self, cast
from urllib.parse import parse_qs, unquote, urlsplit

import hiredis

from gateway.clock import Clock, Timer
from gateway.errors import StoreError

_DEFAULT_PORT = 6379

_UNFINISHED = object()

# What a command's reply is handed to: bytes, an int, a list, None; or why there is none.
OnReply = Callable[[object], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisAddress:
    """Where a server listens and who asks."""

    host: str = ""
    port: int = _DEFAULT_PORT
    # The path of a Unix socket, instead of host and port.
    path: str | None = None
    tls: bool = False
    user: str | None = None
    password: str | None = None
    database: int = 0

    @classmethod
    def from_url(cls, url: str) -> Self:
        """Read `redis://[user[:password]@]host[:port][/db]`, `rediss://…`, `unix://…/path[?db=N]`.

        Raises ValueError, which does not quote the URL: it may hold a password.
        """
        parts = urlsplit(url)
        if parts.scheme not in ("redis", "rediss", "unix"):
            raise ValueError("not a redis://, rediss:// or unix:// URL")
        user = unquote(parts.username) if parts.username else None
        password = unquote(parts.password) if parts.password else None
        if parts.scheme == "unix":
            database = parse_qs(parts.query).get("db", ["0"])[0]
            path = unquote(parts.path)
            if not path:
                raise ValueError("a unix:// URL needs the path of a socket")
            return cls(path=path, user=user, password=password, database=int(database))
        return cls(
            host=parts.hostname or "localhost",
            port=parts.port or _DEFAULT_PORT,
            tls=parts.scheme == "rediss",
            user=user,
            password=password,
            database=int(parts.path.strip("/") or "0"),
        )

    def __str__(self) -> str:
        return self.path or f"{self.host}:{self.port}"


def encode(*arguments: str | bytes) -> bytes:
    """Return a command as the protocol wants it."""
    pieces = [b"*%d\r\n" % len(arguments)]
    for argument in arguments:
        data = argument.encode() if isinstance(argument, str) else argument
        pieces.append(b"$%d\r\n%b\r\n" % (len(data), data))
    return b"".join(pieces)


class RedisConnection(asyncio.Protocol):
    """One connection, closed for good by the first reply that is late, wrong or unasked for."""

    def __init__(self, clock: Clock, timeout_seconds: float) -> None:
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._timeout_seconds = timeout_seconds
        self._transport: asyncio.Transport | None = None
        self._reader = hiredis.Reader(notEnoughData=_UNFINISHED)
        self._unsent: list[bytes] = []
        # When each reply is due, oldest first, and who waits for it.
        self._awaited: deque[tuple[float, OnReply]] = deque()
        self._timer: Timer | None = None
        # Why the connection ended; None: it is open. `lost` is done when it ended.
        self.error: StoreError | None = None
        self.lost: asyncio.Future[None] = self._loop.create_future()

    def send(self, command: bytes, on_reply: OnReply) -> None:
        """Send a command with what else is sent in this tick; `on_reply` is called exactly once.

        It gets the reply, a hiredis.ReplyError, or the StoreError that ended the connection.
        """
        if self.error is not None:
            on_reply(self.error)
            return
        if not self._unsent:
            self._loop.call_soon(self._flush)
        self._unsent.append(command)
        due = self._clock.monotonic() + self._timeout_seconds
        self._awaited.append((due, on_reply))
        if self._timer is None:
            self._timer = self._clock.call_later(self._timeout_seconds, self._check_due)

    async def call(self, *arguments: str | bytes) -> object:
        """Send one command and return its reply. Raises StoreError, also for an error reply."""
        future: asyncio.Future[object] = self._loop.create_future()

        def note(reply: object) -> None:
            if not future.done():
                future.set_result(reply)

        self.send(encode(*arguments), note)
        reply = await future
        if isinstance(reply, hiredis.ReplyError):
            raise StoreError(f"the server said: {reply}")
        if isinstance(reply, StoreError):
            raise reply
        return reply

    def close(self, error: StoreError | None = None) -> None:
        """End the connection; whoever waits for a reply is told why."""
        if self.error is not None:
            return
        self.error = error or StoreError("the connection was closed")
        if self._timer is not None:
            self._timer.cancel()
        if self._transport is not None:
            self._transport.abort()
        while self._awaited:
            self._awaited.popleft()[1](self.error)
        if not self.lost.done():  # who waited for it may have been cancelled
            self.lost.set_result(None)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Note where to write."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Hand every whole reply to who waits for it."""
        try:
            self._reader.feed(data)
            while self._awaited and (reply := self._reader.gets()) is not _UNFINISHED:
                self._awaited.popleft()[1](reply)
            # Half a reply too: the next one would be read as its rest.
            if not self._awaited and self._reader.has_data():
                self.close(StoreError("the server sent what nobody asked for"))
        except hiredis.ProtocolError as error:
            self.close(StoreError(f"the server does not speak Redis's protocol: {error}"))

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell those who wait."""
        self.close(StoreError(f"the server closed the connection: {exc or 'no reason given'}"))

    def _flush(self) -> None:
        data = b"".join(self._unsent)
        self._unsent.clear()
        if self._transport is not None and self.error is None:
            self._transport.write(data)

    def _check_due(self) -> None:
        self._timer = None
        if not self._awaited:
            return
        left = self._awaited[0][0] - self._clock.monotonic()
        if left <= 0:
            self.close(StoreError(f"no reply within {self._timeout_seconds:g} s"))
        else:
            self._timer = self._clock.call_later(left, self._check_due)


async def connect(
    address: RedisAddress, clock: Clock, *, timeout_seconds: float, connect_seconds: float
) -> RedisConnection:
    """Connect and introduce ourselves. `timeout_seconds` is for every reply from then on.

    Raises StoreError.
    """
    loop = asyncio.get_running_loop()

    def protocol() -> RedisConnection:
        return RedisConnection(clock, timeout_seconds)

    try:
        # A timer of its own: once a connection, not once a call.
        async with asyncio.timeout(connect_seconds):  # noqa: TID251
            if address.path is not None:
                _, connection = await loop.create_unix_connection(protocol, address.path)
            else:
                context = ssl.create_default_context() if address.tls else None
                _, connection = await loop.create_connection(
                    protocol, address.host, address.port, ssl=context
                )
    except TimeoutError as error:
        raise StoreError(f"no connection to {address} within {connect_seconds:g} s") from error
    except OSError as error:
        raise StoreError(f"no connection to {address}: {error}") from error
    try:
        if address.password is not None:
            who = (address.user,) if address.user else ()
            await connection.call("AUTH", *who, address.password)
        if address.database:
            await connection.call("SELECT", str(address.database))
    except StoreError:
        connection.close()
        raise
    return connection
