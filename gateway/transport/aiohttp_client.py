"""aiohttp's client behind the transport's seam: for HTTP proxies, and what our own is compared with.

What aiohttp would do unasked (cookies, redirects, decompression, header fields of its own, proxies of the environment)
is turned off; what it does not watch (a whole head, a gap between bytes, a reset that ends a reply) is watched here.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator
from types import TracebackType

import aiohttp
from aiohttp.connector import Connection
from yarl import URL

from gateway.deadlines import Deadlines
from gateway.errors import (
    UpstreamConnectError,
    UpstreamConnectTimeoutError,
    UpstreamCutError,
    UpstreamError,
    UpstreamProtocolError,
    UpstreamTimeoutError,
)
from gateway.transport import Sink, UpstreamReply
from gateway.transport.framing import request_head
from gateway.transport.head import MAX_FIELDS, MAX_HEAD_BYTES, MAX_LENGTH_DIGITS
from gateway.transport.http1 import bound_tls
from gateway.types import Headers, Upload, UpstreamRequest

_UNASKED = ("User-Agent", "Accept", "Accept-Encoding", "Content-Type")
# aiohttp keeps up to twice this of a body that is not taken, and what one read brings.
_READ_BYTES = 32_768
# It warns of longer bodies that are handed over in one piece.
_PIECE_BYTES = 1_048_576


class _Limit:
    """A deadline around a wait of aiohttp's, some of which nothing but a cancellation ends. Raises TimeoutError."""

    def __init__(self, deadlines: Deadlines, seconds: float) -> None:
        self._scope = asyncio.timeout(None)  # noqa: TID251 - moved by the deadline
        self._deadline = deadlines.watch(seconds, self._expire)

    def extend(self, seconds: float) -> None:
        """Fall due `seconds` from now instead."""
        self._deadline.extend(seconds)

    def _expire(self) -> None:
        self._scope.reschedule(asyncio.get_running_loop().time())

    async def __aenter__(self) -> "_Limit":
        await self._scope.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._deadline.drop()
        await self._scope.__aexit__(kind, error, traceback)


class _Response(aiohttp.ClientResponse):
    """A response that knows how its connection ended, which aiohttp forgets."""

    ending: asyncio.Future[None] | None = None

    async def start(self, connection: Connection) -> aiohttp.ClientResponse:
        """Read the head."""
        if connection.protocol is not None and connection.protocol.closed is not None:
            self.ending = connection.protocol.closed
            # How it ended is asked for where it matters only; asyncio would miss that elsewhere.
            self.ending.add_done_callback(lambda ending: ending.cancelled() or ending.exception())
        if connection.transport is not None:
            bound_tls(connection.transport)
        return await super().start(connection)


class AiohttpReply:
    """A reply that aiohttp reads."""

    whole: bytes | None = None

    def __init__(self, response: _Response, deadlines: Deadlines, idle_seconds: float) -> None:
        self.status = response.status
        self.reason = (response.reason or "").encode("utf-8", "surrogateescape")
        self.headers: Headers = tuple(response.raw_headers)
        self.length_bytes = _length(response)
        self._response = response
        self._deadlines = deadlines
        self._idle_seconds = idle_seconds
        self._flowing = asyncio.Event()
        self._flowing.set()
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
            self._check_end()
            self._whole = True
        finally:
            self.abort()

    async def _read(self) -> bytes:
        try:
            async with _Limit(self._deadlines, self._idle_seconds):
                return await self._response.content.readany()
        except TimeoutError:
            raise UpstreamTimeoutError("the reply stands still") from None
        except (aiohttp.ClientError, OSError) as error:
            raise _mapped(error) from None

    def _check_end(self) -> None:
        """Refuse a reset as the end of a reply that nothing else delimits."""
        ending = self._response.ending
        broke = ending is not None and ending.done() and ending.exception() is not None
        if broke and self.length_bytes is None and not _chunked(self._response):
            raise UpstreamCutError("the connection broke")

    def pause(self) -> None:
        """Stop reading: the client does not keep up."""
        self._flowing.clear()
        connection = self._response.connection
        if connection is not None and connection.protocol is not None:
            connection.protocol.pause_reading()

    def resume(self) -> None:
        """Read on."""
        connection = self._response.connection
        if connection is not None and connection.protocol is not None:
            connection.protocol.resume_reading()
        self._flowing.set()

    def abort(self) -> None:
        """Close the connection at once unless the reply is whole."""
        if self._whole:
            self._response.release()
        else:
            self._response.close()
        self._flowing.set()


