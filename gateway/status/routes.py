"""Where the status page stands on the operator's listener: `/`, its stream of events, and the way in with a token."""

from aiohttp import web

from gateway.clock import Clock
from gateway.status.access import Access
from gateway.status.board import StatusBoard
from gateway.status.feed import Feed
from gateway.status.page import FORM_POLICY, PAGE, PAGE_POLICY, form

COOKIE = "gateway_status"
# A token's form is no longer than this.
MAX_FORM_BYTES = 8192
# What every reply says, beside its policy.
_HEADERS = {
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
}


class StatusPage:
    """The page of one running gateway."""

    def __init__(self, board: StatusBoard, clock: Clock) -> None:
        self.board = board
        self.feed = Feed(board, clock)
        self.access = Access(loopback=False)

    def add_to(self, app: web.Application) -> None:
        """Stand on a listener, and end with it."""
        app.router.add_get("/", self._page)
        app.router.add_post("/", self._enter)
        app.router.add_get("/events", self._events)
        app.on_startup.append(self._start)
        app.on_shutdown.append(self._close)

    async def _start(self, _: web.Application) -> None:
        self.feed.start()

    async def _close(self, _: web.Application) -> None:
        self.feed.close()

    async def _page(self, request: web.Request) -> web.Response:
        if (why := self.access.closed(request.headers.get("host"))) is not None:
            return _refused(why)
        if not self._permits(request):
            return _asking("")
        return _html(PAGE, PAGE_POLICY)

    async def _enter(self, request: web.Request) -> web.Response:
        """Take the token out of the form, and give a cookie for it: it never stands in a URL."""
        if (why := self.access.closed(request.headers.get("host"))) is not None:
            return _refused(why)
        if request.content_type != "application/x-www-form-urlencoded":
            return _asking("", status=415)
        sent = (await request.post()).get("token")
        if not isinstance(sent, str) or not self.access.is_token(sent.strip()):
            return _asking("That is not the token.")
        response = web.Response(status=303, headers={"location": "/", **_HEADERS})
        response.set_cookie(
            COOKIE, self.access.cookie(), httponly=True, samesite="Strict", secure=request.secure
        )
        return response

    async def _events(self, request: web.Request) -> web.StreamResponse:
        headers = request.headers
        host = headers.get("host")
        why = self.access.closed(host) or self.access.foreign(
            headers.get("origin"), headers.get("sec-fetch-site"), host
        )
        if why is not None:
            return _refused(why)
        if not self._permits(request):
            return _refused("The events need the token of the page.\n", status=401)
        response = web.StreamResponse(headers={"content-type": "text/event-stream", **_HEADERS})
        # For proxies on the way that would gather them.
        response.headers["x-accel-buffering"] = "no"
        if request.method == "HEAD":
            await response.prepare(request)
            return response
        return await self._stream(request, response)

    async def _stream(
        self, request: web.Request, response: web.StreamResponse
    ) -> web.StreamResponse:
        transport = request.transport
        viewer = self.feed.join(transport.abort) if transport is not None else None
        if viewer is None:
            return _refused("Too many people look already.\n", status=503)
        try:
            await response.prepare(request)
            while (told := await viewer.next()) is not None:
                await response.write(told)
        except ConnectionError:
            pass  # The page was closed.
        finally:
            self.feed.leave(viewer)
        return response

    def _permits(self, request: web.Request) -> bool:
        return self.access.permits(
            request.headers.get("authorization"), request.cookies.get(COOKIE)
        )


def _refused(why: str, *, status: int = 403) -> web.Response:
    return web.Response(text=why, status=status, headers=_HEADERS)


def _asking(said: str, *, status: int = 401) -> web.Response:
    return _html(form(said), FORM_POLICY, status)


def _html(body: bytes, policy: str, status: int = 200) -> web.Response:
    headers = {"content-type": "text/html; charset=utf-8", "content-security-policy": policy}
    if status == 401:
        headers["www-authenticate"] = "Bearer"
    return web.Response(body=body, status=status, headers={**headers, **_HEADERS})
