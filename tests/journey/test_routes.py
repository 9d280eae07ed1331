"""Where a call goes: aliases, fallbacks, several upstreams."""

import gzip
import json

from gateway.demo_upstream import DemoUpstream
from tests.journey.conftest import Connect, Start
from tests.support.raw_upstream import chunked, raw_upstream, say, whole

STREAM_400 = b"HTTP/1.1 400 Bad Request\r\nTransfer-Encoding: chunked\r\n\r\n"
CHAT = b'{ "messages":[{"role":"user","content":"\\u00e9 model"}],"model" :  "fast" , "x":{"model":"kept"}}'
MODELS = """
models:
  fast: {targets: [{upstream: up, model: echo}], fallbacks: [spare]}
  spare: {targets: [{upstream: up, model: tiny}]}
"""


async def test_an_alias_splices_the_name_alone(
    demo: DemoUpstream, start: Start, connect: Connect
) -> None:
    """Only the value of `model` changes on its way up; every other byte is the client's."""
    client = await connect(await start(demo.url, MODELS))
    client.request("POST", "/v1/chat/completions", CHAT)
    await client.reply()

    assert demo.last.body == CHAT.replace(b'"fast"', b'"echo"')
    assert demo.last.header("content-length") == str(len(demo.last.body))


async def test_an_alias_in_a_compressed_body_goes_up_inflated(
    demo: DemoUpstream, start: Start, connect: Connect
) -> None:
    """What must be spliced cannot stay compressed, and is not said to be."""
    client = await connect(await start(demo.url, MODELS))
    packed = (("Content-Encoding", "gzip"),)
    client.request("POST", "/v1/chat/completions", gzip.compress(CHAT), packed)
    await client.reply()

    assert demo.last.body == CHAT.replace(b'"fast"', b'"echo"')
    assert demo.last.header("content-encoding") is None


async def test_a_fallback_answers_when_no_target_is_left(start: Start, connect: Connect) -> None:
    """429 goes to the fallback's model at once, with its name in place of the first's."""
    busy = say(whole(b"{}", status=b"429 Too Many Requests"))
    async with raw_upstream(busy, say(whole(b"ok"))) as upstream:
        gateway = await start(upstream.url, MODELS)
        client = await connect(gateway)
        client.request("POST", "/v1/chat/completions", CHAT)
        reply = await client.reply()

    assert reply.body == b"ok"
    received = b"".join(bytes(c.received) for c in upstream.connections)
    assert received.index(b'"echo"') < received.index(b'"tiny"')
    assert gateway.app.metrics.fallbacks.values == {("fast", "up", "up"): 1}


async def test_the_last_refusal_is_the_clients(start: Start, connect: Connect) -> None:
    """A 429 of the last target comes to the client as it is."""
    body = b'{"error":{"code":"rate_limit_exceeded"}}'
    busy = say(whole(body, b"Retry-After: 3", status=b"429 Too Many Requests"))
    async with raw_upstream(busy) as upstream:
        client = await connect(await start(upstream.url, MODELS))
        client.request("POST", "/v1/chat/completions", CHAT)
        reply = await client.reply()

    assert (reply.status, reply.body, reply.header("retry-after")) == (429, body, "3")
    assert upstream.requests == 2


async def test_upstreams_take_what_they_list(
    demo: DemoUpstream, start: Start, connect: Connect
) -> None:
    """With several upstreams a name goes to the one that lists it; an unknown name asks them anew, then 404s."""
    listed = whole(b'{"object":"list","data":[{"id":"llama"}]}')
    async with raw_upstream(say(listed), say(whole(b"from llama"))) as other:
        second = f', models: null}}, {{name: other, base_url: "{other.url}/v1"'
        client = await connect(await start(demo.url, upstream=second))
        client.request("POST", "/v1/chat/completions", CHAT.replace(b"fast", b"llama"))
        reply = await client.reply()
        client.request("POST", "/v1/chat/completions", CHAT.replace(b"fast", b"demo"))
        echoed = await client.reply()
        client.request("POST", "/v1/chat/completions", CHAT.replace(b"fast", b"nobody"))
        unknown = await client.reply()

    assert reply.body == b"from llama"
    assert echoed.header("x-gateway-upstream") == "up"
    assert unknown.status == 404
    assert json.loads(unknown.body)["error"]["code"] == "model_not_found"