class AiohttpTransport:
    """A session of aiohttp's for one upstream.

    Each request has a connection of its own: aiohttp gives what comes unasked on an idle one to the next caller.
    """

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
        # It judges what may be written as strictly as where it is used.
        request_head(request, b"")
        limit = _Limit(self._deadlines, first_byte_seconds)
        body = _Body(request, limit, self._idle_seconds, first_byte_seconds)
        try:
            async with limit:
                response = await self._ask(request, body)
        except aiohttp.ClientError as error:
            raise body.failure or _mapped(error) from None
        except TimeoutError:
            raise UpstreamTimeoutError("no reply in time") from None
        except OSError as error:
            raise _mapped(error) from None
        reply = AiohttpReply(response, self._deadlines, self._idle_seconds)
        try:
            _check(response)
        except UpstreamError:
            reply.abort()
            raise
        return reply

    async def _ask(self, request: UpstreamRequest, body: "_Body") -> _Response:
        host = f"[{request.host}]" if ":" in request.host else request.host
        url = URL(f"{request.scheme}://{host}:{request.port}{request.target}", encoded=True)
        # aiohttp drops a field of a name that came before in another spelling.
        spelling: dict[str, str] = {}
        headers = [
            (spelling.setdefault(name.decode().lower(), name.decode()), value.decode())
            for name, value in request.headers
        ]
        if body.length_bytes is not None:
            headers.append(("Content-Length", str(body.length_bytes)))
        response = await self._opened().request(
            request.method,
            url,
            headers=headers,
            data=body.data,
            proxy=self._proxy,
            ssl=self._ssl_context if self._ssl_context is not None else True,
            allow_redirects=False,
        )
        if not isinstance(response, _Response):
            raise TypeError(f"a session of {_Response} gave {type(response)}")
        return response

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=self._max_connections, force_close=True),
                response_class=_Response,
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                trust_env=False,
                skip_auto_headers=_UNASKED,
                read_bufsize=_READ_BYTES,
                max_line_size=MAX_HEAD_BYTES,
                max_field_size=MAX_HEAD_BYTES,
                max_headers=MAX_FIELDS,
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=self._connect_seconds),
            )
        return self._session

    def retire(self) -> None:
        """Do nothing: no connection is idle."""

    async def aclose(self) -> None:
        """Close every connection."""
        if self._session is not None:
            await self._session.close()


class _Body:
    """A request's body as aiohttp takes it: in pieces, unless it is short."""

    def __init__(
        self, request: UpstreamRequest, limit: _Limit, idle_seconds: float, after_seconds: float
    ) -> None:
        # What the client's side of an upload raised, which aiohttp hides.
        self.failure: Exception | None = None
        self.length_bytes: int | None = None
        self.data: bytes | AsyncIterator[bytes] | None
        self._limit = limit
        self._idle_seconds = idle_seconds
        self._after_seconds = after_seconds
        body = request.body
        if isinstance(body, Upload):
            self.length_bytes = body.length_bytes
            self.data = self._pieces(body)
        elif len(body) > _PIECE_BYTES:
            self.length_bytes = len(body)
            self.data = _cut(body)
        else:
            self.data = body or None
            if not body and request.method in ("POST", "PUT", "PATCH"):
                self.length_bytes = 0

    async def _pieces(self, upload: Upload) -> AsyncIterator[bytes]:
        left_bytes = upload.length_bytes or 0
        try:
            async for piece in upload.pieces:
                # The clock for the reply starts when the body is sent: until then each piece has its own time.
                self._limit.extend(self._idle_seconds)
                left_bytes -= len(piece)
                if upload.length_bytes is not None and left_bytes < 0:
                    break
                if piece:
                    yield piece
            if upload.length_bytes is not None and left_bytes:
                raise UpstreamCutError("the upload has not the length that it announced")
        except Exception as error:
            self.failure = error
            raise
        self._limit.extend(self._after_seconds)


async def _cut(body: bytes) -> AsyncIterator[bytes]:
    """Yield a long body in pieces."""
    for start in range(0, len(body), _PIECE_BYTES):
        yield body[start : start + _PIECE_BYTES]


def _chunked(response: aiohttp.ClientResponse) -> bool:
    return "Transfer-Encoding" in response.headers


def _length(response: aiohttp.ClientResponse) -> int | None:
    if response.method == "HEAD" or response.status in (204, 304):
        return 0
    if _chunked(response):
        return None
    value = response.headers.get("Content-Length")
    if value is None or not value.isdecimal() or len(value) > MAX_LENGTH_DIGITS:
        return None
    return int(value)


def _check(response: aiohttp.ClientResponse) -> None:
    """Refuse what aiohttp lets pass."""
    version = response.version
    if version is None or version.major != 1 or not 200 <= response.status <= 599:
        raise UpstreamProtocolError("its status line is not one that was asked for")
    codings = response.headers.getall("Transfer-Encoding", [])
    lengths = response.headers.getall("Content-Length", [])
    odd_coding = codings and [coding.lower() for coding in codings] != ["chunked"]
    if odd_coding or len(lengths) + len(codings) > 1 or (codings and version.minor == 0):
        raise UpstreamProtocolError("its framing is ambiguous")
    size = sum(len(name) + len(value) + 4 for name, value in response.raw_headers)
    if size > MAX_HEAD_BYTES:
        raise UpstreamProtocolError("its head is too long")


def _mapped(error: Exception) -> UpstreamError:
    """Return what a failure of aiohttp's is called here."""
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return UpstreamConnectTimeoutError("no connection in time")
    if isinstance(error, aiohttp.ClientConnectorError | aiohttp.ClientProxyConnectionError):
        return UpstreamConnectError(f"no connection: {error}")
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return UpstreamConnectError(f"the proxy refused: {error.status}")
    if isinstance(error, aiohttp.ServerDisconnectedError | aiohttp.ClientOSError | OSError):
        return UpstreamCutError(f"the connection ended: {type(error).__name__}")
    if isinstance(error, aiohttp.ClientPayloadError) and _incomplete(error):
        return UpstreamCutError("the connection ended before the reply was whole")
    return UpstreamProtocolError(f"the reply cannot be read: {type(error).__name__}")


def _incomplete(error: aiohttp.ClientPayloadError) -> bool:
    """Return whether a body only ended too early: aiohttp has one name for that and for bad framing."""
    return "Not enough data" in str(error) or "Connection lost" in str(error)
