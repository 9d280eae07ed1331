"""The demo upstream embedded in a process: where it listens, what it shows, that it ends."""

import asyncio
import urllib.error
import urllib.request

import pytest

from gateway.demo_upstream import origin, start
from tests.demo_upstream.conftest import until
from tests.support.clock import FakeClock
from tests.support.gateway import HANG_SECONDS


def fetch(url: str) -> int:
    """Return the status of a GET."""
    with urllib.request.urlopen(url, timeout=HANG_SECONDS) as reply:
        status: int = reply.status
        return status


async def test_it_listens_until_it_is_closed() -> None:
    """Its URL is an origin that answers; afterwards nobody listens there."""
    upstream = await start("127.0.0.1", 0, FakeClock())
    status = await asyncio.to_thread(fetch, f"{upstream.url}/v1/models")
    await upstream.aclose()

    assert status == 200
    assert upstream.last.target == "/v1/models"
    with pytest.raises(urllib.error.URLError):
        await asyncio.to_thread(fetch, f"{upstream.url}/v1/models")


async def test_a_taken_port_is_an_error() -> None:
    """Two cannot listen at one place."""
    first = await start("127.0.0.1", 0, FakeClock())
    port = int(first.url.rpartition(":")[2])

    try:
        with pytest.raises(OSError, match="address already in use"):
            await start("127.0.0.1", port, FakeClock())
    finally:
        await first.aclose()


def test_an_ipv6_origin_has_brackets() -> None:
    """The URL can be used as it is."""
    assert origin("::1", 80) == "http://[::1]:80"
    assert origin("127.0.0.1", 80) == "http://127.0.0.1:80"


async def test_closing_cuts_what_hangs() -> None:
    """A reply that never ends does not keep it alive."""
    upstream = await start("127.0.0.1", 0, FakeClock())
    port = int(upstream.url.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b'GET /v1/models HTTP/1.1\r\nHost: h\r\nx-demo: {"hang_after":0}\r\n\r\n')
    await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), HANG_SECONDS)

    await asyncio.wait_for(upstream.aclose(), HANG_SECONDS)

    assert upstream.last.aborted == "streaming"
    writer.close()


async def test_streams_have_the_pace_it_was_started_with() -> None:
    """A request that does not say is paced by the server's own."""
    clock = FakeClock()
    upstream = await start("127.0.0.1", 0, clock, pace_ms=100)
    body = b'{"model":"m","stream":true,"messages":[{"role":"user","content":"a"}]}'
    reader, writer = await asyncio.open_connection(*upstream.url[7:].split(":"))
    writer.write(
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n"
        b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
    )
    await asyncio.wait_for(reader.readuntil(b"data: "), HANG_SECONDS)
    await until(lambda: clock.pending)
    before = upstream.last.sent_bytes
    clock.advance(0.1)
    await until(lambda: upstream.last.sent_bytes > before)
    await upstream.aclose()
    writer.close()

    assert upstream.last.aborted == "streaming"
