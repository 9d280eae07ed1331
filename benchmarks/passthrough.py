"""The yardstick of the same family: aiohttp's server and client with nothing between them, tuned, no feature."""

import asyncio
import sys
from urllib.parse import urlsplit

import uvloop
from aiohttp import ClientSession, ClientTimeout, DummyCookieJar, TCPConnector, hdrs, web

HOP_BY_HOP = {hdrs.CONNECTION, hdrs.KEEP_ALIVE, hdrs.TRANSFER_ENCODING, hdrs.HOST}


class PassThrough:
    """Relays every request to one upstream."""

    def __init__(self, upstream: str, session: ClientSession) -> None:
        self._upstream = upstream
        self._session = session

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Relay one request and its reply, pieces as they come."""
        async with self._session.request(
            request.method,
            self._upstream + request.raw_path,
            data=await request.read(),
            headers=[(k, v) for k, v in request.headers.items() if k.title() not in HOP_BY_HOP],
            allow_redirects=False,
        ) as reply:
            fields = [(k, v) for k, v in reply.headers.items() if k.title() not in HOP_BY_HOP]
            if reply.content_length is not None:
                body = await reply.read()
                return web.Response(status=reply.status, headers=fields, body=body)
            response = web.StreamResponse(status=reply.status, headers=fields)
            await response.prepare(request)
            async for piece in reply.content.iter_any():
                await response.write(piece)
            return response


async def serve(port: int, upstream: str) -> None:
    """Relay until told to stop."""
    connector = TCPConnector(limit=0, keepalive_timeout=75)
    async with ClientSession(
        connector=connector,
        cookie_jar=DummyCookieJar(),
        auto_decompress=False,
        timeout=ClientTimeout(total=None),
    ) as session:
        app = web.Application(client_max_size=64 << 20)
        app.router.add_route("*", "/{path:.*}", PassThrough(upstream, session).handle)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port, backlog=2048).start()
        await asyncio.Event().wait()


if __name__ == "__main__":
    url = urlsplit(sys.argv[2])
    uvloop.run(serve(int(sys.argv[1]), f"{url.scheme}://{url.netloc}"))
