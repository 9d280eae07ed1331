"""Whose key goes where, who decides where a call goes, and that nobody is served unasked."""

import gzip
import json
from collections.abc import Mapping

import pytest

from gateway.demo_upstream import DemoUpstream
from tests.journey.conftest import KEY, Connect, Start
from tests.support.faults import CHAT, HOST, JSON, POST, asked, chat, refusal
from tests.support.raw_upstream import Say, chunked, raw_upstream, say, whole

OURS = KEY.encode()
THEIRS = "client-secret-key-1"
AUTH = f"auth: {{keys: [{{user: alice, key: {THEIRS}}}]}}"
BEARER = b"Authorization: Bearer " + THEIRS.encode()

LEAKS = {
    "in a field": say(whole(b"{}", b"X-Debug: key=" + OURS)),
    "in a field's value alone": say(whole(b"{}", b"Authorization: Bearer " + OURS)),
    "in the reason": say(whole(b"{}", status=b"400 bad " + OURS)),
    "in an error": say(whole(b'{"error":"' + OURS + b'"}', status=b"400 Bad")),
    "in an error of the server's": say(whole(OURS, status=b"500 Oops")),
    "in an error in chunks": say(
        b"HTTP/1.1 429 Slow\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(OURS[:9], OURS[9:])
    ),
    "in a compressed error": say(
        whole(gzip.compress(OURS), b"Content-Encoding: gzip", status=b"403 No")
    ),
    "in an error that ends with its connection": say(b"HTTP/1.1 422 No\r\n\r\n" + OURS, then="end"),
}


@pytest.mark.parametrize("saying", LEAKS.values(), ids=LEAKS)
async def test_the_upstream_s_key_comes_back_by_no_way(
    start: Start, connect: Connect, saying: Say
) -> None:
    """A field or an error that holds the key that was sent up is withheld, and told as 502."""
    async with raw_upstream(saying) as upstream:
        client = await connect(await start(upstream.url, upstream=", retries: 0"))
        reply = await asked(client, chat())
    assert refusal(reply) == (502, "upstream_protocol_error")
    assert OURS not in repr(reply).encode()


async def test_errors_without_a_key_pass(start: Start, connect: Connect) -> None:
    """An error that holds no key is the client's to read, as it came."""
    packed = gzip.compress(b"no such key: ********")
    refused = whole(packed, b"Content-Encoding: gzip", status=b"403 No")
    async with raw_upstream(say(refused)) as upstream:
        reply = await asked(await connect(await start(upstream.url)), chat())
    assert (reply.status, reply.body) == (403, packed)


CREDENTIALS = {
    "Authorization": BEARER,
    "bearer in small letters": b"authorization: bearer " + THEIRS.encode(),
    "api-key": b"api-key: " + THEIRS.encode(),
    "X-API-Key": b"X-API-Key: " + THEIRS.encode(),
    "two of them": BEARER + b"\r\nx-api-key: " + THEIRS.encode(),
}


@pytest.mark.parametrize("field", CREDENTIALS.values(), ids=CREDENTIALS)
async def test_the_client_s_key_goes_no_further(
    start: Start, connect: Connect, field: bytes
) -> None:
    """Wherever a client puts its key, it is let in by it, and the upstream sees ours alone."""
    async with raw_upstream(say(whole(b"{}"))) as upstream:
        client = await connect(await start(upstream.url, AUTH))
        assert (await asked(client, chat(field))).status == 200
    sent = bytes(upstream.connections[0].received)
    assert THEIRS.encode() not in sent
    assert sent.count(OURS) == 1


WRONG = {
    "none": b"X-Nothing: 1",
    "another": b"Authorization: Bearer wrong",
    "empty": b"Authorization: Bearer ",
    "without a scheme": b"Authorization: " + THEIRS.encode(),
    "another scheme": b"Authorization: Basic " + THEIRS.encode(),
    "a beginning": b"Authorization: Bearer " + THEIRS.encode()[:-1],
    "more": b"Authorization: Bearer " + THEIRS.encode() + b"1",
    "in capitals": b"Authorization: Bearer " + THEIRS.upper().encode(),
    "twice": BEARER + b"\r\n" + BEARER,
    "two that differ": BEARER + b"\r\napi-key: wrong",
    "its digest": b"Authorization: Bearer "
    b"2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b",
    "beyond ASCII": b"Authorization: Bearer \xff\xfe",
    "64 KiB": b"Authorization: Bearer " + b"k" * 50_000,
    "in a cookie": b"Cookie: api-key=" + THEIRS.encode(),
    "in the proxy's field": b"Proxy-Authorization: Bearer " + THEIRS.encode(),
    "with an underscore": b"api_key: " + THEIRS.encode(),
    "from this machine": b"X-Forwarded-For: 127.0.0.1\r\nX-Real-IP: 127.0.0.1\r\nForwarded: for=127.0.0.1",
    "as a user": b"X-User: alice\r\nX-Forwarded-User: alice\r\nRemote-User: alice",
}


