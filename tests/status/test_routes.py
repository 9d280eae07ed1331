"""The status page on the operator's listener, as a browser or a script meets it."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import aiohttp
import pytest
from aiohttp import web

from gateway.admin import Admin
from gateway.metering import Meter
from gateway.metrics import Metrics
from gateway.status.access import FOREIGN_NAME, FOREIGN_PAGE, NETWORK, Access
from gateway.status.board import StatusBoard
from gateway.status.feed import MAX_VIEWERS
from gateway.status.page import PAGE, PAGE_POLICY
from gateway.status.routes import StatusPage
from tests.support.clock import FakeClock
from tests.support.gateway import HANG_SECONDS

TOKEN = "a-token-of-the-operator"
Start = Callable[..., Awaitable["Running"]]


class Running:
    """A listener with the page on it, and the clock it goes by."""

    def __init__(self, access: Access) -> None:
        self.clock = FakeClock()
        self.metrics = Metrics()
        board = StatusBoard(Meter(self.metrics, self.clock), self.clock, lambda: None)
        self.page = StatusPage(board, self.clock)
        self.page.access = access
        admin = Admin(self.metrics.registry(), lambda: None, lambda: None, self.clock, self.page)
        self.runner = web.AppRunner(admin.app(), access_log=None)
        self.url = ""

    async def start(self) -> None:
        await self.runner.setup()
        await web.TCPSite(self.runner, "127.0.0.1", 0).start()
        host, port = self.runner.addresses[0][:2]
        self.url = f"http://{host}:{port}"


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    async with AsyncExitStack() as stack:

        async def _start(*, loopback: bool = True, token: str | None = None) -> Running:
            running = Running(Access(loopback=loopback, token=token))
            await running.start()
            stack.push_async_callback(running.runner.cleanup)
            return running

        yield _start


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
        yield session


async def next_event(reply: aiohttp.ClientResponse) -> tuple[str, dict[str, object]]:
    async with asyncio.timeout(HANG_SECONDS):
        raw = await reply.content.readuntil(b"\n\n")
    name, data = raw.decode().strip().split("\n")
    return name.removeprefix("event: "), json.loads(data.removeprefix("data: "))


async def test_the_page(start: Start, session: aiohttp.ClientSession) -> None:
    """One file, under a policy that lets nothing else in, never stored."""
    running = await start()
    async with session.get(running.url) as reply:
        assert reply.status == 200
        assert await reply.read() == PAGE
        headers = reply.headers
    assert headers["content-type"] == "text/html; charset=utf-8"
    assert headers["content-security-policy"] == PAGE_POLICY
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "no-store"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["server"] == "gateway"

    async with session.head(running.url) as reply:
        assert (reply.status, await reply.read()) == (200, b"")
        assert reply.headers["content-length"] == str(len(PAGE))
    async with session.head(f"{running.url}/events") as reply:
        assert (reply.status, reply.content_type) == (200, "text/event-stream")


async def test_events(start: Start, session: aiohttp.ClientSession) -> None:
    """All there is at once, then the news of every second; who leaves is forgotten."""
    running = await start()
    async with session.get(f"{running.url}/events") as reply:
        assert reply.content_type == "text/event-stream"
        name, told = await next_event(reply)
        assert (name, told["calls_ever"], told["in_flight"]) == ("whole", 0, 0)

        running.metrics.requests.add(("/v1/models", "other", "", "other", "200", ""))
        running.clock.advance(1)

        name, told = await next_event(reply)
        assert (name, told["calls_ever"]) == ("news", 1)
        reply.close()
    async with asyncio.timeout(HANG_SECONDS):
        while len(running.page.feed):
            running.clock.advance(1)
            await asyncio.sleep(0.001)


async def test_the_listener_ends_though_somebody_looks(start: Start) -> None:
    """An open page, and one that hangs in the middle of reading, hold up no shutdown."""
    running = await start()
    host, port = running.runner.addresses[0][:2]
    connections = [await asyncio.open_connection(host, port) for _ in range(2)]
    for _, writer in connections:
        writer.write(b"GET /events HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n")
    async with asyncio.timeout(HANG_SECONDS):
        await connections[0][0].readuntil(b"event: whole")
        while len(running.page.feed) < 2:  # noqa: ASYNC110 - it is as if from afar
            await asyncio.sleep(0.001)
        await running.runner.cleanup()
        for reader, writer in connections:
            # Cut where it was: no last chunk pretends an end.
            assert not (await reader.read()).endswith(b"0\r\n\r\n")
            assert reader.at_eof()
            writer.close()
            await writer.wait_closed()


async def test_too_many_viewers(start: Start, session: aiohttp.ClientSession) -> None:
    """One more than there is room for is told so."""
    running = await start()
    for _ in range(MAX_VIEWERS):
        assert running.page.feed.join(lambda: None) is not None
    async with session.get(f"{running.url}/events") as reply:
        assert (reply.status, await reply.text()) == (503, "Too many people look already.\n")


async def test_off_loopback_without_a_token(start: Start, session: aiohttp.ClientSession) -> None:
    """The refusal names the key to set; everything else on the listener stays open."""
    running = await start(loopback=False)
    for path in ("/", "/events"):
        async with session.get(running.url + path) as reply:
            assert (reply.status, await reply.text()) == (403, NETWORK)
    async with session.post(running.url, data={"token": ""}) as reply:
        assert reply.status == 403
    async with session.get(f"{running.url}/readyz") as reply:
        assert reply.status == 200


async def test_foreign_names_and_pages(start: Start, session: aiohttp.ClientSession) -> None:
    """A name that leads here by rebinding sees nothing, nor does another site's page."""
    running = await start()
    async with session.get(running.url, headers={"host": "evil.example"}) as reply:
        assert (reply.status, await reply.text()) == (403, FOREIGN_NAME)
    for headers in ({"host": "evil.example"}, {"sec-fetch-site": "cross-site"}):
        async with session.get(f"{running.url}/events", headers=headers) as reply:
            assert reply.status == 403
            assert await reply.text() in (FOREIGN_NAME, FOREIGN_PAGE)


