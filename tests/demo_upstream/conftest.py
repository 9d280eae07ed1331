"""The demo upstream under a clock that tests move, and raw connections to it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from urllib.parse import urlsplit

import pytest

from gateway.demo_upstream import DemoUpstream, start
from tests.support.clock import FakeClock
from tests.support.gateway import HANG_SECONDS, RawClient

Connect = Callable[[], Awaitable[RawClient]]


async def until(done: Callable[[], object]) -> None:
    """Return when something has come true that has no event of its own."""
    async with asyncio.timeout(HANG_SECONDS):
        while not done():  # noqa: ASYNC110
            await asyncio.sleep(0)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def upstream(clock: FakeClock) -> AsyncIterator[DemoUpstream]:
    running = await start("127.0.0.1", 0, clock)
    yield running
    await running.aclose()


@pytest.fixture
async def connect(upstream: DemoUpstream) -> AsyncIterator[Connect]:
    """Open raw connections that are closed at the end."""
    async with AsyncExitStack() as stack:

        async def _connect() -> RawClient:
            address = urlsplit(upstream.url)
            client = RawClient(*await asyncio.open_connection(address.hostname, address.port))
            stack.push_async_callback(client.aclose)
            return client

        yield _connect