@pytest.mark.parametrize("field", WRONG.values(), ids=WRONG)
async def test_nobody_comes_in_without_a_key(start: Start, connect: Connect, field: bytes) -> None:
    """Anything but exactly one right key is 401, and the upstream hears of nothing."""
    async with raw_upstream(say(whole(b"{}"))) as upstream:
        client = await connect(await start(upstream.url, AUTH))
        reply = await asked(client, chat(field))
    assert refusal(reply)[0] == 401
    assert reply.header("www-authenticate") == "Bearer"
    assert upstream.requests == 0


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/audio/transcriptions", "/v1/files"])
@pytest.mark.parametrize("expect", [b"", b"Expect: 100-continue\r\n"])
async def test_a_body_is_not_asked_for_before_its_sender_is_known(
    start: Start, connect: Connect, path: str, expect: bytes
) -> None:
    """A wrong key is refused by the head alone: no 100, not a byte of the body awaited, whatever the path."""
    async with raw_upstream(say(whole(b"{}"))) as upstream:
        client = await connect(await start(upstream.url, AUTH))
        head = b"POST " + path.encode() + b" HTTP/1.1\r\n" + JSON + expect
        reply = await asked(client, head + b"Content-Length: 1000000\r\n\r\n")
    assert reply.status == 401
    assert reply.header("connection") == "close"


async def test_who_waits_for_leave_hears_of_every_refusal_by_the_head_first(
    demo: DemoUpstream, start: Start, connect: Connect
) -> None:
    """What the head alone decides, size and type included, is said before anybody is asked for the body."""
    gateway = await start(demo.url, server=", max_body: 1KiB, max_upload: 2KiB")
    form = b"Content-Type: multipart/form-data; boundary=b\r\n"
    expect = b"Expect: 100-continue\r\n"
    upload = b"POST /v1/audio/transcriptions HTTP/1.1\r\n"
    for head, status in (
        (POST + JSON + expect + b"Content-Length: 1025\r\n", 413),
        (upload + HOST + form + expect + b"Content-Length: 2049\r\n", 413),
        (POST + HOST + b"Content-Type: text/plain\r\n" + expect + b"Content-Length: 9\r\n", 415),
        (POST + JSON + b"Content-Encoding: br\r\n" + expect + b"Content-Length: 9\r\n", 415),
        (POST + JSON + b"Expect: 42\r\nContent-Length: 9\r\n", 417),
        (b"GET /v1/chat/completions HTTP/1.1\r\n" + JSON + expect + b"Content-Length: 9\r\n", 405),
        (b"POST /v1/nope/../x HTTP/1.1\r\n" + JSON + expect + b"Content-Length: 9\r\n", 400),
    ):
        reply = await asked(await connect(gateway), head + b"\r\n")
        assert (reply.status, reply.header("connection")) == (status, "close")

    client = await connect(gateway)
    client.send(POST + JSON + expect + b"Content-Length: %d\r\n\r\n" % len(CHAT))
    assert await client.head() == (100, ())
    assert (await asked(client, CHAT)).status == 200


PATHS = {
    "a dot segment": b"/v1/files/../chat/completions",
    "a dot segment at the end": b"/v1/chat/completions/..",
    "a single dot": b"/v1/./chat/completions",
    "an encoded dot segment": b"/v1/files/%2e%2e/chat/completions",
    "half encoded": b"/v1/files/.%2E/chat/completions",
    "an encoded slash and dots": b"/v1/files/..%2fchat/completions",
    "a backslash": b"/v1/files\\..\\chat/completions",
    "an encoded backslash": b"/v1/files%5c..%5cchat/completions",
    "out of the root": b"/v1/../../etc/passwd",
    "a doubled slash": b"/v1//chat/completions",
    "slashes before it": b"//v1/chat/completions",
    "a known path in encoding": b"/v1/chat/%63ompletions",
    "an encoded slash in a known path": b"/v1/chat%2fcompletions",
    "a parameter": b"/v1/chat/completions;x=1",
    "a fragment": b"/v1/chat/completions#x",
    "an encoded NUL": b"/v1/chat/completions%00",
    "an encoded line end": b"/v1/files/a%0d%0aX-Evil:%201",
}


