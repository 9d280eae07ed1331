"""How a connection comes about: name, addresses, TLS; and what it is called when it does not."""

import asyncio
import socket
import ssl

from gateway.errors import UpstreamConnectError, UpstreamConnectTimeoutError
from gateway.transport.http1 import Connection


async def connect(
    connection: Connection, *, ssl_context: ssl.SSLContext | None, seconds: float
) -> None:
    """Connect to the first address of the origin's name that answers, within `seconds`.

    Each address but the last has an equal share of the time that is left: one that swallows packets leaves some to the
    others. Without a context TLS is verified by the system's authorities. Cancelling closes what was opened.
    Raises UpstreamConnectError, UpstreamConnectTimeoutError.
    """
    scheme, host, port = connection.origin
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    tls = (ssl_context or True) if scheme == "https" else None
    try:
        # Timers of their own: once a connection, not once a request.
        async with asyncio.timeout_at(end):
            found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            for left in range(len(found), 0, -1):
                address = found[-left][4]
                share = (end - loop.time()) / left
                try:
                    async with asyncio.timeout(share if left > 1 else None):  # noqa: TID251
                        await loop.create_connection(
                            lambda: connection,
                            str(address[0]),
                            port,
                            ssl=tls,
                            server_hostname=host if tls else None,
                        )
                    return
                except OSError:
                    # TimeoutError is one. After the last address, or once bytes may have gone, there is no other.
                    if left == 1 or connection.open:
                        raise
    except TimeoutError:
        raise UpstreamConnectTimeoutError(f"no connection to {host}:{port} in time") from None
    except (OSError, UnicodeError) as error:
        raise UpstreamConnectError(f"no connection to {host}:{port}: {_why(error)}") from None


def _why(error: Exception) -> str:
    """Return what an operator can do something about."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {error.verify_message} (ca_file names who vouches)"
    if isinstance(error, ssl.SSLError):
        return f"TLS failed: {error.reason or error}"
    if isinstance(error, socket.gaierror):
        return f"its name is unknown: {error.strerror}"
    return str(getattr(error, "strerror", None) or str(error) or type(error).__name__)
