"""How a connection comes about: name, addresses, TLS; and what it is called when it does not."""

import asyncio
import socket
import ssl
from collections.abc import Sequence

from gateway.errors import UpstreamConnectError, UpstreamConnectTimeoutError
from gateway.transport.http1 import Connection


async def connect(
    connection: Connection, *, ssl_context: ssl.SSLContext | None, seconds: float
) -> None:
    """Connect to its origin within `seconds`, its name's resolution and TLS included.

    Cancelling closes what was opened. Raises UpstreamConnectError, UpstreamConnectTimeoutError.
    """
    _, host, port = connection.origin
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    try:
        # Timers of their own, here and below: once a connection, not once a request.
        async with asyncio.timeout_at(end):
            found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            addresses = [str(address[0]) for *_, address in found]
            await reach(connection, addresses, ssl_context=ssl_context, end=end)
    except TimeoutError:
        raise UpstreamConnectTimeoutError(f"no connection to {host}:{port} in time") from None
    except (OSError, UnicodeError) as error:
        raise UpstreamConnectError(f"no connection to {host}:{port}: {_why(error)}") from None


async def reach(
    connection: Connection,
    addresses: Sequence[str],
    *,
    ssl_context: ssl.SSLContext | None,
    end: float,
) -> None:
    """Connect to the first of `addresses` that answers before `end`, in the loop's time.

    Each but the last has an equal share of what is left: one that swallows packets leaves time for the others.
    Without a context TLS is verified by the system's authorities. Raises OSError, TimeoutError among them.
    """
    scheme, host, port = connection.origin
    loop = asyncio.get_running_loop()
    tls = (ssl_context or True) if scheme == "https" else None
    for left, address in zip(range(len(addresses), 0, -1), addresses, strict=True):
        share = (end - loop.time()) / left
        try:
            async with asyncio.timeout(share):  # noqa: TID251
                await loop.create_connection(
                    lambda: connection,
                    address,
                    port,
                    ssl=tls,
                    server_hostname=host if tls else None,
                )
            return
        except OSError:
            # Where it is connected already, only the news of that came too late.
            if left == 1 or connection.open:
                raise


def _why(error: Exception) -> str:
    """Return what an operator can do something about."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {error.verify_message} (ca_file names who vouches)"
    if isinstance(error, ssl.SSLError):
        return f"TLS failed: {error.reason or error}"
    if isinstance(error, socket.gaierror):
        return f"its name is unknown: {error.strerror}"
    return str(getattr(error, "strerror", None) or str(error) or type(error).__name__)
