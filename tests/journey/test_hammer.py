"""Several gateways over one Redis, hundreds of clients at once: never one call more than the limit."""

import asyncio
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from gateway.demo_upstream import DemoUpstream
from tests.journey.test_lifecycle import connected, serving
from tests.support.gateway import HANG_SECONDS
from tests.support.redis_server import find_binary, running_redis

CHAT = b'{"model":"demo","messages":[{"role":"user","content":"hi"}]}'
KEY = "sk-gw-alice-0123456789"
CLIENTS, CALLS_EACH, ALLOWED = 150, 4, 200


async def client(url: str, statuses: Counter[bytes]) -> None:
    """Send calls one after the other on one connection."""
    reader, writer = await connected(url)
    for _ in range(CALLS_EACH):
        writer.write(
            b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            b"Authorization: Bearer %b\r\nContent-Length: %d\r\n\r\n%b"
            % (KEY.encode(), len(CHAT), CHAT)
        )
        head = await reader.readuntil(b"\r\n\r\n")
        length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
        await reader.readexactly(int(length))
        statuses[head.split(b" ")[1]] += 1
    writer.close()


@pytest.mark.skipif(find_binary() is None, reason="no Redis server: install redis-server")
async def test_gateways_share_their_limits(demo: DemoUpstream, tmp_path: Path) -> None:
    """What two gateways admit together is what one limit allows, to the call."""
    with running_redis(tmp_path) as redis:
        config = tmp_path / "config.yaml"
        config.write_text(
            f'upstreams: [{{name: up, base_url: "{demo.url}/v1"}}]\n'
            f"auth: {{keys: [{{user: alice, key: {KEY}}}]}}\n"
            f'store: {{url: "{redis.url}", timeout: 5s, replicas: 2}}\n'
            f"limits: [{{per: user, requests: {ALLOWED}/h}}]\n"
        )
        statuses: Counter[bytes] = Counter()
        async with AsyncExitStack() as stack, asyncio.timeout(6 * HANG_SECONDS):
            urls = [
                (await stack.enter_async_context(serving(demo.url, "-c", str(config)))).url
                for _ in range(2)
            ]
            await asyncio.gather(*(client(urls[number % 2], statuses) for number in range(CLIENTS)))

    assert statuses == {b"200": ALLOWED, b"429": CLIENTS * CALLS_EACH - ALLOWED}
    asked = [seen for seen in demo.requests if seen.target.endswith("/chat/completions")]
    assert len(asked) == ALLOWED
