"""What is said of a call when it ended: one line, and the series it counts in."""

import pytest

from gateway.demo_upstream import DemoUpstream
from tests.journey.conftest import Connect, Start
from tests.support.gateway import KeptLog, RunningGateway
from tests.support.raw_upstream import STREAM_HEAD, chunked, raw_upstream, say

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


def histogram(gateway: RunningGateway, name: str) -> dict[tuple[str, ...], float]:
    """Return how many values each series of a histogram has."""
    family = getattr(gateway.app.metrics, name)
    return {
        tuple(sample.labels.values()): sample.value
        for sample in family.collect().samples
        if sample.name.endswith("_count") and sample.value
    }


async def test_generating_is_measured_by_opentelemetry_s_names(
    demo: DemoUpstream, start: Start, connect: Connect
) -> None:
    """A stream counts in all four histograms, a whole reply in duration and tokens, a relayed path in none."""
    gateway = await start(demo.url, MODELS + KEYS)
    client = await connect(gateway)
    stream = CHAT[:-1] + b',"stream":true,"stream_options":{"include_usage":true}}'
    for path, body in (("/v1/chat/completions", CHAT), ("/v1/chat/completions", stream)):
        client.request("POST", path, body, ALICE)
        await client.reply()
    client.request("POST", "/v1/moderations", b'{"input":"x","model":"demo"}', ALICE)
    await client.reply()

    series = ("chat", "up", "demo")
    assert histogram(gateway, "duration") == {(*series, ""): 2}
    assert histogram(gateway, "token_usage") == {(*series, "input"): 2, (*series, "output"): 2}
    assert histogram(gateway, "first_token") == {series: 1}
    assert histogram(gateway, "per_token") == {series: 1}
    assert gateway.app.metrics.streams.values == {(): 0}
    assert histogram(gateway, "count_error") == {("input",): 2, ("output",): 1}


async def test_a_failure_has_its_type(demo: DemoUpstream, start: Start, connect: Connect) -> None:
    """Of the gateway's own failures the code is the type, of an upstream's the status."""
    gateway = await start(demo.url, MODELS)
    client = await connect(gateway)
    client.request("POST", "/v1/chat/completions", CHAT, (("x-demo", '{"error": 418}'),))
    assert (await client.reply()).status == 418
    client.request("POST", "/v1/chat/completions", b"{")
    assert (await client.reply()).status == 400

    types = {labels[5]: labels[4] for labels in gateway.app.metrics.requests.values}
    assert types == {"418": "418", "invalid_json": "400"}
    assert histogram(gateway, "duration") == {("chat", "up", "demo", "418"): 1}


async def test_a_client_that_left_is_499(start: Start, connect: Connect, log: KeptLog) -> None:
    """Who hangs up is told and counted under nginx's status, with the tokens that had passed, as an estimate."""
    event = b'data: {"choices":[{"index":0,"delta":{"content":"one two three"}}]}\n\n'
    async with raw_upstream(say(STREAM_HEAD, chunked(event, end=False), then="hang")) as up:
        gateway = await start(up.url, MODELS, log=log)
        client = await connect(gateway)
        client.request("POST", "/v1/chat/completions", CHAT[:-1] + b',"stream":true}')
        await client.head()
        await client.aclose()
        await up.until(lambda: bool(log.lines))

    (line,) = log.lines
    assert (line["status"], line["code"]) == (499, "client_disconnected")
    assert line["estimated"]
    assert line["output_tokens"]
    (labels,) = gateway.app.metrics.requests.values
    assert labels[4:] == ("499", "client_disconnected")
    assert gateway.app.metrics.streams.values == {(): 0}


async def test_a_reload_keeps_what_was_counted(
    demo: DemoUpstream, start: Start, connect: Connect
) -> None:
    """Counters go on where they were, a user who is new has a series at once, up to the number configured."""
    limits = "limits: [{per: user, requests: 100/min}]\nmetrics: {max_users: 1}\n"
    gateway = await start(demo.url, MODELS + KEYS + limits)
    client = await connect(gateway)
    client.request("POST", "/v1/chat/completions", CHAT, ALICE)
    await client.reply()
    text = gateway.path.read_text().replace(
        "keys: [", "keys: [{user: bob, key: sk-gw-bob-0123456789}, "
    )
    bob = (("Authorization", "Bearer sk-gw-bob-0123456789"),)
    for more in ("", "2"):
        gateway.path.write_text(text.replace("max_users: 1", f"max_users: 1{more}"))
        gateway.app.reload()
        client.request("POST", "/v1/chat/completions", CHAT, bob)
        await client.reply()

    metrics = gateway.app.metrics
    users = [labels[3] for labels in metrics.requests.values]
    assert users == ["alice", "other", "bob"]
    assert {labels[0]: value for labels, value in metrics.limit_decisions.values.items()} == {
        "alice": 1,
        "bob": 2,
    }


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


async def test_warnings_of_upstreams_name_their_call(
    start: Start, connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    """What went wrong on the way to an upstream, or in its reply, is told under the call's name."""
    async with raw_upstream(say(STREAM_HEAD, chunked(b"data: ha", end=False), then="cut")) as up:
        client = await connect(await start(up.url))
        client.request("POST", "/v1/chat/completions", CHAT, (("x-request-id", "call-1"),))
        assert not (await client.reply()).whole
    client = await connect(await start("http://127.0.0.1:1", upstream=", retries: 0"))
    client.request("POST", "/v1/chat/completions", CHAT, (("x-request-id", "call-2"),))
    assert (await client.reply()).status == 502

    warned = [record for record in caplog.records if record.levelname == "WARNING"]
    assert [getattr(record, "fields", None) for record in warned] == [
        {"request_id": "call-1"},
        {"request_id": "call-2"},
    ]