async def test_azure_is_asked_in_its_own_way(start: Start, connect: Connect) -> None:
    """The deployment stands in the path, the version in the query, the key in `api-key`."""
    async with raw_upstream(say(whole(b"ok"))) as upstream:
        gateway = await start(
            upstream.url,
            "models: {gpt-4o: {targets: [{upstream: up, model: my deployment}]}}",
            upstream=", kind: azure, api_version: 2024-10-21",
        )
        client = await connect(gateway)
        body = CHAT.replace(b"fast", b"gpt-4o")
        client.request("POST", "/v1/chat/completions?x=1&api-version=evil", body)
        reply = await client.reply()

    received = bytes(upstream.connections[0].received)
    assert reply.body == b"ok"
    assert received.startswith(
        b"POST /v1/openai/deployments/my%20deployment/chat/completions?x=1&api-version=2024-10-21 HTTP/1.1\r\n"
    )
    assert b"\r\napi-key: upstream-secret-key-1\r\n" in received
    assert b"uthorization" not in received


async def test_calls_cross_a_reload(demo: DemoUpstream, start: Start, connect: Connect) -> None:
    """A stream in flight ends as it began while a new configuration takes over."""
    gateway = await start(demo.url, MODELS)
    client = await connect(gateway)
    client.request(
        "POST",
        "/v1/chat/completions",
        CHAT[:-1] + b',"stream":true}',
        (("x-demo", '{"chunks": 30, "pace_ms": 5}'),),
    )
    await client.head()
    gateway.path.write_text(gateway.path.read_text().replace("fast:", "quick:"))

    gateway.app.reload()

    body, complete = await client.chunks()
    assert complete
    assert body.endswith(b"data: [DONE]\n\n")
    client.request("POST", "/v1/chat/completions", CHAT.replace(b'"fast"', b'"quick"'))
    assert (await client.reply()).status == 200
    assert b'"echo"' in demo.last.body


WINDOWS = """
models:
  small: {targets: [{upstream: up, model: s}], context_window: 4096, fallbacks: [tiny, big]}
  tiny: {targets: [{upstream: up, model: t}], context_window: 2048}
  big: {targets: [{upstream: up, model: b}], context_window: 128000}
"""
TOO_LONG = b'{"error":{"message":"too long","code":"context_length_exceeded"}}'


async def test_a_prompt_too_long_goes_to_a_larger_window(start: Start, connect: Connect) -> None:
    """Where the upstream finds the prompt too long, the next model that can hold more answers, and only that."""
    refused = say(whole(TOO_LONG, status=b"400 Bad Request"))
    async with raw_upstream(refused, say(whole(b"ok"))) as upstream:
        client = await connect(await start(upstream.url, WINDOWS))
        client.request("POST", "/v1/chat/completions", CHAT.replace(b"fast", b"small"))
        reply = await client.reply()

    assert reply.body == b"ok"
    received = b"".join(bytes(c.received) for c in upstream.connections)
    assert b'"s"' in received
    assert b'"t"' not in received
    assert b'"b"' in received


async def test_other_refusals_and_the_largest_windows_are_the_clients(
    start: Start, connect: Connect
) -> None:
    """A 400 of another kind comes as it is, and so does one that nobody could better."""
    other = b'{"error":{"code":"invalid_value"}}'
    for body, model in ((other, b"small"), (TOO_LONG, b"big")):
        refused = say(STREAM_400 + chunked(body))
        async with raw_upstream(refused) as upstream:
            client = await connect(await start(upstream.url, WINDOWS))
            client.request("POST", "/v1/chat/completions", CHAT.replace(b"fast", model))
            reply = await client.reply()
        assert (reply.status, reply.body) == (400, body)
        assert upstream.requests == 1


async def test_the_list_of_models_is_what_is_served(
    demo: DemoUpstream, start: Start, connect: Connect
) -> None:
    """Globs of an upstream decide what is listed of it; a name that they spell out is listed as it is."""
    gateway = await start(demo.url, upstream=', models: ["gpt-*", "my-deployment"]')
    client = await connect(gateway)
    client.request("GET", "/v1/models")
    listed = [model["id"] for model in json.loads((await client.reply()).body)["data"]]
    client.request("GET", "/v1/models/my-deployment")
    one = await client.reply()
    client.request("GET", "/v1/models/demo")
    left_out = await client.reply()

    assert set(listed) == {"my-deployment", "gpt-4o", "gpt-4o-mini", "gpt-image-1"}
    assert json.loads(one.body)["owned_by"] == "up"
    assert left_out.status == 404
