"""Who may call what: modes, digests, lists of models, endpoints, keys that are passed through."""

import hashlib
import json
import logging
from pathlib import Path

import pytest

from gateway.demo_upstream import DemoUpstream
from tests.journey.conftest import KEY, Connect, Start

CHAT = b'{"model":"demo","messages":[{"role":"user","content":"hi"}]}'
ALICE = "sk-gw-alice-0123456789"
BOB = "sk-gw-bob-0123456789abc"
AUTH = f"""
auth:
  keys:
    - {{user: alice, sha256: {hashlib.sha256(ALICE.encode()).hexdigest()}}}
    - {{user: bob, key: {BOB}, models: [demo], endpoints: ["GET /v1/files*"]}}
    - {{user: old, key: sk-gw-old-0123456789abc, expires: 2020-01-01}}
"""


def bearer(key: str) -> tuple[tuple[str, str], ...]:
    return (("Authorization", f"Bearer {key}"),)


async def test_keys_are_needed_where_there_are_any(
    demo: DemoUpstream, start: Start, connect: Connect
) -> None:
    """Without a key 401 with code null, with a wrong or expired one invalid_api_key; a known one passes."""
    client = await connect(await start(demo.url, AUTH))
    for headers, code in (
        ((), None),
        (bearer("sk-gw-wrong-0123456789"), "invalid_api_key"),
        (bearer("sk-gw-old-0123456789abc"), "invalid_api_key"),
        ((*bearer(ALICE), ("api-key", BOB)), "invalid_api_key"),
    ):
        client.request("POST", "/v1/chat/completions", CHAT, headers)
        reply = await client.reply()
        assert reply.status == 401
        assert reply.header("www-authenticate") == "Bearer"
        assert json.loads(reply.body)["error"]["code"] == code
    assert not demo.requests

    client.request("POST", "/v1/chat/completions", CHAT, bearer(ALICE))

    assert (await client.reply()).status == 200
    assert demo.last.header("authorization") == f"Bearer {KEY}"
    assert ALICE not in str(demo.last.headers)


async def test_a_body_is_not_read_before_its_sender_is_known(
    demo: DemoUpstream, start: Start, connect: Connect
) -> None:
    """A stranger who asks for leave to send is refused instead of being told to go on."""
    client = await connect(await start(demo.url, AUTH))
    client.send(
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Expect: 100-continue\r\nContent-Length: 30000000\r\n\r\n"
    )
    reply = await client.reply()

    assert reply.status == 401
    assert reply.header("connection") == "close"


async def test_a_key_may_use_its_models(demo: DemoUpstream, start: Start, connect: Connect) -> None:
    """A model outside a key's list is 403, in JSON and in a form; the list of models shows the others."""
    client = await connect(await start(demo.url, AUTH))
    client.request("POST", "/v1/chat/completions", CHAT, bearer(BOB))
    assert (await client.reply()).status == 200

    client.request("POST", "/v1/chat/completions", CHAT.replace(b"demo", b"other"), bearer(BOB))
    reply = await client.reply()
    assert (reply.status, json.loads(reply.body)["error"]["code"]) == (403, "model_not_found")

    form = ("Content-Type", "multipart/form-data; boundary=b")
    part = b'--b\r\nContent-Disposition: form-data; name="model"\r\n\r\n%b\r\n'
    body = part % b"whisper-1" + b"--b--\r\n"
    client.request("POST", "/v1/audio/transcriptions", body, (*bearer(BOB), form))
    assert (await client.reply()).status == 403
    body = part % b"demo" + part % b"whisper-1" + b"--b--\r\n"
    client.request("POST", "/v1/audio/transcriptions", body, (*bearer(BOB), form))
    assert (await client.reply()).status == 400

    client.request("GET", "/v1/models", b"", bearer(BOB))
    listed = json.loads((await client.reply()).body)
    assert [model["id"] for model in listed["data"]] == ["demo"]
    client.request("GET", "/v1/models/demo", b"", bearer(BOB))
    assert json.loads((await client.reply()).body)["id"] == "demo"
    client.request("GET", "/v1/models/gpt-4o", b"", bearer(BOB))
    assert (await client.reply()).status == 404


@pytest.mark.parametrize(
    ("boundary", "fields"),
    [
        ("x-boundary=b; boundary=c", (b'form-data; name="model"',)),
        ("boundary=b; boundary=c", (b'form-data; name="model"',)),
        ("boundary=b", (b'form-data; x="name=a"; name="model"',)),
        ("boundary=b", (b'form-data; name="a"; name="model"',)),
        ("boundary=b", (b"form-data; name=\"a\"; name*=utf-8''model",)),
        ("boundary=b", (b'form-data; name="mod\\el"',)),
        ("boundary=b", (b'form-data; name="a"\r\n ; name="model"',)),
        ("boundary=b", (b'form-data; name="a"', b'form-data; name="model"')),
        ("boundary=b", (b'form-data; name="a"\nContent-Disposition: form-data; name="model"',)),
    ],
)
async def test_a_form_hides_no_model(
    demo: DemoUpstream, start: Start, connect: Connect, boundary: str, fields: tuple[bytes, ...]
) -> None:
    """A second model that another reader of the form might find, beside one that is allowed, is refused."""
    client = await connect(await start(demo.url, AUTH))
    head = b"\r\n".join(b"Content-Disposition: " + field for field in fields)
    body = (
        b'--b\r\nContent-Disposition: form-data; name="model"\r\n\r\ndemo\r\n'
        b"--%b\r\n%b\r\n\r\nwhisper-1\r\n--b--\r\n" % (boundary[-1:].encode(), head)
    )
    form = ("Content-Type", f"multipart/form-data; {boundary}")
    client.request("POST", "/v1/audio/transcriptions", body, (*bearer(BOB), form))
    reply = await client.reply()

    assert (reply.status, json.loads(reply.body)["error"]["code"]) == (400, "invalid_value")