async def test_the_way_in_with_a_token(start: Start, session: aiohttp.ClientSession) -> None:
    """A form asks for it, a cookie that scripts and other sites cannot use stands for it."""
    running = await start(loopback=False, token=TOKEN)
    async with session.get(running.url) as reply:
        assert (reply.status, reply.headers["www-authenticate"]) == (401, "Bearer")
        assert "form-action 'self'" in reply.headers["content-security-policy"]
        assert "<form" in await reply.text()
    async with session.get(f"{running.url}/events") as reply:
        assert reply.status == 401
    async with session.post(running.url, data={"token": "wrong"}) as reply:
        assert reply.status == 401
        assert "That is not the token." in await reply.text()

    async with session.post(running.url, data={"token": TOKEN}, allow_redirects=False) as reply:
        assert (reply.status, reply.headers["location"]) == (303, "/")
        cookie = reply.headers["set-cookie"]
    assert TOKEN not in cookie
    assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= set(cookie.split("; "))

    async with session.get(running.url) as reply:
        assert (reply.status, await reply.read()) == (200, PAGE)
    async with session.get(f"{running.url}/events") as reply:
        assert (await next_event(reply))[0] == "whole"


async def test_scripts_send_the_token(start: Start, session: aiohttp.ClientSession) -> None:
    """As a bearer, as everywhere."""
    running = await start(loopback=False, token=TOKEN)
    async with session.get(
        f"{running.url}/events", headers={"authorization": f"Bearer {TOKEN}"}
    ) as reply:
        assert (await next_event(reply))[0] == "whole"


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        (b"token=%ff%00", "application/x-www-form-urlencoded", 401),
        (b"", "application/x-www-form-urlencoded", 401),
        (b"token=" + b"x" * 100_000, "application/x-www-form-urlencoded", 413),
        (b'{"token": "x"}', "application/json", 415),
        (b"--a\r\n", "multipart/form-data; boundary=a", 415),
    ],
)
async def test_odd_forms(
    start: Start, session: aiohttp.ClientSession, body: bytes, content_type: str, status: int
) -> None:
    """Whatever is posted, the answer is a refusal, and no defect."""
    running = await start(loopback=False, token=TOKEN)
    headers = {"content-type": content_type}
    async with session.post(running.url, data=body, headers=headers) as reply:
        assert reply.status == status
        assert "set-cookie" not in reply.headers
