"""The upstream's side of a call behind one seam: open a request, get a reply's head, then its bytes as they come.

Implementations: `pool` (our own HTTP/1.1: `framing`, `reply`, `http1`, `connecting` from the bytes up to the pool) and
`aiohttp_client` (for HTTP proxies, and what our own is compared with).
"""

from collections.abc import Callable
from typing import Protocol

from gateway.types import Headers, UpstreamRequest

# Takes the next bytes of a body; what it raises ends the reply and comes out of `UpstreamReply.copy`.
Sink = Callable[[bytes], None]


class UpstreamReply(Protocol):
    """A reply whose head has come and whose body is still to be taken, once.

    The body is exactly what the upstream sent after transfer decoding: content codings stay untouched.
    """

    status: int
    reason: bytes
    headers: Headers
    # Content-Length in bytes, 0 where no body can follow; None: chunked, or it ends with the connection.
    length_bytes: int | None
    # The body, where its length was told and all of it came with the head; None: `copy` it.
    whole: bytes | None

    async def copy(self, sink: Sink) -> None:
        """Hand the body to `sink`, piece by piece as it comes, and return when it is whole.

        Raises UpstreamCutError, UpstreamProtocolError, UpstreamTimeoutError; and what `sink` raises.
        """

    def pause(self) -> None:
        """Stop reading from the upstream: the client does not keep up."""

    def resume(self) -> None:
        """Read on."""

    def abort(self) -> None:
        """Give up: close the connection at once unless the reply is already whole. Harmless when repeated."""


class Transport(Protocol):
    """A pool of connections to one upstream."""

    async def open(self, request: UpstreamRequest, *, first_byte_seconds: float) -> UpstreamReply:
        """Send `request` and return the reply once its head is there (1xx skipped), within `first_byte_seconds`.

        Those include the wait for a free connection; an upload's client sets its own pace, and they go on when it is
        sent. A stale pooled connection is replaced once, unseen. Cancelling closes the connection.
        Raises UpstreamConnectError, UpstreamTimeoutError, UpstreamProtocolError, UpstreamCutError; ValueError for what
        cannot be written on its line; and what the pieces of an upload raise.
        """

    def retire(self) -> None:
        """Close idle connections now, and the others as their replies end: nothing new will be asked."""

    async def aclose(self) -> None:
        """Close every connection."""
