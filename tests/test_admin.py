"""The operator's listener."""

from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import web

from gateway.admin import RENDER_FRESH_SECONDS, Admin
from gateway.metering import Meter
from gateway.metrics import Metrics
from gateway.status.board import StatusBoard
from gateway.status.routes import StatusPage
from tests.support.clock import FakeClock


class Running:
    """An admin listener, what makes it not ready, and the clock it goes by."""

    def __init__(self) -> None:
        self.reason: str | None = None
        self.ailment: str | None = None
        self.metrics = Metrics()
        self.clock = FakeClock()
        self.url = ""


@pytest.fixture
async def running() -> AsyncIterator[Running]:
    state = Running()
    board = StatusBoard(Meter(state.metrics, state.clock), state.clock, lambda: state.reason)
    admin = Admin(
        state.metrics.registry(),
        lambda: state.reason,
        lambda: state.ailment,
        state.clock,
        StatusPage(board, state.clock),
    )
    runner = web.AppRunner(admin.app(), access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    state.url = f"http://{host}:{port}"
    yield state
    await runner.cleanup()


async def fetch(url: str, accept: str = "*/*") -> tuple[int, str, str, str]:
    async with (
        aiohttp.ClientSession() as session,
        session.get(url, headers={"accept": accept}) as reply,
    ):
        server = reply.headers["server"]
        return reply.status, await reply.text(), reply.headers["content-type"], server


async def test_alive_and_ready(running: Running) -> None:
    """It is alive while it answers, and ready unless something stands in the way, which it names."""
    assert (await fetch(f"{running.url}/livez"))[:2] == (200, "ok\n")
    assert (await fetch(f"{running.url}/readyz"))[:2] == (200, "ok\n")

    running.reason = "draining"

    assert (await fetch(f"{running.url}/readyz"))[:2] == (503, "draining\n")
    assert (await fetch(f"{running.url}/livez"))[:2] == (200, "ok\n")


async def test_what_ails_it_is_told_and_stays_green(running: Running) -> None:
    """A dead store is named, and does not take the gateway out of service."""
    running.ailment = "ok, but the store is away"

    assert (await fetch(f"{running.url}/readyz"))[:2] == (200, "ok, but the store is away\n")


async def test_metrics_in_both_formats(running: Running) -> None:
    """Prometheus's text by default, OpenMetrics where the scraper asks for it."""
    status, text, content_type, _ = await fetch(f"{running.url}/metrics")
    assert status == 200
    assert content_type.startswith("text/plain")
    assert "gateway_build_info{" in text

    running.clock.advance(2 * RENDER_FRESH_SECONDS)
    _, text, content_type, _ = await fetch(
        f"{running.url}/metrics", "application/openmetrics-text; version=1.0.0"
    )
    assert content_type.startswith("application/openmetrics-text")
    assert text.endswith("# EOF\n")


async def test_scrapes_that_come_together_share_a_rendering(running: Running) -> None:
    """A rendering is handed out again for a moment, then made anew."""
    running.metrics.retried("up", "connect")
    first = (await fetch(f"{running.url}/metrics"))[1]
    running.metrics.retried("up", "connect")
    assert (await fetch(f"{running.url}/metrics"))[1] == first

    running.clock.advance(2 * RENDER_FRESH_SECONDS)

    assert 'reason="connect",upstream="up"} 2.0' in (await fetch(f"{running.url}/metrics"))[1]


async def test_nothing_else_is_there(running: Running) -> None:
    """Other paths do not exist, and no reply tells what the listener is made of."""
    status, _, _, server = await fetch(f"{running.url}/v1/models")

    assert (status, server) == (404, "gateway")
