"""Secrets over a whole run: canaries are looked for in every byte that was written anywhere."""

import asyncio
import gzip
import io
import json
from pathlib import Path
from urllib.parse import urlsplit

from gateway.clock import SystemClock
from gateway.logs import Log
from tests.journey.conftest import Connect, Start
from tests.support.faults import HOST, asked, chat
from tests.support.gateway import HANG_SECONDS, RawClient
from tests.support.raw_upstream import STREAM_HEAD, chunked, raw_upstream, say, whole

PROMPT = b"canary-prompt-5d1c"
REPLY = b"canary-reply-77ab"
CLIENT_KEY = "canary-client-key-e02f"
UPSTREAM_KEY = "canary-upstream-key-41c9"
WRONG_KEY = b"canary-wrong-key-9a3e"
AUTH = f"""auth: {{keys: [{{user: alice, key: {CLIENT_KEY}}}]}}
limits: [{{per: user, requests: 1000/min, tokens: 900000/min}}]
cache: {{}}
"""
KEY = b"Authorization: Bearer " + CLIENT_KEY.encode()
ANSWER = (
    b'{"choices":[{"index":0,"message":{"role":"assistant","content":"'
    + REPLY
    + b'"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}'
)
BODY = b'{"model":"echo","messages":[{"role":"user","content":"' + PROMPT + b'"}]}'

COLD = BODY[:-1] + b',"temperature":0}'

_LEAK = UPSTREAM_KEY.encode()
# What the upstream says in turn: answers, breaks, and its own key where none belongs.
_SAYINGS = [
    say(whole(ANSWER, b"Content-Type: application/json", b"X-Request-Id: first")),
    say(whole(b'{"choices":[],"x":"' + REPLY + b'"}')),
    say(STREAM_HEAD, chunked(b"data: " + REPLY + b"\n\n", b"data: [DONE]\n\n")),
    say(STREAM_HEAD, chunked(b"data: " + REPLY + b"\n\n", end=False), then="cut"),
    say(whole(REPLY, status=b"500 Oops")),
    say(whole(_LEAK, status=b"400 Bad")),
    say(whole(gzip.compress(_LEAK), b"Content-Encoding: gzip", status=b"400 Bad")),
    say(whole(b"{}", b"X-Echo: " + _LEAK)),
    say(b"HTTP/1.1 nonsense " + _LEAK + REPLY + b"\r\n\r\n"),
    say(whole(b"wrong: " + _LEAK, status=b"401 No")),
]


async def test_canaries_are_where_they_belong_and_nowhere_else(
    start: Start, connect: Connect, tmp_path: Path
) -> None:
    """Through calls, errors, breaks and refusals prompts go up, replies come down, and keys stay where they are."""
    stream = io.StringIO()
    log = Log("debug", "json", SystemClock(), stream)
    usage_log = tmp_path / "usage.jsonl"
    said = b""
    async with raw_upstream(*_SAYINGS) as upstream:
        more = (
            f"{AUTH}store: {{url: 'file://{tmp_path}'}}\nusage: {{log: {{path: '{usage_log}'}}}}\n"
        )
        gateway = await start(
            upstream.url, more, upstream=", retries: 0", key=UPSTREAM_KEY, log=log
        )
        for body in [COLD, COLD, *[BODY] * (len(_SAYINGS) - 1)]:
            reply = await asked(await connect(gateway), chat(KEY, body=body))
            said += repr(reply).encode()
        refused = [
            chat(b"api-key: " + WRONG_KEY, body=BODY),
            chat(KEY, b"api-key: " + WRONG_KEY, body=BODY),
            chat(KEY, body=BODY[:-1]),
            chat(KEY, body=BODY.replace(b"messages", PROMPT)),
            b"GET /v1/models HTTP/1.1\r\n" + HOST + KEY + b"\r\nbad " + PROMPT + b"\r\n\r\n",
            chat(KEY, body=BODY).replace(b"Content-Length: ", b"Content-Length: +"),
        ]
        for raw in refused:
            said += repr(await asked(await connect(gateway), raw)).encode()
        sent = b"".join(bytes(seen.received) for seen in upstream.connections)
        metrics = await _of_the_operators(gateway.app.admin_url, b"/metrics")
        page = await _of_the_operators(gateway.app.admin_url, b"/")
        # Journal and usage log are written twice a second.
        async with asyncio.timeout(HANG_SECONDS):
            while (files := _files(tmp_path, gateway.path)).count(b"alice") < 2:  # noqa: ASYNC110 - nothing tells
                await asyncio.sleep(0.05)
    log.stop()
    written = stream.getvalue().encode() + metrics + page

    # Positive controls: the run was one.
    assert REPLY in said
    assert PROMPT in sent
    assert _LEAK in sent
    assert b'"user": "alice"' in written
    assert b"gateway_requests_total" in metrics
    assert b"gateway; hit" in said
    assert b'"alice"' in usage_log.read_bytes()
    # Replies hold no key, and no refusal repeats a prompt; the upstream sees no client's key.
    for key in (CLIENT_KEY.encode(), UPSTREAM_KEY.encode(), WRONG_KEY):
        assert key not in said
    assert PROMPT not in said
    assert CLIENT_KEY.encode() not in sent
    assert WRONG_KEY not in sent
    # Logs, metrics and files hold nothing of all this.
    for canary in (PROMPT, REPLY, CLIENT_KEY.encode(), UPSTREAM_KEY.encode(), WRONG_KEY):
        assert canary not in written
        assert canary not in files
    assert all(json.loads(line) for line in stream.getvalue().splitlines())


def _files(folder: Path, but: Path) -> bytes:
    return b"".join(
        path.read_bytes() for path in folder.rglob("*") if path.is_file() and path != but
    )


async def _of_the_operators(url: str, path: bytes) -> bytes:
    admin = urlsplit(url)
    reader, writer = await asyncio.open_connection(admin.hostname, admin.port)
    client = RawClient(reader, writer)
    asking = b"GET %b HTTP/1.1\r\n%bConnection: close\r\n\r\n" % (path, HOST)
    reply = await asked(client, asking)
    await client.aclose()
    assert reply.status == 200
    return reply.body
