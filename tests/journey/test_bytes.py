"""Bodies and headers cross untouched, both ways."""

import asyncio
import gzip
import hashlib
import json
import zlib

import pytest

from gateway.demo_upstream import DemoUpstream
from tests.journey.conftest import KEY, Connect, Start
from tests.support.gateway import HANG_SECONDS, RawClient
from tests.support.raw_upstream import STREAM_HEAD, chunked, raw_upstream, say, whole

ODD_BODY = (
    b'{ "model" :"echo",\n\t"messages":[{"role":"user","content":"h\\u00e9 \xf0\x9f\x8e\x89"}],'
    b' "vendor_field": {"a":[1, 2.50, 1E2]},  "temperature": 0.70 }\n'
)


async def test_a_request_goes_up_byte_for_byte(client: RawClient, demo: DemoUpstream) -> None:
    """White space, escapes, number spellings and unknown members reach the upstream as they were sent."""
    client.request("POST", "/v1/chat/completions?trace=a%20b&x", ODD_BODY)
    reply = await client.reply()

    assert reply.status == 200
    assert demo.last.body == ODD_BODY
    assert demo.last.target == "/v1/chat/completions?trace=a%20b&x"


async def test_request_headers_cross_by_the_rules(client: RawClient, demo: DemoUpstream) -> None:
    """Custom headers go up; the client's key, cookies, addresses and hop-by-hop fields stay here."""
    client.request(
        "POST",
        "/v1/chat/completions",
        ODD_BODY,
        (
            ("Authorization", "Bearer client-key-that-stays"),
            ("User-Agent", "OpenAI/Python 1.2.3"),
            ("X-Stainless-Lang", "python"),
            ("Idempotency-Key", "idem-1"),
            ("Traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
            ("Cookie", "session=1"),
            ("X-Forwarded-For", "10.0.0.1"),
            ("Referer", "https://app.example/"),
            ("OpenAI-Organization", "org-client"),
            ("X-Hop", "1"),
            ("Connection", "keep-alive, X-Hop"),
        ),
    )
    reply = await client.reply()

    seen = {name.lower(): value for name, value in demo.last.headers}
    assert seen["authorization"] == f"Bearer {KEY}"
    assert seen["user-agent"] == "OpenAI/Python 1.2.3"
    assert seen["x-stainless-lang"] == "python"
    assert seen["idempotency-key"] == "idem-1"
    assert seen["traceparent"].startswith("00-0af7651916cd43dd")
    assert seen["x-request-id"] == reply.header("x-gateway-request-id")
    absent = ("cookie", "x-forwarded-for", "referer", "openai-organization", "x-hop")
    assert not set(absent) & set(seen)
    assert "client-key-that-stays" not in json.dumps(demo.last.headers)


async def test_reply_headers_cross_by_the_rules(client: RawClient) -> None:
    """The upstream's own fields come back under their names; cookies and hop-by-hop fields stay here."""
    script = {
        "headers": {
            "OpenAI-Organization": "org-1",
            "X-Request-ID": "req_upstream",
            "Set-Cookie": "__cf=1",
            "Alt-Svc": "h3",
        }
    }
    client.request(
        "POST",
        "/v1/chat/completions",
        b'{"model":"echo","messages":[{"role":"user","content":"hi"}]}',
        (("x-demo", json.dumps(script)), ("x-request-id", "mine-1")),
    )
    reply = await client.reply()

    assert reply.header("openai-organization") == "org-1"
    assert reply.header("x-request-id") == "req_upstream"
    assert reply.header("x-gateway-request-id") == "mine-1"
    assert reply.header("x-gateway-upstream") == "up"
    assert (reply.header("server-timing") or "").startswith("gateway;dur=")
    assert reply.header("set-cookie") is None
    assert reply.header("alt-svc") is None


async def test_a_compressed_request_goes_up_as_it_came(
    client: RawClient, demo: DemoUpstream
) -> None:
    """A gzip body is read beside its way and not unpacked for the upstream."""
    packed = gzip.compress(b'{"model":"echo","messages":[{"role":"user","content":"packed"}]}')
    client.request("POST", "/v1/chat/completions", packed, (("Content-Encoding", "gzip"),))
    await client.reply()

    assert demo.last.body == packed
    assert demo.last.header("content-encoding") == "gzip"


@pytest.mark.parametrize("path", ["/v1/moderations", "/v1/images/generations", "/v1/audio/speech"])
async def test_other_json_paths_are_relayed(
    client: RawClient, demo: DemoUpstream, path: str
) -> None:
    """Paths that the gateway does not look into are relayed as they are."""
    body = b'{"model": "m", "input": "x", "prompt": "p", "voice": "alloy"}'
    client.request("POST", path, body)
    reply = await client.reply()

    assert reply.status == 200
    assert reply.whole
    assert (demo.last.target, demo.last.body) == (path, body)


async def test_responses_stream_with_event_lines(client: RawClient) -> None:
    """The responses API's `event:` lines come through."""
    client.request("POST", "/v1/responses", b'{"model":"echo","input":"hello there","stream":true}')
    reply = await client.reply()

    assert reply.header("content-type") == "text/event-stream; charset=utf-8"
    assert b"event: response.completed\n" in reply.body
    assert reply.whole


async def test_get_and_delete(client: RawClient, demo: DemoUpstream) -> None:
    """Methods without bodies are relayed."""
    client.request("GET", "/v1/models")
    listed = await client.reply()
    client.request("DELETE", "/v1/files/file-none")
    deleted = await client.reply()

    assert json.loads(listed.body)["object"] == "list"
    assert (demo.last.method, demo.last.target) == ("DELETE", "/v1/files/file-none")
    assert deleted.status == 404


async def test_head_has_a_gets_head_and_no_body(start: Start, connect: Connect) -> None:
    """HEAD comes back with the length of what GET would get, and the connection goes on."""
    async with raw_upstream(
        say(b"HTTP/1.1 200 OK\r\nContent-Length: 42\r\n\r\n"), say(whole(b"next"))
    ) as upstream:
        client = await connect(await start(upstream.url))
        client.request("HEAD", "/v1/models")
        head = await client.reply(bodiless=True)
        client.request("GET", "/v1/models")
        listed = await client.reply()

    assert head.header("content-length") == "42"
    assert listed.body == b"next"


async def test_an_upload_streams_up_untouched(
    demo: DemoUpstream, start: Start, connect: Connect
) -> None:
    """A multipart upload reaches the upstream byte for byte, with a length and in chunks."""
    client = await connect(await start(demo.url))
    file = bytes(range(256)) * 2000
    body = (
        b'--b\r\nContent-Disposition: form-data; name="model"\r\n\r\nwhisper-1\r\n'
        b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'
        + file
        + b"\r\n--b--\r\n"
    )
    form = ("Content-Type", "multipart/form-data; boundary=b")
    client.request("POST", "/v1/audio/transcriptions", body, (form,))
    reply = await client.reply()

    assert reply.status == 200
    assert demo.last.sha256 == hashlib.sha256(body).hexdigest()
    assert demo.last.header("content-length") == str(len(body))

    client.send(
        b"POST /v1/audio/transcriptions HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        b"Content-Type: multipart/form-data; boundary=b\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    for at in range(0, len(body), 10_000):
        piece = body[at : at + 10_000]
        client.send(b"%x\r\n%b\r\n" % (len(piece), piece))
    client.send(b"0\r\n\r\n")
    reply = await client.reply()

    assert reply.status == 200
    assert demo.last.sha256 == hashlib.sha256(body).hexdigest()
    assert demo.last.header("transfer-encoding") == "chunked"


async def test_speech_streams_down(client: RawClient) -> None:
    """Binary replies come down whole."""
    client.request(
        "POST", "/v1/audio/speech", b'{"model":"tts-1","input":"one two three","voice":"alloy"}'
    )
    reply = await client.reply()

    assert reply.header("content-type") == "audio/wav"
    assert reply.whole
    assert len(reply.body) > 100


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
async def test_compressed_replies_stay_compressed(client: RawClient, encoding: str) -> None:
    """A content coding is relayed, not undone."""
    client.request(
        "POST",
        "/v1/chat/completions",
        b'{"model":"echo","messages":[{"role":"user","content":"hello"}],"stream":true}',
        (("Accept-Encoding", "gzip, deflate, br"), ("x-demo", json.dumps({"encoding": encoding}))),
    )
    reply = await client.reply()

    assert reply.header("content-encoding") == encoding
    assert b"data: [DONE]" in zlib.decompressobj(47 if encoding == "gzip" else 15).decompress(
        reply.body
    )


async def test_comments_keep_a_silent_stream_alive(start: Start, connect: Connect) -> None:
    """Where it is configured, a comment comes between events while the upstream is silent, never inside one."""
    event = b'data: {"choices":[]}\n\n'
    async with raw_upstream(
        say(STREAM_HEAD, chunked(event, b"data: ha", end=False), then="hang")
    ) as up:
        client = await connect(await start(up.url, server=", stream_keepalive: 1s"))
        client.request("POST", "/v1/chat/completions", ODD_BODY)
        await client.head()
        async with asyncio.timeout(HANG_SECONDS):
            got = await client.reader.readuntil(b"data: ha")
    assert b"keep-alive" not in got

    async with raw_upstream(say(STREAM_HEAD, chunked(event, end=False), then="hang")) as up:
        client = await connect(await start(up.url, server=", stream_keepalive: 1s"))
        client.request("POST", "/v1/chat/completions", ODD_BODY)
        await client.head()
        async with asyncio.timeout(HANG_SECONDS):
            got = await client.reader.readuntil(b": keep-alive\n\n\r\n")

    assert got == b"16\r\n" + event + b"\r\ne\r\n: keep-alive\n\n\r\n"
