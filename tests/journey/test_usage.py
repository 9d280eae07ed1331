"""Usage is true: asked for where it is configured, hidden where the client did not ask, and what it is used for."""

import asyncio
import json
from pathlib import Path

import pytest

from gateway.demo_upstream import DemoUpstream
from gateway.errors import StartError
from tests.journey.conftest import Connect, Start
from tests.journey.test_lifecycle import serving
from tests.journey.test_restart import asked
from tests.support.gateway import HANG_SECONDS, KeptLog
from tests.support.raw_upstream import STREAM_HEAD, chunked, raw_upstream, say, whole

DATA = Path(__file__).parent.parent / "data" / "stream_usage"
ASKED = (DATA / "chat.with.sse").read_bytes()
UNASKED = (DATA / "chat.without.sse").read_bytes()
CHAT = b'{"model":"demo","messages":[{"role":"user","content":"hi"}],"stream":true}'
ASKING = CHAT[:-1] + b',"stream_options":{"include_usage":true}}'
ALWAYS = "usage: {include_usage: always}\n"
FIELDS = (("Accept-Encoding", "gzip"), ("X-App", "1"))
SSE = b"Content-Type: text/event-stream"


async def test_usage_is_asked_for_and_hidden(start: Start, connect: Connect) -> None:
    """The upstream is asked, in no coding; the client reads what it would have read; the usage is known."""
    log = KeptLog()
    async with raw_upstream(say(STREAM_HEAD, chunked(ASKED))) as up:
        client = await connect(await start(up.url, ALWAYS, log=log))
        client.request("POST", "/v1/chat/completions", CHAT, FIELDS)
        reply = await client.reply()
        sent = bytes(up.connections[0].received)

    head, _, body = sent.partition(b"\r\n\r\n")
    assert body == b'{"stream_options":{"include_usage":true},' + CHAT[1:]
    assert [line for line in head.lower().split(b"\r\n") if line.startswith(b"accept-enc")] == [
        b"accept-encoding: identity"
    ]
    assert reply.body == UNASKED
    assert reply.whole
    (line,) = log.lines
    told = {name: line[name] for name in ("input_tokens", "output_tokens", "estimated")}
    assert told == {"input_tokens": 19, "output_tokens": 10, "estimated": False}
    assert (line["cached_input_tokens"], line["reasoning_tokens"]) == (4, 3)


async def test_the_last_chunk_may_come_in_any_pieces(start: Start, connect: Connect) -> None:
    """However the upstream cuts its stream, the client reads the same."""
    pieces = [ASKED[at : at + 7] for at in range(0, len(ASKED), 7)]
    async with raw_upstream(say(STREAM_HEAD, *map(_chunk, pieces), b"0\r\n\r\n")) as up:
        client = await connect(await start(up.url, ALWAYS))
        client.request("POST", "/v1/chat/completions", CHAT)
        reply = await client.reply()

    assert reply.body == UNASKED


async def test_what_the_client_asked_for_is_left_alone(start: Start, connect: Connect) -> None:
    """A client that asks for the usage sends its own bytes and reads the upstream's."""
    async with raw_upstream(say(STREAM_HEAD, chunked(ASKED))) as up:
        client = await connect(await start(up.url, ALWAYS))
        client.request("POST", "/v1/chat/completions", ASKING, FIELDS)
        reply = await client.reply()
        sent = bytes(up.connections[0].received)

    assert sent.endswith(b"\r\n\r\n" + ASKING)
    assert b"\r\nAccept-Encoding: gzip\r\n" in sent
    assert reply.body == ASKED


async def test_by_default_nothing_is_asked_for(start: Start, connect: Connect) -> None:
    """Without `always` every byte is the client's and the upstream's."""
    async with raw_upstream(say(STREAM_HEAD, chunked(UNASKED))) as up:
        client = await connect(await start(up.url))
        client.request("POST", "/v1/chat/completions", CHAT)
        reply = await client.reply()
        sent = bytes(up.connections[0].received)

    assert sent.endswith(b"\r\n\r\n" + CHAT)
    assert reply.body == UNASKED


@pytest.mark.parametrize("padding", [0, 100_000], ids=["held", "passed on"])
async def test_a_stream_of_known_length_has_a_new_one(
    start: Start, connect: Connect, padding: int
) -> None:
    """Where something is taken out of a reply that told its length, the client is told a length that is true."""
    comment = b": " + b"x" * padding + b"\n\n"
    async with raw_upstream(say(whole(comment + ASKED, SSE))) as up:
        client = await connect(await start(up.url, ALWAYS))
        client.request("POST", "/v1/chat/completions", CHAT)
        reply = await client.reply()

    assert reply.body == comment + UNASKED
    assert reply.whole


async def test_what_cannot_be_read_passes(start: Start, connect: Connect) -> None:
    """An upstream that compresses all the same, or fails, is relayed as it is."""
    async with raw_upstream(
        say(whole(ASKED, SSE, b"Content-Encoding: br")),
        say(whole(ASKED, SSE, status=b"400 Bad Request")),
    ) as up:
        client = await connect(await start(up.url, ALWAYS))
        for _ in range(2):
            client.request("POST", "/v1/chat/completions", CHAT)
            assert (await client.reply()).body == ASKED


