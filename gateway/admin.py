"""The operator's listener: /metrics, /livez and /readyz, and the status page. Clients never reach it."""

import asyncio
from collections.abc import Callable

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from gateway.clock import Clock
from gateway.status.routes import MAX_FORM_BYTES, StatusPage

# How long a rendering of /metrics is handed out again: scrapers that come together share one.
RENDER_FRESH_SECONDS = 1.0


class Admin:
    """What the operator may ask of one running gateway."""

    def __init__(
        self,
        registry: CollectorRegistry,
        not_ready: Callable[[], str | None],
        ailing: Callable[[], str | None],
        clock: Clock,
        page: StatusPage,
    ) -> None:
        """`not_ready` says why no calls should come, `ailing` what is wrong while they may."""
        self._registry = registry
        self._not_ready = not_ready
        self._ailing = ailing
        self._clock = clock
        self._page = page
        self._rendering = asyncio.Lock()
        self._rendered: dict[str, tuple[float, bytes, str]] = {}

    def app(self) -> web.Application:
        """Return the application for aiohttp's runner."""
        app = web.Application(client_max_size=MAX_FORM_BYTES)
        app.router.add_get("/livez", self._livez)
        app.router.add_get("/readyz", self._readyz)
        app.router.add_get("/metrics", self._metrics)
        self._page.add_to(app)
        app.on_response_prepare.append(_name_server)
        return app

    async def _livez(self, _: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def _readyz(self, _: web.Request) -> web.Response:
        reason = self._not_ready()
        told = reason or self._ailing() or "ok"
        return web.Response(text=f"{told}\n", status=503 if reason else 200)

    async def _metrics(self, request: web.Request) -> web.Response:
        # Rendering many series takes long: off the loop, one at a time.
        accept = request.headers.get("accept", "")
        async with self._rendering:
            encode, content_type = choose_encoder(accept)
            now = self._clock.monotonic()
            at, body, _ = self._rendered.get(content_type, (0.0, b"", ""))
            if not body or now - at > RENDER_FRESH_SECONDS:
                body = await asyncio.to_thread(encode, self._registry)
                self._rendered = {content_type: (now, body, content_type)}
        return web.Response(body=body, headers={"content-type": content_type})


async def _name_server(_: web.Request, response: web.StreamResponse) -> None:
    response.headers["server"] = "gateway"
