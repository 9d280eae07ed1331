"""Refusals of the gateway's own: OpenAI's object, the right status, ids, and nothing of the inside."""

import asyncio
import json

import pytest

from gateway.demo_upstream import DemoUpstream
from tests.journey.conftest import Connect, Start
from tests.support.gateway import HANG_SECONDS, RawClient, RawReply

CHAT = b'{"model":"echo","messages":[{"role":"user","content":"hi"}]}'


def refusal(reply: RawReply) -> tuple[int, str, str | None]:
    error = json.loads(reply.body)["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert reply.header("content-type") == "application/json"
    assert reply.header("x-gateway-request-id")
    assert reply.header("x-request-id")
    return reply.status, error["type"], error["code"]


BAD = "invalid_request_error"


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"NONSENSE\r\n\r\n", (400, BAD, "invalid_http")),
        (b"GET /v1/models HTTP/1.1\r\nHost : x\r\n\r\n", (400, BAD, "invalid_http")),
        (b"GET /v1/models HTTP/1.1\r\nHost: x\r\n folded\r\n\r\n", (400, BAD, "invalid_http")),
        (b"GET /v1/models HTTP/1.1\nHost: x\n\n", (400, BAD, "invalid_http")),
        (b"GET /v1/models HTTP/1.1\r\nHost: x\0y\r\n\r\n", (400, BAD, "invalid_http")),
        (
            b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            (400, BAD, "invalid_http"),
        ),
        (
            b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n0x5\r\nhello\r\n",
            (400, BAD, "invalid_http"),
        ),
        (
            b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\nX-Big: " + b"x" * 70_000 + b"\r\n\r\n",
            (431, BAD, "headers_too_large"),
        ),
        (
            b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\n" + b"X-A: 1\r\n" * 300 + b"\r\n",
            (431, BAD, "headers_too_large"),
        ),
        (
            b"CONNECT example.com:443 HTTP/1.1\r\nHost: example.com\r\n\r\n",
            (400, BAD, "invalid_path"),
        ),
    ],
)
async def test_what_cannot_be_parsed(
    client: RawClient, raw: bytes, expected: tuple[int, str, str]
) -> None:
    """Parser-level errors are OpenAI's object too, and end the connection."""
    client.send(raw)
    reply = await client.reply()

    assert refusal(reply) == expected
    client.writer.write_eof()
    await client.closed()


@pytest.mark.parametrize(
    ("method", "path", "headers", "body", "expected"),
    [
        ("POST", "/chat/completions", (), CHAT, (404, BAD, "unknown_url")),
        ("GET", "/metrics", (), b"", (404, BAD, "unknown_url")),
        ("POST", "/v1/files/%2e%2e/x", (), CHAT, (400, BAD, "invalid_path")),
        ("PUT", "/v1/chat/completions", (), CHAT, (405, BAD, "method_not_allowed")),
        ("POST", "/v1/chat/completions", (), b"{", (400, BAD, "invalid_json")),
        ("POST", "/v1/chat/completions", (), b'{"a":1,"a":2}', (400, BAD, "invalid_json")),
        ("POST", "/v1/chat/completions", (), b"{}", (400, BAD, "missing_required_parameter")),
        (
            "POST",
            "/v1/chat/completions",
            (("Content-Type", "application/x-www-form-urlencoded"),),
            CHAT,
            (415, BAD, "unsupported_media_type"),
        ),
        (
            "POST",
            "/v1/chat/completions",
            (("Expect", "200-ok"),),
            CHAT,
            (417, BAD, "expectation_failed"),
        ),
        (
            "GET",
            "/v1/realtime",
            (("Upgrade", "websocket"), ("Connection", "Upgrade")),
            b"",
            (501, BAD, "not_supported"),
        ),
        (
            "POST",
            "/v1/chat/completions",
            (("Host", "evil.example"),),
            CHAT,
            (403, BAD, "host_not_allowed"),
        ),
        (
            "POST",
            "/v1/chat/completions",
            (("Origin", "https://evil.example"),),
            CHAT,
            (403, BAD, "origin_not_allowed"),
        ),
    ],
)
async def test_refused_requests(
    client: RawClient,
    method: str,
    path: str,
    headers: tuple[tuple[str, str], ...],
    body: bytes,
    expected: tuple[int, str, str],
) -> None:
    """Each refusal has its status, type and code, and says that trying again is of no use."""
    fields = "".join(f"{name}: {value}\r\n" for name, value in headers)
    for name, default in (("Host", "localhost"), ("Content-Type", "application/json")):
        if not any(field == name for field, _ in headers):
            fields += f"{name}: {default}\r\n"
    client.send(
        f"{method} {path} HTTP/1.1\r\n{fields}Content-Length: {len(body)}\r\n\r\n".encode() + body
    )
    reply = await client.reply()

    assert refusal(reply) == expected
    assert reply.header("x-should-retry") == "false"


async def test_405_names_what_is_allowed(client: RawClient) -> None:
    """A wrong method is told the right one."""
    client.request("GET", "/v1/chat/completions")
    reply = await client.reply()

    assert reply.header("allow") == "POST"