@pytest.mark.parametrize("path", PATHS.values(), ids=PATHS)
async def test_path_tricks_are_refused(start: Start, connect: Connect, path: bytes) -> None:
    """A path that two servers could read as two paths reaches none of them."""
    async with raw_upstream(say(whole(b"{}"))) as upstream:
        client = await connect(await start(upstream.url))
        reply = await asked(client, chat().replace(b"/v1/chat/completions", path, 1))
    assert refusal(reply)[0] in (400, 404)
    assert upstream.requests == 0


async def test_odd_but_plain_paths_go_up_as_they_are(start: Start, connect: Connect) -> None:
    """Names with dots, encoded spaces and slashes, and queries of any kind cross untouched."""
    targets = [
        b"/v1/models/a..b",
        b"/v1/models/org%2Fname",
        b"/v1/files/a%20b",
        b"/v1/models?x=../..&y=%00;z#"[:-1],
    ]
    async with raw_upstream(say(whole(b"{}"))) as upstream:
        client = await connect(await start(upstream.url))
        for target in targets:
            assert (
                await asked(client, b"GET " + target + b" HTTP/1.1\r\n" + HOST + b"\r\n")
            ).status == 200
    lines = bytes(upstream.connections[0].received).split(b"\r\n")
    assert [line.split(b" ")[1] for line in lines if line.startswith(b"GET ")] == targets


HOPES = {
    "another base URL in the body": (
        b"",
        {"base_url": "http://evil.example/v1", "api_base": "http://evil.example"},
    ),
    "a key in the body": (b"", {"api_key": "evil", "organization": "evil"}),
    "headers in the body": (
        b"",
        {"extra_headers": {"Authorization": "Bearer evil"}, "headers": {"Host": "evil.example"}},
    ),
    "an organisation": (b"OpenAI-Organization: evil\r\nOpenAI-Project: evil\r\n", {}),
    "an organisation with underscores": (b"OpenAI_Organization: evil\r\n", {}),
    "an upstream by header": (b"X-Upstream: evil\r\nX-Base-URL: http://evil.example\r\n", {}),
    "a host by header": (b"X-Forwarded-Host: evil.example\r\nX-Host: evil\r\n", {}),
    "a private header of ours": (b"X-Gateway-Upstream: evil\r\nX_Gateway_Upstream: evil\r\n", {}),
    "our key named as hop-by-hop": (b"Connection: authorization, host, content-length\r\n", {}),
    "a method by header": (b"X-HTTP-Method-Override: DELETE\r\n", {}),
    "an image to fetch": (
        b"",
        {
            "messages": [
                {
                    "role": "user",
                    "content": [
                        {"type": "image_url", "image_url": {"url": "http://ORIGIN/fetched"}}
                    ],
                }
            ]
        },
    ),
}


@pytest.mark.parametrize(("fields", "more"), HOPES.values(), ids=HOPES)
async def test_where_a_call_goes_is_configured(
    start: Start, connect: Connect, fields: bytes, more: Mapping[str, object]
) -> None:
    """Nothing in a body or a header chooses address, key, organisation or project; nothing else is fetched."""
    async with raw_upstream(say(whole(b"{}"))) as upstream:
        body = json.dumps(json.loads(CHAT) | more).replace("ORIGIN", upstream.url[7:]).encode()
        client = await connect(await start(upstream.url))
        reply = await asked(client, chat(*fields.split(b"\r\n")[:-1], body=body))
        assert reply.status == 200
    head = bytes(upstream.connections[0].received).partition(b"\r\n\r\n")[0].lower()
    assert upstream.requests == 1
    assert head.startswith(b"post /v1/chat/completions http/1.1\r\n")
    assert head.count(b"\r\nhost: %b\r\n" % upstream.url[7:].encode()) == 1
    assert head.count(b"\r\nauthorization: bearer " + OURS) == 1
    assert b"content-length: %d" % len(body) in head
    for name in (b"openai-organization", b"openai_organization", b"x-forwarded-host", b"gateway"):
        assert b"\r\n" + name not in head


