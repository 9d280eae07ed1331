"""aiohttp's client behind the transport's seam: for HTTP proxies, and what our own is compared with.

What aiohttp would do unasked (cookies, redirects, decompression, header fields of its own, proxies of the environment)
is turned off; what it does not watch (a whole head, a gap between bytes) is watched here.
"""

import asyncio
import ssl

import aiohttp
from yarl import URL

from gateway.deadlines import Deadline, Deadlines
from gateway.errors import (
    UpstreamConnectError,
    UpstreamConnectTimeoutError,
    UpstreamCutError,
    UpstreamError,
    UpstreamProtocolError,
    UpstreamTimeoutError,
)
from gateway.transport import Sink, UpstreamReply
from gateway.types import Headers, Upload, UpstreamRequest

_MAX_HEAD_BYTES = 65_536
_UNASKED = ("User-Agent", "Accept", "Accept-Encoding", "Content-Type")


class AiohttpReply:
    """A reply that aiohttp reads."""

    def __init__(
        self,
        response: aiohttp.ClientResponse,
        deadlines: Deadlines,
        idle_seconds: float,
    ) -> None:
        self.status = response.status
        self.reason = (response.reason or "").encode("latin-1", "replace")
        self.headers: Headers = tuple(response.raw_headers)
        self.length_bytes = _length(response)
        self._response = response
        self._deadlines = deadlines
        self._idle_seconds = idle_seconds
        self._deadline: Deadline | None = None
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._expired = False
        self._whole = False

    async def copy(self, sink: Sink) -> None:
        """Hand the body to `sink` as it comes, and return when it is whole."""
        try:
            while True:
                await self._flowing.wait()
                data = await self._read()
                if not data:
                    break
                sink(data)
            self._whole = True
        finally:
            self.abort()

    async def _read(self) -> bytes:
        task = asyncio.current_task()
        deadline = self._deadlines.watch(self._idle_seconds, lambda: self._expire(task))
        try:
            return await self._response.content.readany()
        except asyncio.CancelledError:
            if self._expired and task is not None and task.uncancel() == 0:
                raise UpstreamTimeoutError("the reply stands still") from None
            raise
        except (aiohttp.ClientError, OSError) as error:
            raise _mapped(error) from None
        finally:
            deadline.drop()

    def _expire(self, task: "asyncio.Task[object] | None") -> None:
        # A bad chunk leaves aiohttp's reader waiting for ever: only a cancellation gets it out.
        self._expired = True
        if task is not None:
            task.cancel()

    def pause(self) -> None:
        """Stop reading: the client does not keep up."""
        self._flowing.clear()

    def resume(self) -> None:
        """Read on."""
        self._flowing.set()

    def abort(self) -> None:
        """Close the connection at once unless the reply is whole."""
        if self._whole:
            self._response.release()
        else:
            self._response.close()
        self._flowing.set()


class AiohttpTransport:
    """A session of aiohttp's for one upstream."""

    def __init__(
        self,
        *,
        proxy: str | None,
        ssl_context: ssl.SSLContext | None,
        connect_seconds: float,
        idle_seconds: float,
        max_connections: int,
        deadlines: Deadlines,
    ) -> None:
        self._proxy = proxy
        self._ssl_context = ssl_context
        self._connect_seconds = connect_seconds
        self._idle_seconds = idle_seconds
        self._max_connections = max_connections
        self._deadlines = deadlines
        self._session: aiohttp.ClientSession | None = None

    async def open(self, request: UpstreamRequest, *, first_byte_seconds: float) -> UpstreamReply:
        """Send `request` and return the reply once its head is there, within `first_byte_seconds`."""
        try:
            async with asyncio.timeout(first_byte_seconds):  # noqa: TID251 - aiohttp's waits cannot be reached otherwise
                response = await self._request(request)
        except TimeoutError:
            raise UpstreamTimeoutError("no reply in time") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise _mapped(error) from None
        reply = AiohttpReply(response, self._deadlines, self._idle_seconds)
        try:
            _check(response)
        except UpstreamError:
            reply.abort()
            raise
        return reply

    async def _request(self, request: UpstreamRequest) -> aiohttp.ClientResponse:
        host = f"[{request.host}]" if ":" in request.host else request.host
        url = URL(f"{request.scheme}://{host}:{request.port}{request.target}", encoded=True)
        headers = [
            (name.decode("latin-1"), value.decode("latin-1")) for name, value in request.headers
        ]
        data: object = request.body
        if isinstance(request.body, Upload):
            data = request.body.pieces
            if request.body.length_bytes is not None:
                headers.append(("Content-Length", str(request.body.length_bytes)))
        elif not request.body and request.method not in ("POST", "PUT", "PATCH"):
            data = None
        return await self._opened().request(
            request.method,
            url,
            headers=headers,
            data=data,
            proxy=self._proxy,
            ssl=self._ssl_context if self._ssl_context is not None else True,
            allow_redirects=False,
        )

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=self._max_connections),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                trust_env=False,
                skip_auto_headers=_UNASKED,
                max_line_size=_MAX_HEAD_BYTES,
                max_field_size=_MAX_HEAD_BYTES,
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=self._connect_seconds),
            )
        return self._session

    def retire(self) -> None:
        """Do nothing: idle connections end by aiohttp's keep-alive time."""

    async def aclose(self) -> None:
        """Close every connection."""
        if self._session is not None:
            await self._session.close()


def _length(response: aiohttp.ClientResponse) -> int | None:
    if response.method == "HEAD" or response.status in (204, 304):
        return 0
    if "Transfer-Encoding" in response.headers:
        return None
    value = response.headers.get("Content-Length")
    return int(value) if value is not None and value.isdecimal() else None


def _check(response: aiohttp.ClientResponse) -> None:
    """Refuse what aiohttp lets pass."""
    version = response.version
    if response.status == 101 or version is None or version.major != 1:
        raise UpstreamProtocolError("its status line is not one that was asked for")
    if "Transfer-Encoding" in response.headers and "Content-Length" in response.headers:
        raise UpstreamProtocolError("its framing is ambiguous")


def _mapped(error: Exception) -> UpstreamError:
    """Return what a failure of aiohttp's is called here."""
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return UpstreamConnectTimeoutError("no connection in time")
    if isinstance(error, aiohttp.ClientConnectorError | aiohttp.ClientProxyConnectionError):
        return UpstreamConnectError(f"no connection: {error.strerror or type(error).__name__}")
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return UpstreamConnectError(f"the proxy refused: {error.status}")
    if isinstance(error, aiohttp.ServerDisconnectedError | aiohttp.ClientOSError | OSError):
        return UpstreamCutError(f"the connection ended: {type(error).__name__}")
    if isinstance(error, aiohttp.ClientPayloadError):
        return UpstreamCutError("the connection ended before the reply was whole")
    return UpstreamProtocolError(f"the reply cannot be read: {type(error).__name__}")