async def test_an_unpriced_model_is_refused_under_a_budget(
    demo: DemoUpstream, start: Start, connect: Connect
) -> None:
    """Where it is so configured, money that nobody can count is not spent: 403, and only under the budget."""
    limits = "limits: [{per: user, match: {model: dem*}, budget: 5.00/day}]\n"
    client = await connect(await start(demo.url, limits + "usage: {unpriced: refuse}\n"))
    client.request("POST", "/v1/chat/completions", CHAT)
    refused = await client.reply()
    client.request("POST", "/v1/chat/completions", CHAT.replace(b"demo", b"gpt-4o"))
    priced = await client.reply()
    client.request("POST", "/v1/chat/completions", CHAT.replace(b"demo", b"no-price"))
    elsewhere = await client.reply()

    assert (refused.status, priced.status, elsewhere.status) == (403, 200, 200)
    assert json.loads(refused.body)["error"] == {
        "message": "The model `demo` has no price, and a budget covers it.",
        "type": "invalid_request_error",
        "param": None,
        "code": "model_not_priced",
    }
    assert refused.header("x-should-retry") == "false"


def _chunk(piece: bytes) -> bytes:
    return chunked(piece, end=False)


async def test_every_settled_call_is_in_the_usage_log(
    demo: DemoUpstream, start: Start, connect: Connect, tmp_path: Path
) -> None:
    """Who, what and how much of each call that came to something; a refusal came to nothing. A reload may move it."""
    path = tmp_path / "usage.jsonl"
    more = f"models: {{demo: {{price: {{input: 1000, output: 0}}}}}}\nusage: {{log: {{path: {path}}}}}\n"
    gateway = await start(demo.url, more)
    client = await connect(gateway)
    client.request("POST", "/v1/chat/completions", CHAT, (("x-request-id", "call-1"),))
    await client.reply()
    client.request("POST", "/v1/chat/completions", b"{")
    await client.reply()
    gateway.path.write_text(gateway.path.read_text().replace("usage.jsonl", "second.jsonl"))
    gateway.app.reload()
    client.request("POST", "/v1/chat/completions", CHAT, (("x-request-id", "call-2"),))
    await client.reply()
    await gateway.app.drain()

    (line,) = [json.loads(line) for line in path.read_text().splitlines()]
    assert line["request_id"] == "call-1"
    assert line["model"] == "demo"
    assert line["estimated"]
    assert line["cost_usd"] == line["input_tokens"] / 1000
    (second,) = (tmp_path / "second.jsonl").read_text().splitlines()
    assert json.loads(second)["request_id"] == "call-2"


async def test_a_usage_log_that_cannot_be_written_is_no_configuration(
    demo: DemoUpstream, start: Start, connect: Connect
) -> None:
    """A reload to a folder that is not there keeps the old configuration; a start does not happen."""
    gateway = await start(demo.url)
    gateway.path.write_text(gateway.path.read_text() + "usage: {log: {path: /nowhere/u}}\n")
    gateway.app.reload()

    assert gateway.app.config.usage.log.path is None
    with pytest.raises(StartError, match=r"usage\.log\.path"):
        await start(demo.url, "usage: {log: {path: /nowhere/u}}\n")


async def test_the_usage_log_survives_a_kill(demo: DemoUpstream, tmp_path: Path) -> None:
    """A second after its call the line of a gateway that is killed is there, and the next one follows it."""
    path = tmp_path / "usage.jsonl"
    config = tmp_path / "config.yaml"
    config.write_text(
        f'upstreams: [{{name: up, base_url: "{demo.url}/v1"}}]\nusage: {{log: {{path: {path}}}}}\n'
    )
    for calls in (1, 2):
        async with serving(demo.url, "-c", str(config)) as gateway:
            assert await asked(gateway.url) == b"200"
            # Lines are written within a second; the write is what is waited for.
            async with asyncio.timeout(HANG_SECONDS):
                while path.read_bytes().count(b"\n") < calls:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
            gateway.process.kill()
            await gateway.process.wait()

    models = [json.loads(line)["model"] for line in path.read_text().splitlines()]
    assert models == ["demo", "demo"]


async def test_a_kept_stream_is_what_its_client_may_read(start: Start, connect: Connect) -> None:
    """What is kept has lost what its client did not ask for, and does not answer a client that asks."""
    sure = b'{"temperature":0,'
    async with raw_upstream(say(STREAM_HEAD, chunked(ASKED))) as up:
        client = await connect(await start(up.url, ALWAYS + "cache: {ttl: 1h}\n"))
        outcomes = []
        for body in (CHAT, CHAT, ASKING, ASKING):
            client.request("POST", "/v1/chat/completions", sure + body[1:])
            reply = await client.reply()
            outcomes.append(
                (reply.body, (reply.header("cache-status") or "").partition(";")[2][:4])
            )
        asked = up.requests

    assert outcomes == [(UNASKED, " fwd"), (UNASKED, " hit"), (ASKED, " fwd"), (ASKED, " hit")]
    assert asked == 2
