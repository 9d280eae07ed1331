"""Prompts are counted, and kept within their windows."""

import json

import pytest

from gateway.demo_upstream import DemoUpstream
from tests.journey.conftest import Connect, Start
from tests.support.gateway import RawClient
from tests.support.raw_upstream import STREAM_HEAD, chunked, raw_upstream, say, whole

WORLD_SERIES = [
    {"role": "system", "content": "You are a helpful assistant."},
    {"role": "user", "content": "Who won the world series in 2020?"},
    {"role": "assistant", "content": "The Los Angeles Dodgers won the World Series in 2020."},
    {"role": "user", "content": "Where was it played?"},
]


def chat(model: str, messages: list[dict[str, str]], **more: object) -> bytes:
    return json.dumps({"model": model, "messages": messages, **more}).encode()


async def test_the_client_is_told_its_prompts_tokens(
    demo: DemoUpstream, start: Start, connect: Connect
) -> None:
    """OpenAI's own first example, with the number that OpenAI's page reports for it."""
    client = await connect(await start(demo.url))
    client.request("POST", "/v1/chat/completions", chat("gpt-3.5-turbo-0301", WORLD_SERIES))
    reply = await client.reply()

    assert reply.header("x-gateway-prompt-tokens") == "56"


async def test_a_prompt_that_cannot_fit_is_refused_before_it_is_paid_for(
    demo: DemoUpstream, start: Start, connect: Connect
) -> None:
    """Where the count is exact, the refusal is OpenAI's own, and the upstream is not asked."""
    client = await connect(await start(demo.url))
    long = [{"role": "user", "content": "one two three four " * 3000}]
    client.request("POST", "/v1/chat/completions", chat("gpt-4", long))
    reply = await client.reply()

    error = json.loads(reply.body)["error"]
    assert (reply.status, error["code"], error["param"]) == (
        400,
        "context_length_exceeded",
        "messages",
    )
    assert "maximum context length is 8192 tokens" in error["message"]
    assert not demo.requests


async def test_a_model_that_nobody_knows_is_never_refused_for_length(
    demo: DemoUpstream, start: Start, connect: Connect
) -> None:
    """Without a known window there is nothing to hold a prompt against."""
    client = await connect(await start(demo.url))
    long = [{"role": "user", "content": "one two three four " * 30_000}]
    client.request("POST", "/v1/chat/completions", chat("nobody-knows", long))

    assert (await client.reply()).status == 200


async def test_whole_turns_are_dropped_where_it_is_asked_for(
    demo: DemoUpstream, start: Start, connect: Connect
) -> None:
    """By header or configuration the oldest turns go; what stays is untouched, byte for byte."""
    client = await connect(await start(demo.url))
    turns = [
        {"role": role, "content": f"{role} {number} " + "word " * 900}
        for number in range(8)
        for role in ("user", "assistant")
    ]
    messages = [WORLD_SERIES[0], *turns, WORLD_SERIES[3]]
    body = chat("gpt-4", messages)
    client.request("POST", "/v1/chat/completions", body, (("X-Gateway-Context", "trim"),))
    reply = await client.reply()

    assert reply.status == 200
    went = int(reply.header("x-gateway-trimmed-turns") or 0)
    assert went > 0
    assert int(reply.header("x-gateway-trimmed-tokens") or 0) > 0
    sent = json.loads(demo.last.body)
    assert sent["messages"] == [messages[0], *messages[1 + 2 * went :]]
    assert int(reply.header("x-gateway-prompt-tokens") or 0) <= 8192 * 0.8
    assert demo.last.header("x-gateway-context") is None


