"""What a hostile client sends: no 5xx, no second reading of a message, no memory that only it pays for."""

import asyncio
import json
from pathlib import Path

import pytest

from gateway.demo_upstream import DemoUpstream
from gateway.entries import Entry
from tests.journey.conftest import KEY, Connect, Start
from tests.support.gateway import HANG_SECONDS, KeptLog, RawClient, running
from tests.support.raw_upstream import raw_upstream, say, whole

CHAT = b'{"model":"demo","messages":[{"role":"user","content":"hi"}]}'
JSON = b"Host: localhost\r\nContent-Type: application/json\r\n"
CHUNKED = b"\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(CHAT), CHAT)
SIZED = b"Content-Length: %d\r\n\r\n%b" % (len(CHAT), CHAT)
CORS = ', cors_origins: ["https://app.example"]'
FORM = (
    b"POST /v1/audio/transcriptions HTTP/1.1\r\nHost: localhost\r\n"
    b"Content-Type: multipart/form-data; boundary="
)


@pytest.mark.parametrize(
    ("request_line", "rest"),
    [
        (b"HTTP/1.0", b"Connection: keep-alive\r\nTransfer-Encoding: chunked\r\n" + CHUNKED),
        (b"HTTP/1.1", b"Transfer-Encoding: gzip, chunked\r\n" + CHUNKED),
        (b"HTTP/2.0", SIZED),
        (b"HTTP/0.9", SIZED),
    ],
)
async def test_framing_that_others_read_differently_is_refused(
    demo: DemoUpstream, client: RawClient, request_line: bytes, rest: bytes
) -> None:
    """Chunks in HTTP/1.0, further transfer codings and other versions are 400 and the connection's end."""
    client.send(b"POST /v1/chat/completions " + request_line + b"\r\n" + JSON + rest)
    reply = await client.reply()

    assert (reply.status, json.loads(reply.body)["error"]["code"]) == (400, "invalid_http")
    assert reply.header("connection") == "close"
    await client.closed()
    assert not demo.requests


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\nOrigin: http://[\r\n\r\n", 403),
        (
            b"OPTIONS /v1/models HTTP/1.1\r\nHost: localhost\r\nOrigin: https://app.example\r\n"
            b"Access-Control-Request-Headers: x-\xe2\x82\xac\xff\r\n\r\n",
            204,
        ),
        (FORM + b"\xe2\x82\xac\xff\r\nContent-Length: 2\r\n\r\nhi", 400),
        (b"GET /v1/files/a#b HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
    ],
)
async def test_odd_header_values_are_no_defect(
    demo: DemoUpstream, start: Start, connect: Connect, raw: bytes, status: int
) -> None:
    """Values outside what their fields allow, ASCII or not, are refused or relayed, never a 500."""
    client = await connect(await start(demo.url, server=CORS))
    client.send(raw)

    assert (await client.reply()).status == status


async def test_a_body_on_its_way_when_draining_begins_still_arrives(
    demo: DemoUpstream, connect: Connect, tmp_path: Path
) -> None:
    """A call whose body is half there is no less in progress: it is answered, and the connection ends with it."""
    config = (
        'server: {listen: "127.0.0.1:0", shutdown_grace: 10s}\nadmin: {listen: "127.0.0.1:0"}\n'
        f'upstreams: [{{name: up, base_url: "{demo.url}/v1"}}]\n'
    )
    async with running(config, tmp_path) as gateway:
        client = await connect(gateway)
        client.send(b"POST /v1/chat/completions HTTP/1.1\r\n" + JSON + SIZED[:-10])
        async with asyncio.timeout(HANG_SECONDS):
            while not gateway.app.calls_in_flight:  # noqa: ASYNC110 - nothing tells
                await asyncio.sleep(0.001)
        draining = asyncio.create_task(gateway.app.drain())
        await asyncio.sleep(0)
        client.send(SIZED[-10:])
        reply = await client.reply()

        assert reply.status == 200
        assert reply.header("connection") == "close"
        await draining


async def test_replies_that_nobody_reads_hold_back_what_is_pipelined(
    demo: DemoUpstream, start: Start, connect: Connect
) -> None:
    """A client that asks and never reads costs one buffer, however much it asks; when it reads, nothing is lost."""
    asked = 40_000
    gateway = await start(demo.url)
    client = await connect(gateway)
    client.send(b"GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n" * asked)
    requests = gateway.app.metrics.requests
    seen = -1.0
    async with asyncio.timeout(HANG_SECONDS):
        while seen != (seen := sum(requests.values.values())) or not seen:  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.1)

    assert max(gateway.app.held_bytes()) <= 128 * 1024
    assert seen < asked
    for _ in range(100):
        assert (await client.reply()).status == 404


