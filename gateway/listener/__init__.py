"""The clients' listener: an HTTP/1.1 server that knows nothing of what calls mean."""

from collections.abc import Awaitable, Callable

from gateway.deadlines import Deadlines
from gateway.errors import GatewayError
from gateway.listener.connection import Connection
from gateway.listener.head import HeadReader, Request


class Listener:
    """The factory and register of the client connections of one listener."""

    def __init__(
        self,
        serve: Callable[[Request, Connection], Awaitable[bool]],
        *,
        deadlines: Deadlines,
        header_seconds: float,
        keepalive_seconds: float,
        refusal: Callable[[GatewayError], bytes],
    ) -> None:
        """`serve` answers a call and says whether its connection may stay.

        `refusal` gives what is told to the client of a request that never became a call.
        """
        self.serve = serve
        self.refusal = refusal
        self.deadlines = deadlines
        self.header_seconds = header_seconds
        self.keepalive_seconds = keepalive_seconds
        self.heads = HeadReader()
        self.connections: set[Connection] = set()
        # Whether no further call is to come.
        self.draining = False

    def __call__(self) -> Connection:
        """Return the protocol of a new connection."""
        return Connection(self)

    def drain(self) -> None:
        """Close the connections on which no call is in progress, and from now on the others after their call."""
        self.draining = True
        for connection in tuple(self.connections):
            if connection.idle:
                connection.close()

    def held_bytes(self) -> list[int]:
        """Return the size of what waits to be taken by each client, in bytes."""
        transports = [c.transport for c in self.connections if c.transport is not None]
        return [transport.get_write_buffer_size() for transport in transports]

    def abort_all(self) -> None:
        """Cut every connection: what is not whole by now must not look whole."""
        for connection in tuple(self.connections):
            connection.abort()