async def test_an_authority_in_the_target_is_not_where_it_goes(
    start: Start, connect: Connect
) -> None:
    """An absolute target's authority counts as Host, which may refuse and never leads anywhere."""
    async with raw_upstream(say(whole(b"{}"))) as upstream:
        client = await connect(await start(upstream.url))
        raw = chat().replace(b"POST /", b"POST http://127.0.0.1:1/", 1)
        assert (await asked(client, raw)).status == 200
        evil = chat().replace(b"POST /", b"POST http://evil.example/", 1)
        assert refusal(await asked(client, evil)) == (403, "host_not_allowed")
    assert upstream.requests == 1


@pytest.mark.parametrize(
    "status", [b"301 Moved", b"302 Found", b"303 Other", b"307 Same", b"308 Same"]
)
async def test_redirects_are_relayed_and_never_followed(
    start: Start, connect: Connect, status: bytes
) -> None:
    """Where an upstream points elsewhere, nobody goes there with our key."""
    async with raw_upstream(say(whole(b"stolen"))) as other:
        moved = whole(b"", b"Location: " + other.url.encode() + b"/v1/x", status=status)
        async with raw_upstream(say(moved)) as upstream:
            reply = await asked(await connect(await start(upstream.url)), chat())
    assert reply.status == int(status[:3])
    assert upstream.requests == 1
    assert not other.connections


async def test_cookies_are_neither_kept_nor_passed(start: Start, connect: Connect) -> None:
    """A cookie that an upstream sets reaches no client and no other call."""
    async with raw_upstream(say(whole(b"{}", b"Set-Cookie: session=alice"))) as upstream:
        client = await connect(await start(upstream.url))
        for _ in range(2):
            reply = await asked(client, chat(b"Cookie: mine=1"))
            assert reply.header("set-cookie") is None
    assert b"cookie" not in bytes(upstream.connections[0].received).lower()


async def test_proxies_of_the_environment_are_not_obeyed(
    start: Start, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Variables that name a proxy change nothing: where calls go is configured."""
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    async with raw_upstream(say(whole(b"{}"))) as upstream:
        assert (await asked(await connect(await start(upstream.url)), chat())).status == 200


@pytest.mark.parametrize(("auth", "status"), [(", auth: passthrough", 503), ("", 200)])
async def test_a_client_s_own_key_is_shown_to_one_origin(
    start: Start, connect: Connect, auth: str, status: int
) -> None:
    """Under passthrough no fallback shows the client's key elsewhere: an upstream that needs none may answer."""
    async with (
        raw_upstream(say(whole(b"{}"))) as other,
        raw_upstream(say(whole(b"{}", status=b"503 Busy"))) as upstream,
    ):
        second = (
            f', auth: passthrough, retries: 0, models: ["echo"]}}, {{name: other, models: ["echo"], '
            f'base_url: "{other.url}/v1"{auth}'
        )
        gateway = await start(upstream.url, upstream=second, key=None)
        reply = await asked(await connect(gateway), chat(BEARER))
    assert reply.status == status
    for connection in other.connections:
        assert THEIRS.encode() not in connection.received


async def test_under_passthrough_the_client_s_key_goes_up(start: Start, connect: Connect) -> None:
    """Where it is configured so, and there alone, the client's key is what the upstream sees."""
    async with raw_upstream(say(whole(b"{}"))) as upstream:
        gateway = await start(upstream.url, upstream=", auth: passthrough", key=None)
        await asked(await connect(gateway), chat(BEARER))
    assert BEARER + b"\r\n" in upstream.connections[0].received


async def test_a_refused_client_can_not_hide_a_call_in_its_body(
    start: Start, connect: Connect
) -> None:
    """The body of a refused request is never read as the next one."""
    async with raw_upstream(say(whole(b"{}"))) as upstream:
        client = await connect(await start(upstream.url, AUTH))
        assert (await asked(client, chat(body=chat(BEARER)))).status == 401
        assert (await asked(client, b"GET /healthz HTTP/1.1\r\n" + HOST + b"\r\n")).body == b"ok\n"
    assert upstream.requests == 0