async def test_what_escapes_after_a_reply_is_not_told_on_top_of_it(
    demo: DemoUpstream, start: Start, connect: Connect
) -> None:
    """A failure behind a call's end cuts the connection: a second reply would answer the next request."""

    class BrokenLog(KeptLog):
        def access(self, call: Entry) -> None:
            raise RuntimeError("no more lines")

    client = await connect(await start(demo.url, log=BrokenLog()))
    client.request("POST", "/v1/chat/completions", CHAT)
    assert (await client.reply()).status == 200

    assert await client.closed() == b""


async def test_names_that_clients_make_up_become_no_series(start: Start, connect: Connect) -> None:
    """However many models are asked for in vain, the health of upstreams is told under names that are known."""
    gateway = await start(
        "http://127.0.0.1:1",
        "models: {known: {targets: [{upstream: up, model: echo}]}}",
        upstream=", retries: 0",
    )
    client = await connect(gateway)
    for name in (b"known", b"made-up-1", b"made-up-2"):
        client.request("POST", "/v1/chat/completions", CHAT.replace(b"demo", name))
        assert (await client.reply()).status == 502
    samples = gateway.app.metrics.upstream_up.collect().samples

    assert {sample.labels["model"] for sample in samples} == {"", "echo", "other"}

    client.request("POST", "/v1/chat/completions", CHAT.replace(b"demo", b"m" * 513))
    reply = await client.reply()
    assert (reply.status, json.loads(reply.body)["error"]["param"]) == (400, "model")


async def test_what_is_stored_is_asked_for_once(start: Start, connect: Connect) -> None:
    """A completion that the upstream stores is not asked for again after a failure; another one is."""
    async with raw_upstream(say(whole(b"{}", status=b"503 Busy"))) as upstream:
        client = await connect(await start(upstream.url))
        for more, asked in ((b',"store":true}', 1), (b"}", 2)):
            before = upstream.requests
            client.request("POST", "/v1/chat/completions", CHAT[:-1] + more)
            assert (await client.reply()).status == 503
            assert upstream.requests - before == asked


@pytest.mark.parametrize(
    ("upstream", "reply"),
    [
        ("", whole(b"{}", status=b"400 " + KEY.encode())),
        (
            f', headers: {{authorization: "Bearer {KEY}"}}',
            whole(KEY.encode(), status=b"400 Bad Request"),
        ),
    ],
)
async def test_the_key_comes_back_by_no_way(
    start: Start, connect: Connect, upstream: str, reply: bytes
) -> None:
    """A reason phrase is watched like a header, and a key that stands among `headers` like `api_key`."""
    async with raw_upstream(say(reply)) as scripted:
        key = None if upstream else KEY
        client = await connect(await start(scripted.url, upstream=upstream, key=key))
        client.request("POST", "/v1/chat/completions", CHAT)

        assert (await client.reply()).status == 502


async def test_one_says_which_pages_may_read(start: Start, connect: Connect) -> None:
    """Where the gateway answers a listed origin, the upstream's own words on that stay here."""
    fields = (b"Access-Control-Allow-Origin: *", b"Access-Control-Expose-Headers: x")
    async with raw_upstream(say(whole(b"{}", *fields))) as scripted:
        client = await connect(await start(scripted.url, server=CORS))
        client.request("POST", "/v1/chat/completions", CHAT, (("Origin", "https://app.example"),))
        reply = await client.reply()

    named = [value for name, value in reply.headers if name == "access-control-allow-origin"]
    assert named == ["https://app.example"]


async def test_a_list_that_cannot_be_read_is_no_404(start: Start, connect: Connect) -> None:
    """Where an upstream cannot say whether it has a model, the client may come again."""
    async with raw_upstream(say(whole(b"", status=b"503 Busy"))) as scripted:
        other = f'}}, {{name: other, base_url: "{scripted.url}/v1"'
        client = await connect(await start(scripted.url, upstream=other))
        client.request("POST", "/v1/chat/completions", CHAT)
        reply = await client.reply()

    assert (reply.status, reply.header("retry-after")) == (503, "5")