@pytest.mark.parametrize(
    ("said", "status"), [("trim", 200), ("reject", 200), ("drop", 400), ("Trim, please", 400)]
)
async def test_what_the_client_wants_of_long_prompts_is_a_known_word(
    client: RawClient, said: str, status: int
) -> None:
    """A word that means nothing here is told, not passed over: the prompt would be treated otherwise."""
    body = chat("gpt-4o", WORLD_SERIES)
    client.request("POST", "/v1/chat/completions", body, (("X-Gateway-Context", said),))
    reply = await client.reply()

    assert reply.status == status
    assert status == 200 or json.loads(reply.body)["error"]["code"] == "invalid_value"


async def test_a_stream_without_usage_is_counted(start: Start, connect: Connect) -> None:
    """What passed is counted where the upstream reports nothing, and marked as estimated."""
    event = b'data: {"choices":[{"index":0,"delta":{"content":"hello there my friend"}}]}\n\n'
    saying = say(STREAM_HEAD, chunked(event, b"data: [DONE]\n\n"))
    async with raw_upstream(saying) as upstream:
        gateway = await start(upstream.url, "models: {gpt-4o: {targets: [{upstream: up}]}}")
        client = await connect(gateway)
        client.request("POST", "/v1/chat/completions", chat("gpt-4o", WORLD_SERIES, stream=True))
        await client.reply()
        client.request("GET", "/healthz")
        await client.reply()

    tokens = gateway.app.metrics.tokens.values
    assert tokens[("other", "gpt-4o", "input", "estimated")] > 40
    assert 4 <= tokens[("other", "gpt-4o", "output", "estimated")] <= 8


LOCAL = "models: {llama: {targets: [{upstream: up}], context_window: 100, tokenizer: upstream}}"


async def test_an_engine_that_counts_is_asked(start: Start, connect: Connect) -> None:
    """VLLM's number for a chat is the prompt's, and what cannot fit by it is refused."""
    counted = [say(whole(b'{"count": %d, "max_model_len": 100}' % count)) for count in (42, 101)]
    async with raw_upstream(counted[0], say(whole(b"{}")), counted[1]) as upstream:
        client = await connect(await start(upstream.url, LOCAL))
        client.request("POST", "/v1/chat/completions", chat("llama", WORLD_SERIES))
        fits = await client.reply()
        client.request("POST", "/v1/chat/completions", chat("llama", WORLD_SERIES))
        refused = await client.reply()

    received = bytes(upstream.connections[0].received)
    assert received.startswith(b"POST /tokenize HTTP/1.1\r\n")
    assert (fits.status, fits.header("x-gateway-prompt-tokens")) == (200, "42")
    assert json.loads(refused.body)["error"]["code"] == "context_length_exceeded"
    assert upstream.requests == 3


async def test_llama_cpp_writes_the_prompt_out_first(start: Start, connect: Connect) -> None:
    """Where /tokenize gives no count of a chat, the engine's template and tokens do."""
    sayings = (
        say(whole(b'{"tokens": []}')),
        say(whole(b'{"prompt": "<s>hello"}')),
        say(whole(b'{"tokens": [1, 2, 3]}')),
        say(whole(b"{}")),
    )
    async with raw_upstream(*sayings) as upstream:
        client = await connect(await start(upstream.url, LOCAL))
        client.request("POST", "/v1/chat/completions", chat("llama", WORLD_SERIES))
        reply = await client.reply()

    assert (reply.status, reply.header("x-gateway-prompt-tokens")) == (200, "3")
    assert b"POST /apply-template HTTP/1.1" in bytes(upstream.connections[0].received)


async def test_an_engine_that_cannot_count_costs_nothing(start: Start, connect: Connect) -> None:
    """A 404, or nonsense, leaves the count to the gateway."""
    nothing = say(whole(b"{}", status=b"404 Not Found"))
    async with raw_upstream(nothing, nothing, say(whole(b"fine"))) as upstream:
        client = await connect(await start(upstream.url, LOCAL))
        client.request("POST", "/v1/chat/completions", chat("llama", WORLD_SERIES))
        reply = await client.reply()

    assert (reply.status, reply.body) == (200, b"fine")
    assert int(reply.header("x-gateway-prompt-tokens") or 0) > 20
