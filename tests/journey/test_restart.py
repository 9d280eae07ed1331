"""What outlasts a killed gateway."""

import asyncio
from pathlib import Path

from gateway.demo_upstream import DemoUpstream
from tests.journey.test_lifecycle import connected, serving
from tests.support.gateway import HANG_SECONDS

CHAT = b'{"model":"demo","messages":[{"role":"user","content":"hi"}]}'


async def asked(url: str) -> bytes:
    """Ask once and return the status."""
    reader, writer = await connected(url)
    writer.write(
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(CHAT), CHAT)
    )
    async with asyncio.timeout(HANG_SECONDS):
        reply = await reader.read()
    writer.close()
    return reply.split(b" ")[1]


async def test_a_journal_survives_a_kill(demo: DemoUpstream, tmp_path: Path) -> None:
    """With a file:// store a daily limit is not refilled by killing the gateway a second after the call."""
    config = tmp_path / "config.yaml"
    config.write_text(
        f'upstreams: [{{name: up, base_url: "{demo.url}/v1"}}]\n'
        f'store: {{url: "file://{tmp_path}/state"}}\n'
        "limits: [{per: global, requests: 2/day}]\n"
    )

    def written() -> bool:
        return any(b"requests:" in path.read_bytes() for path in (tmp_path / "state").iterdir())

    async with serving(demo.url, "-c", str(config)) as first:
        assert [await asked(first.url) for _ in range(3)] == [b"200", b"200", b"429"]
        # The journal is written within a second; the write is what is waited for.
        async with asyncio.timeout(HANG_SECONDS):
            while not written():  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        first.process.kill()
        await first.process.wait()

    async with serving(demo.url, "-c", str(config)) as second:
        assert await asked(second.url) == b"429"
