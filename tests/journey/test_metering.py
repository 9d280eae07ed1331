"""What is said of a call when it ended: one line, and the series it counts in."""

import pytest

from gateway.demo_upstream import DemoUpstream
from tests.journey.conftest import Connect, Start
from tests.support.gateway import KeptLog

CHAT = b'{"model":"demo","messages":[{"role":"user","content":"one two three"}],"max_tokens":7}'
MODELS = "models: {demo: {targets: [{upstream: up}]}}\n"
KEYS = "auth: {keys: [{user: alice, key: sk-gw-alice-0123456789}]}\n"
ALICE = (("Authorization", "Bearer sk-gw-alice-0123456789"),)


@pytest.fixture
def log() -> KeptLog:
    """Where the lines of calls go."""
    return KeptLog()


async def test_a_call_is_one_line_and_its_series(
    demo: DemoUpstream, start: Start, connect: Connect, log: KeptLog
) -> None:
    """Who, what, where, how it ended and what it cost; no prompt, no answer, no key."""
    gateway = await start(demo.url, MODELS + KEYS, log=log)
    client = await connect(gateway)
    client.request("POST", "/v1/chat/completions", CHAT, (*ALICE, ("x-request-id", "call-1")))
    await client.reply()

    (line,) = log.lines
    expected = {
        "request_id": "call-1",
        "user": "alice",
        "endpoint": "/v1/chat/completions",
        "model": "demo",
        "upstream": "up",
        "attempts": 1,
        "status": 200,
        "code": None,
    }
    assert {name: line[name] for name in expected} == expected
    assert line["input_tokens"]
    assert "one two three" not in str(line)
    assert gateway.app.metrics.requests.values == {
        ("/v1/chat/completions", "demo", "up", "alice", "200", ""): 1
    }
    tokens = gateway.app.metrics.tokens.values
    assert tokens[("alice", "demo", "input", "reported")] == line["input_tokens"]
    assert tokens[("alice", "demo", "output", "reported")] == line["output_tokens"]
    assert set(gateway.app.metrics.in_flight.values.values()) == {0}


async def test_streams_report_their_usage(
    demo: DemoUpstream, start: Start, connect: Connect, log: KeptLog
) -> None:
    """The last chunk's usage is the call's."""
    client = await connect(await start(demo.url, MODELS, log=log))
    body = CHAT[:-1] + b',"stream":true,"stream_options":{"include_usage":true}}'
    client.request("POST", "/v1/chat/completions", body)
    await client.reply()

    (line,) = log.lines
    assert line["output_tokens"]


async def test_names_that_clients_make_up_add_no_series(
    demo: DemoUpstream, start: Start, connect: Connect
) -> None:
    """Models that nobody configured and paths that nobody knows count as `other`."""
    gateway = await start(demo.url)
    client = await connect(gateway)
    for number in range(20):
        body = CHAT.replace(b'"demo"', b'"made-up-%d"' % number)
        client.request("POST", "/v1/chat/completions", body)
        await client.reply()
        client.request("GET", f"/v1/made-up/{number}")
        await client.reply()

    assert len(gateway.app.metrics.requests.values) == 2


async def test_strangers_fill_no_log(
    demo: DemoUpstream, start: Start, connect: Connect, log: KeptLog
) -> None:
    """Of a flood of wrong keys ten lines a second are written, and the rest are counted in the next."""
    client = await connect(await start(demo.url, KEYS, log=log))
    for _ in range(60):
        client.request("POST", "/v1/chat/completions", CHAT)
        await client.reply()
    client.request("POST", "/v1/chat/completions", CHAT, ALICE)
    await client.reply()

    strangers = [line for line in log.lines if line["user"] is None]
    assert len(strangers) < 60
    assert log.lines[-1]["user"] == "alice"
    counted = sum(int(str(line.get("lines_not_logged", 0))) for line in log.lines)
    assert len(strangers) + counted == 60
