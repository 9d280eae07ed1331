"""Listening at an address: a TCP port, or a Unix socket that a killed gateway may have left."""

import asyncio
import errno
import socket
from collections.abc import Callable
from pathlib import Path

from gateway.config_types import ListenAddress, UnixAddress
from gateway.errors import StartError


async def bind(
    protocol_factory: Callable[[], asyncio.BaseProtocol] | None, address: ListenAddress
) -> tuple[asyncio.Server, str]:
    """Listen at `address`; return the listener and the URL at which it is reached. Raises StartError."""
    if protocol_factory is None:
        raise StartError("the admin listener could not be made")
    loop = asyncio.get_running_loop()
    try:
        if isinstance(address, UnixAddress):
            _remove_stale_socket(address.path)
            return await loop.create_unix_server(protocol_factory, address.path), str(address)
        listener = await loop.create_server(
            protocol_factory, address.host, address.port, backlog=2048
        )
    except OSError as error:
        raise StartError(f"cannot listen at {address}: {error.strerror or error}") from None
    port = listener.sockets[0].getsockname()[1]
    host = f"[{address.host}]" if ":" in address.host else address.host
    return listener, f"http://{host}:{port}"


def _remove_stale_socket(path: str) -> None:
    """Remove the socket that a killed gateway left. Raises OSError where somebody still answers at it."""
    if not Path(path).is_socket():
        return
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(path)
        except OSError:
            Path(path).unlink()
            return
    raise OSError(errno.EADDRINUSE, "address already in use")
