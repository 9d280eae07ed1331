"""A pool in front of a scripted upstream."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar

import pytest
import trustme

from gateway.clock import Clock, SystemClock
from gateway.deadlines import Deadlines
from gateway.transport import Transport
from gateway.transport.pool import Pool
from gateway.types import Headers, Upload, UpstreamRequest
from tests.support.raw_upstream import HANG_SECONDS

T = TypeVar("T")

MakePool = Callable[..., Pool]


@pytest.fixture
async def make_pool() -> AsyncIterator[MakePool]:
    """Make pools that are closed at the end."""
    pools: list[Pool] = []

    def make(clock: Clock | None = None, **options: object) -> Pool:
        settings: dict[str, object] = {
            "ssl_context": None,
            "connect_seconds": 5.0,
            "idle_seconds": 5.0,
        }
        settings |= {"max_connections": 10, "deadlines": Deadlines(clock or SystemClock())}
        pool = Pool(**(settings | options))  # type: ignore[arg-type]
        pools.append(pool)
        return pool

    yield make
    for pool in pools:
        await pool.aclose()


def request(
    port: int,
    body: bytes | Upload = b"{}",
    *,
    method: str = "POST",
    target: str = "/v1/x",
    headers: Headers = ((b"Content-Type", b"application/json"),),
    scheme: str = "http",
    host: str = "127.0.0.1",
) -> UpstreamRequest:
    """Return a request to a scripted upstream."""
    return UpstreamRequest(
        method=method,
        scheme=scheme,
        host=host,
        port=port,
        target=target,
        headers=headers,
        body=body,
    )


async def asked(
    transport: Transport, wanted: UpstreamRequest, seconds: float = 5.0
) -> tuple[int, bytes]:
    """Ask and return the reply's status and whole body."""
    reply = await transport.open(wanted, first_byte_seconds=seconds)
    body = bytearray()
    await reply.copy(body.extend)
    return reply.status, bytes(body)


async def soon(event: Awaitable[T]) -> T:
    """Await what must come, and fail instead of hanging where it does not."""
    async with asyncio.timeout(HANG_SECONDS):
        return await event


async def turns(number: int = 20) -> None:
    """Let the loop turn, so that what can happen by itself has happened."""
    for _ in range(number):
        await asyncio.sleep(0)


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    """Return a private certificate authority."""
    return trustme.CA()


@pytest.fixture
def server_tls(authority: trustme.CA) -> ssl.SSLContext:
    """Return the TLS of a server at 127.0.0.1 that the authority vouches for."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


@pytest.fixture
def client_tls(authority: trustme.CA) -> ssl.SSLContext:
    """Return the TLS of a client that trusts the authority."""
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context
