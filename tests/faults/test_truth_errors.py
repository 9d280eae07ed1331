"""What a client is told when something went wrong, in a form that SDKs understand."""

import asyncio
import json
import re

import pytest

from gateway.demo_upstream import DemoUpstream
from tests.journey.conftest import Connect, Start
from tests.support.faults import CHUNKED, HOST, JSON, POST, asked, chat, refusal
from tests.support.gateway import HANG_SECONDS, RawClient, RawReply
from tests.support.raw_upstream import STREAM_HEAD, chunked, raw_upstream, say, whole

# Nothing of the inside: no file, no trace, no library, no address of an upstream.
INSIDE = re.compile(
    rb"traceback|\.py\b|/usr/|site-packages|aiohttp|python|uvloop|127\.0\.0\.1:\d|line \d+",
    re.IGNORECASE,
)
OPENAI_TYPES = {
    "invalid_request_error",
    "upstream_error",
    "service_unavailable_error",
    "requests",
    "tokens",
    "insufficient_quota",
    "server_error",
}

REFUSALS = {
    "no syntax": (b"nonsense\r\n\r\n", 400, "invalid_http"),
    "a bad field": (b"GET /v1/models HTTP/1.1\r\nHost localhost\r\n\r\n", 400, "invalid_http"),
    "no host": (b"GET /v1/models HTTP/1.1\r\n\r\n", 400, "invalid_http"),
    "bad chunks": (POST + JSON + CHUNKED + b"\r\nzz\r\n", 400, "invalid_http"),
    "no JSON": (chat(body=b"{"), 400, "invalid_json"),
    "no object": (chat(body=b"[]"), 400, "invalid_type"),
    "a parameter missing": (chat(body=b'{"model":"echo"}'), 400, "missing_required_parameter"),
    "too deep": (
        chat(body=b'{"model":"echo","messages":[],"x":' + b"[" * 200 + b"]" * 200 + b"}"),
        400,
        "too_complex",
    ),
    "a dot segment": (b"GET /v1/../x HTTP/1.1\r\n" + HOST + b"\r\n", 400, "invalid_path"),
    "another host": (
        b"GET /v1/models HTTP/1.1\r\nHost: evil.example\r\n\r\n",
        403,
        "host_not_allowed",
    ),
    "another origin": (chat(b"Origin: https://evil.example"), 403, "origin_not_allowed"),
    "no such path": (b"GET /v2/models HTTP/1.1\r\n" + HOST + b"\r\n", 404, "unknown_url"),
    "the root": (b"GET / HTTP/1.1\r\n" + HOST + b"\r\n", 404, "unknown_url"),
    "another method": (
        b"DELETE /v1/chat/completions HTTP/1.1\r\n" + HOST + b"\r\n",
        405,
        "method_not_allowed",
    ),
    "a method of their own": (
        b"BREW /v1/chat/completions HTTP/1.1\r\n" + HOST + b"\r\n",
        400,
        "invalid_http",
    ),
    "TRACE": (
        b"TRACE /v1/chat/completions HTTP/1.1\r\n" + HOST + b"\r\n",
        405,
        "method_not_allowed",
    ),
    "a slow head": (b"GET /v1", 408, "request_timeout"),
    "a slow body": (POST + JSON + b"Content-Length: 9\r\n\r\n", 408, "request_timeout"),
    "a large body": (POST + JSON + b"Content-Length: 999999999\r\n\r\n", 413, "request_too_large"),
    "no type": (POST + HOST + b"Content-Length: 2\r\n\r\n{}", 415, "unsupported_media_type"),
    "a form": (
        chat().replace(b"application/json", b"application/x-www-form-urlencoded"),
        415,
        "unsupported_media_type",
    ),
    "another coding": (chat(b"Content-Encoding: br"), 415, "unsupported_media_type"),
    "another expectation": (chat(b"Expect: more"), 417, "expectation_failed"),
    "a large head": (
        b"GET / HTTP/1.1\r\nX-A: " + b"a" * 99_000 + b"\r\n\r\n",
        431,
        "headers_too_large",
    ),
    "a WebSocket": (
        b"GET /v1/realtime HTTP/1.1\r\n"
        + HOST
        + b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
        501,
        "not_supported",
    ),
}