async def test_a_body_that_nobody_reads_names_no_model(
    demo: DemoUpstream, start: Start, connect: Connect
) -> None:
    """A key that may use some models cannot send another one's name under a type that is not looked into."""
    client = await connect(await start(demo.url, AUTH))
    for key, status in ((BOB, 403), (ALICE, 404)):
        headers = (*bearer(key), ("Content-Type", "text/plain"))
        path = "/v1/responses/compact"
        client.request("POST", path, CHAT.replace(b"demo", b"other"), headers)
        assert (await client.reply()).status == status


async def test_what_one_account_shows_to_all_is_guarded(
    demo: DemoUpstream, start: Start, connect: Connect
) -> None:
    """Files and their like need to be listed for a key; without keys they are relayed."""
    client = await connect(await start(demo.url, AUTH))
    client.request("GET", "/v1/files", b"", bearer(ALICE))
    reply = await client.reply()
    assert (reply.status, json.loads(reply.body)["error"]["code"]) == (403, "endpoint_not_allowed")
    client.request("GET", "/v1/files", b"", bearer(BOB))
    assert (await client.reply()).status == 200

    open_client = await connect(await start(demo.url))
    open_client.request("GET", "/v1/files")
    assert (await open_client.reply()).status == 200


async def test_passed_through_keys_go_up(
    demo: DemoUpstream, start: Start, connect: Connect
) -> None:
    """Where the upstream takes the client's own key, that one goes up, and names the user by its digest."""
    gateway = await start(demo.url, upstream=", auth: passthrough", key=None)
    client = await connect(gateway)
    headers = (*bearer("sk-client-own-key"), ("OpenAI-Organization", "org-mine"))
    client.request("POST", "/v1/chat/completions", CHAT, headers)
    assert (await client.reply()).status == 200

    assert demo.last.header("authorization") == "Bearer sk-client-own-key"
    assert demo.last.header("openai-organization") == "org-mine"


@pytest.mark.parametrize("first", ["auth: passthrough", f"api_key: {KEY}"])
async def test_no_fallback_takes_a_key_elsewhere(
    demo: DemoUpstream, start: Start, connect: Connect, first: str
) -> None:
    """A client's own key goes to the upstream that its call is for, and to no other one when that fails."""
    other = f'models: ["*"]}}, {{name: other, base_url: "{demo.url}/v1", auth: passthrough'
    gateway = await start(
        "http://127.0.0.1:1",
        "models: {demo: {targets: [{upstream: up}], fallbacks: [spare]}}",
        upstream=f", retries: 0, {first}, {other}, models: [spare, demo]",
        key=None,
    )
    client = await connect(gateway)
    for _ in range(6):  # by then the first one cools down
        client.request("POST", "/v1/chat/completions", CHAT, bearer("sk-client-own-key"))
        assert (await client.reply()).status == 502
    assert not demo.requests


async def test_files_of_keys_are_read_anew(
    demo: DemoUpstream, start: Start, connect: Connect, tmp_path: Path
) -> None:
    """A key that is added to a keys file works after a reload; a bad file leaves the old keys in force."""
    keys = tmp_path / "keys.yaml"
    keys.write_text(f"- {{user: alice, key: {ALICE}}}\n")
    gateway = await start(demo.url, f"auth: {{keys_files: [{keys}]}}")
    client = await connect(gateway)
    client.request("POST", "/v1/chat/completions", CHAT, bearer(BOB))
    assert (await client.reply()).status == 401

    keys.write_text(f"- {{user: alice, key: {ALICE}}}\n- {{user: bob, key: {BOB}}}\n")
    gateway.app.reload()

    client.request("POST", "/v1/chat/completions", CHAT, bearer(BOB))
    assert (await client.reply()).status == 200

    keys.write_text("- {user: alice, key: short}\n")
    gateway.app.reload()

    client.request("POST", "/v1/chat/completions", CHAT, bearer(BOB))
    assert (await client.reply()).status == 200
    assert gateway.app.metrics.reloads.values == {("success",): 1, ("failure",): 1}


@pytest.mark.parametrize("header", ["authorization", "api-key", "x-api-key"])
async def test_no_key_is_ever_logged(
    demo: DemoUpstream,
    start: Start,
    connect: Connect,
    caplog: pytest.LogCaptureFixture,
    header: str,
) -> None:
    """Right or wrong, a client's key stands in no log line and in no metric."""
    logging.getLogger("gateway").propagate = True
    gateway = await start(demo.url, AUTH)
    client = await connect(gateway)
    canary = "sk-gw-canary-canary-123"
    value = f"Bearer {canary}" if header == "authorization" else canary
    client.request("POST", "/v1/chat/completions", CHAT, ((header, value),))
    reply = await client.reply()

    assert reply.status == 401
    assert canary not in caplog.text
    assert all("canary" not in str(record.__dict__) for record in caplog.records)
    assert "canary" not in str(vars(gateway.app.metrics.requests))
