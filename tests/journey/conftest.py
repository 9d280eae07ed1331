"""The demo upstream and a gateway in front of it."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from gateway import demo_upstream
from gateway.clock import SystemClock
from gateway.demo_upstream import DemoUpstream
from tests.support.gateway import RawClient, RunningGateway, running

Start = Callable[..., Awaitable[RunningGateway]]
Connect = Callable[[RunningGateway], Awaitable[RawClient]]

KEY = "upstream-secret-key-1"


@pytest.fixture
async def demo() -> AsyncIterator[DemoUpstream]:
    upstream = await demo_upstream.start("127.0.0.1", 0, SystemClock())
    yield upstream
    await upstream.aclose()


@pytest.fixture
async def start(tmp_path: Path) -> AsyncIterator[Start]:
    """Start gateways: the upstream's origin, and more sections of the configuration."""
    async with AsyncExitStack() as stack:

        async def _start(
            origin: str,
            more: str = "",
            *,
            upstream: str = "",
            server: str = "",
            key: str | None = KEY,
            **options: object,
        ) -> RunningGateway:
            own_key = f", api_key: {key}" if key else ""
            config = (
                f'server: {{listen: "127.0.0.1:0", shutdown_grace: 100ms{server}}}\n'
                'admin: {listen: "127.0.0.1:0"}\n'
                f'upstreams: [{{name: up, base_url: "{origin}/v1"{own_key}{upstream}}}]\n'
                f"{more}"
            )
            return await stack.enter_async_context(running(config, tmp_path, **options))  # type: ignore[arg-type]

        yield _start


@pytest.fixture
async def connect() -> AsyncIterator[Connect]:
    """Open raw connections that are closed at the end."""
    async with AsyncExitStack() as stack:

        async def _connect(gateway: RunningGateway) -> RawClient:
            client = await RawClient.connect(gateway)
            stack.push_async_callback(client.aclose)
            return client

        yield _connect


@pytest.fixture
async def client(demo: DemoUpstream, start: Start, connect: Connect) -> RawClient:
    """Connect to a gateway with nothing special in front of the demo upstream."""
    return await connect(await start(demo.url))