def assert_told(reply: RawReply, own_url: str) -> None:
    """Assert what holds of every reply of the gateway's own."""
    assert reply.header("x-gateway-request-id")
    assert reply.header("x-request-id") == reply.header("x-gateway-request-id")
    assert re.fullmatch(r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT", reply.header("date") or "")
    assert reply.header("server") is None
    assert not INSIDE.search(reply.body.replace(own_url.encode(), b""))
    error = json.loads(reply.body)["error"]
    assert error["type"] in OPENAI_TYPES
    assert error["message"].endswith((".", ")"))


@pytest.mark.parametrize(("raw", "status", "code"), REFUSALS.values(), ids=REFUSALS)
async def test_every_refusal_is_openai_s_object(
    demo: DemoUpstream, start: Start, connect: Connect, raw: bytes, status: int, code: str
) -> None:
    """A refusal of the parser's or the journey's has OpenAI's shape, a name, a date and nothing of the inside."""
    gateway = await start(demo.url, server=", header_timeout: 200ms, body_timeout: 200ms")
    reply = await asked(await connect(gateway), raw)
    assert refusal(reply) == (status, code)
    assert_told(reply, gateway.url)
    assert reply.header("x-should-retry") == (None if status == 408 else "false")
    assert not demo.requests


async def test_a_head_request_is_told_without_a_body(client: RawClient) -> None:
    """What HEAD is refused has the fields of the refusal and not a byte behind them."""
    client.send(
        b"HEAD /v1/nope/ HTTP/1.1\r\n" + HOST + b"\r\nGET /healthz HTTP/1.1\r\n" + HOST + b"\r\n"
    )
    reply = await client.reply(bodiless=True)
    assert reply.status == 404
    assert int(reply.header("content-length") or 0) > 0
    assert (await client.reply()).body == b"ok\n"


async def test_an_idle_connection_is_closed_in_silence(
    demo: DemoUpstream, start: Start, connect: Connect
) -> None:
    """Nobody is told 408 who asked for nothing, neither at first nor after a call."""
    gateway = await start(demo.url, server=", keepalive_timeout: 200ms, header_timeout: 200ms")
    fresh, used = await connect(gateway), await connect(gateway)
    assert (await asked(used, chat())).status == 200
    assert await fresh.closed() == b""
    assert await used.closed() == b""


async def test_health_has_a_name_and_a_date_too(client: RawClient) -> None:
    """`/healthz` needs no key, has a fixed body and what every reply has."""
    reply = await asked(client, b"GET /healthz HTTP/1.1\r\n" + HOST + b"\r\n")
    assert (reply.status, reply.body) == (200, b"ok\n")
    for name in ("date", "x-gateway-request-id", "x-request-id"):
        assert reply.header(name)


KEPT = {
    400: b'{"error":{"message":"bad","type":"invalid_request_error","param":"n","code":"invalid_value"}}',
    403: b'{"error":{"message":"no","type":"x","param":null,"code":"unsupported_country_region_territory"}}',
    404: b'{"error":{"message":"none","type":"x","param":"model","code":"model_not_found"}}',
    409: b"conflict, in words",
    413: b"<html>nginx</html>",
    422: b'{"detail":[{"loc":["body"],"msg":"field required"}]}',
    429: b'{"error":{"message":"slow down","type":"tokens","param":null,"code":"rate_limit_exceeded"}}',
    500: b'{"error":{"message":"oops","type":"server_error","param":null,"code":null}}',
    501: b"",
    502: b"<html>bad gateway</html>",
    503: b'{"error":{"message":"overloaded","type":"server_error","param":null,"code":null}}',
    504: b"gateway timeout",
    529: b"overloaded",
    599: b"?",
}


@pytest.mark.parametrize(("status", "body"), KEPT.items(), ids=map(str, KEPT))
@pytest.mark.parametrize("stream", [b"false", b"true"])
async def test_an_upstream_s_own_error_is_relayed(
    start: Start, connect: Connect, status: int, body: bytes, stream: bytes
) -> None:
    """Its status, body and `retry-after` are what the client reads, for a stream that did not begin too."""
    said = whole(
        body,
        b"Retry-After: 7",
        b"retry-after-ms: 6500",
        b"x-request-id: theirs",
        status=b"%d Nope" % status,
    )
    async with raw_upstream(say(said)) as upstream:
        gateway = await start(upstream.url, upstream=", retries: 0")
        asking = chat(body=b'{"model":"echo","messages":[],"stream":' + stream + b"}")
        reply = await asked(await connect(gateway), asking)
    assert (reply.status, reply.body, reply.whole) == (status, body, True)
    assert reply.header("retry-after") == "7"
    assert reply.header("retry-after-ms") == "6500"
    assert reply.header("x-request-id") == "theirs"
    assert reply.header("x-gateway-request-id") not in (None, "theirs")


FAILURES = {
    "its 401 to our key": (
        say(whole(b"secret words", status=b"401 No")),
        502,
        "upstream_auth_failed",
    ),
    "a break": (say(then="cut"), 502, "upstream_protocol_error"),
    "silence": (say(then="hang"), 504, "upstream_timeout"),
}


@pytest.mark.parametrize(("saying", "status", "code"), FAILURES.values(), ids=FAILURES)
async def test_a_failing_upstream_has_a_status_of_ours(
    start: Start, connect: Connect, saying: object, status: int, code: str
) -> None:
    """What an upstream did wrong is 502 or 504, in OpenAI's shape, with nothing of where it is or what it said."""
    async with raw_upstream(saying) as upstream:  # type: ignore[arg-type]
        gateway = await start(upstream.url, upstream=", retries: 0, first_byte_timeout: 200ms")
        reply = await asked(await connect(gateway), chat())
    assert refusal(reply) == (status, code)
    assert_told(reply, gateway.url)
    assert b"secret words" not in reply.body


@pytest.mark.parametrize("origin", ["http://127.0.0.1:1", "http://nowhere.invalid"])
async def test_an_unreachable_upstream_is_not_named(
    start: Start, connect: Connect, origin: str
) -> None:
    """A refused connection and a name that leads nowhere are 502, without the name."""
    gateway = await start(origin)
    reply = await asked(await connect(gateway), chat())
    assert refusal(reply) == (502, "upstream_unreachable")
    assert_told(reply, gateway.url)
    assert b"nowhere" not in reply.body


async def test_two_upstreams_that_fail_cool_down_and_come_back(
    start: Start, connect: Connect
) -> None:
    """The last target left is always tried: a cooled down upstream answers again as soon as it can."""
    async with raw_upstream(say(then="cut")) as upstream:
        gateway = await start(upstream.url, upstream=", retries: 0, cooldown: {after: 1, for: 1h}")
        client = await connect(gateway)
        for _ in range(3):
            assert (await asked(client, chat())).status == 502
        upstream.script(say(whole(b"{}")))
        assert (await asked(client, chat())).status == 200


async def test_one_more_try_at_most_and_none_after_a_byte(start: Start, connect: Connect) -> None:
    """A stale connection is replaced once, unseen; what broke after a byte of the reply is never asked again."""
    async with raw_upstream(
        say(whole(b"one")), say(then="cut"), say(whole(b"two")), say(b"HTTP/1.1 2", then="cut")
    ) as upstream:
        client = await connect(await start(upstream.url, upstream=", retries: 0"))
        assert (await asked(client, chat())).body == b"one"
        assert (await asked(client, chat())).body == b"two"
        assert upstream.requests == 3
        assert (await asked(client, chat())).status == 502
        assert upstream.requests == 4


async def test_what_would_be_done_twice_is_not_tried_twice(start: Start, connect: Connect) -> None:
    """An upload, and a call that stores something, are asked for once, however they fail."""
    async with raw_upstream(say(whole(b"", status=b"503 Busy"))) as upstream:
        client = await connect(await start(upstream.url, upstream=", retries: 3"))
        head = b"POST /v1/audio/transcriptions HTTP/1.1\r\n" + HOST
        for raw in (
            head + b"Content-Type: audio/wav\r\nContent-Length: 2\r\n\r\nhi",
            chat(body=b'{"model":"echo","messages":[],"store":true}'),
        ):
            before = upstream.requests
            assert (await asked(client, raw)).status == 503
            assert upstream.requests == before + 1


async def test_a_client_s_id_is_kept_where_it_is_well_formed(
    start: Start, connect: Connect
) -> None:
    """A name that a client gives its call is used throughout; one that could break a log or a field is not."""
    async with raw_upstream(say(whole(b"{}"))) as upstream:
        client = await connect(await start(upstream.url))
        reply = await asked(client, chat(b"X-Request-Id: mine-1.2:3_4"))
        assert reply.header("x-gateway-request-id") == "mine-1.2:3_4"
        for bad in (b"a b", b"a" * 129, b"a\xff", b'a"b', b"<script>", b""):
            reply = await asked(client, chat(b"X-Request-Id: " + bad))
            assert re.fullmatch(
                r"req-[0-9a-f]+-[0-9a-f]+", reply.header("x-gateway-request-id") or ""
            )
    assert b"\r\nx-request-id: mine-1.2:3_4\r\n" in bytes(upstream.connections[0].received).lower()


async def test_the_first_event_leaves_at_once(start: Start, connect: Connect) -> None:
    """The head and each event reach the client while the upstream still waits to say the next one."""
    first, second = asyncio.Event(), asyncio.Event()
    event = b"data: %d\n\n"
    async with raw_upstream(
        say(STREAM_HEAD, first, b"9\r\n" + event % 1 + b"\r\n", second, chunked(event % 2))
    ) as upstream:
        client = await connect(await start(upstream.url))
        client.send(chat())
        assert (await client.head())[0] == 200
        first.set()
        async with asyncio.timeout(HANG_SECONDS):
            assert await client.reader.readuntil(b"data: 1\n\n\r\n") == b"9\r\ndata: 1\n\n\r\n"
        second.set()
        assert await client.chunks() == (b"data: 2\n\n", True)