async def test_a_body_above_the_limit_is_413(
    demo: DemoUpstream, start: Start, connect: Connect
) -> None:
    """Announced, streamed and inflated bodies above `max_body` are refused; one at the limit passes."""
    gateway = await start(demo.url, server=", max_body: 64KiB")
    fits = CHAT + b" " * (65_536 - len(CHAT))
    client = await connect(gateway)
    client.request("POST", "/v1/chat/completions", fits)
    assert (await client.reply()).status == 200

    client.request("POST", "/v1/chat/completions", fits + b" ")
    assert refusal(await client.reply()) == (413, BAD, "request_too_large")

    client = await connect(gateway)
    client.send(
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n" + b"8000\r\n" + b" " * 32_768 + b"\r\n"
        b"8001\r\n" + b" " * 32_769 + b"\r\n"
    )
    assert refusal(await client.reply()) == (413, BAD, "request_too_large")


async def test_a_slow_head_is_408_and_an_idle_connection_is_closed_in_silence(
    demo: DemoUpstream, start: Start, connect: Connect
) -> None:
    """408 only after a byte of a request came."""
    gateway = await start(demo.url, server=", header_timeout: 200ms, keepalive_timeout: 300ms")
    slow = await connect(gateway)
    slow.send(b"POST /v1/chat")
    assert refusal(await slow.reply()) == (408, BAD, "request_timeout")
    await slow.closed()

    idle = await connect(gateway)
    assert await idle.closed() == b""


async def test_a_slow_body_is_408(demo: DemoUpstream, start: Start, connect: Connect) -> None:
    """A JSON body has one deadline for all of it."""
    client = await connect(await start(demo.url, server=", body_timeout: 200ms"))
    client.send(
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Content-Length: 100\r\n\r\n{"
    )

    assert refusal(await client.reply()) == (408, BAD, "request_timeout")


async def test_100_continue_is_said_when_the_body_is_wanted(client: RawClient) -> None:
    """A client that waits for leave to send its body gets it."""
    client.send(
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(CHAT)
    )
    assert (await client.head())[0] == 100

    client.send(CHAT)

    assert (await client.reply()).status == 200


async def test_pipelined_requests_are_answered_in_order(client: RawClient) -> None:
    """Requests that come together are answered one after the other."""
    for text in (b"one", b"two", b"three"):
        client.request("POST", "/v1/chat/completions", CHAT.replace(b"hi", text))
    replies = [await client.reply() for _ in range(3)]

    said = [json.loads(reply.body)["choices"][0]["message"]["content"] for reply in replies]
    assert said == ["one", "two", "three"]


async def test_one_byte_at_a_time(client: RawClient) -> None:
    """A request that comes byte by byte is the same request."""
    client.writer.get_extra_info("socket").setsockopt(6, 1, 1)
    raw = (
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Content-Length: %d\r\n\r\n" % len(CHAT)
    ) + CHAT
    for at in range(len(raw)):
        client.send(raw[at : at + 1])
        await client.writer.drain()

    assert (await client.reply()).status == 200


async def test_http_1_0_and_absolute_targets(client: RawClient) -> None:
    """An absolute target names its host; a 1.0 client gets no chunks and its connection's end."""
    client.send(b"GET http://localhost/v1/models HTTP/1.1\r\nHost: ignored.example\r\n\r\n")
    assert (await client.reply()).status == 200

    body = CHAT[:-1] + b',"stream":true}'
    client.send(
        b"POST /v1/chat/completions HTTP/1.0\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Content-Length: %d\r\n\r\n" % len(body) + body
    )
    reply = await client.reply()

    assert reply.header("transfer-encoding") is None
    assert reply.header("connection") == "close"
    assert reply.body.endswith(b"data: [DONE]\n\n")


async def test_overload_is_shed_at_once(demo: DemoUpstream, start: Start, connect: Connect) -> None:
    """Above `max_in_flight` a call is refused with a time to come back; health stays green."""
    gateway = await start(demo.url, server=", max_in_flight: 1")
    held, shed = await connect(gateway), await connect(gateway)
    held.request("POST", "/v1/chat/completions", CHAT, (("x-demo", '{"hang_after": -1}'),))
    async with asyncio.timeout(HANG_SECONDS):
        while not demo.requests:  # noqa: ASYNC110 - the demo has no event for it
            await asyncio.sleep(0.001)
    shed.request("POST", "/v1/chat/completions", CHAT)
    reply = await shed.reply()

    assert refusal(reply) == (503, "service_unavailable_error", "overloaded")
    assert reply.header("retry-after") == "1"
    shed.request("GET", "/healthz")
    assert (await shed.reply()).body == b"ok\n"


async def test_a_loop_is_found(start: Start, connect: Connect) -> None:
    """A call that comes back to the gateway that sent it ends there, and says why."""
    first = await start("http://127.0.0.1:1")
    second = await start(first.url.removesuffix("/v1"))
    text = first.path.read_text()
    first.path.write_text(text.replace("http://127.0.0.1:1/v1", second.url))
    first.app.reload()
    client = await connect(first)
    client.request("POST", "/v1/chat/completions", CHAT)
    reply = await client.reply()

    assert refusal(reply) == (502, "upstream_error", "loop_detected")
    assert first.app.metrics.upstream_requests.values[("up", "502")] <= 2
