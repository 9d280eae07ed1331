"""Equal calls: answered by an earlier reply, or by one in flight."""

import asyncio
from pathlib import Path

import pytest

from tests.journey.conftest import Connect, Start
from tests.support.bad_redis import bad_redis
from tests.support.clock import FakeClock
from tests.support.gateway import HANG_SECONDS, KeptLog, RawClient, RawReply, RunningGateway
from tests.support.raw_upstream import (
    STREAM_HEAD,
    Say,
    chunked,
    raw_upstream,
    say,
    whole,
)
from tests.support.redis_server import find_binary, running_redis

CACHE = "cache: {}\n"
CHAT = "/v1/chat/completions"
COLD = b'{"model":"demo","messages":[{"role":"user","content":"hi"}],"temperature":0}'
STREAM = COLD[:-1] + b',"stream":true}'
WARM = b'{"model":"demo","messages":[{"role":"user","content":"hi"}]}'
KEYS = (
    "auth: {keys: [{user: alice, key: sk-gw-alice-0123456789},"
    " {user: bob, key: sk-gw-bob-01234567890}]}\n"
)
ALICE = (("Authorization", "Bearer sk-gw-alice-0123456789"),)
BOB = (("Authorization", "Bearer sk-gw-bob-01234567890"),)
ANSWER = (
    b'{"id":"c1","object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant",'
    b'"content":"hello"},"finish_reason":"stop"}],"usage":{"prompt_tokens":8,"completion_tokens":2,'
    b'"total_tokens":10}}'
)
EVENTS = (
    b'data: {"choices":[{"index":0,"delta":{"content":"hel"},"finish_reason":null}]}\n\n',
    b'data: {"choices":[{"index":0,"delta":{"content":"lo"},"finish_reason":"stop"}]}\n\n',
    b"data: [DONE]\n\n",
)
JSON = b"Content-Type: application/json\r\n"


def answered(body: bytes = ANSWER, fields: bytes = JSON) -> Say:
    return say(b"HTTP/1.1 200 OK\r\n%bContent-Length: %d\r\n\r\n%b" % (fields, len(body), body))


async def ask(
    client: RawClient, body: bytes = COLD, *headers: tuple[str, str], path: str = CHAT
) -> RawReply:
    client.request("POST", path, body, headers)
    return await client.reply()


def outcomes(gateway: RunningGateway) -> dict[str, float]:
    values = gateway.app.metrics.cache_requests.values
    return {outcome: count for (outcome,), count in values.items()}


async def test_an_equal_call_is_answered_by_the_first_reply(start: Start, connect: Connect) -> None:
    """The second caller gets the same bytes, how old they are, and nothing that was the first one's alone."""
    clock = FakeClock()
    fields = JSON + b"X-Request-Id: req-1\r\nSet-Cookie: a=b\r\nX-RateLimit-Limit-Requests: 5\r\n"
    async with raw_upstream(answered(fields=fields)) as upstream:
        gateway = await start(upstream.url, CACHE, clock=clock)
        client = await connect(gateway)
        first = await ask(client, COLD, ("x-request-id", "mine-1"))
        clock.advance(60)
        client = await connect(gateway)
        # Another order of members, other white space.
        again = b'{ "temperature": 0, "messages":[{"content":"hi","role":"user"}], "model":"demo"}'
        second = await ask(client, again, ("x-request-id", "mine-2"), ("user-agent", "other"))

    assert upstream.requests == 1
    assert first.header("cache-status") == "gateway; fwd=miss"
    assert first.header("x-request-id") == "req-1"
    assert (second.status, second.body, second.whole) == (200, first.body, True)
    assert second.header("content-type") == "application/json"
    assert second.header("cache-status") == "gateway; hit; ttl=3540"
    assert second.header("age") == "60"
    assert second.header("x-gateway-request-id") == second.header("x-request-id") == "mine-2"
    assert second.header("x-ratelimit-limit-requests") is None
    assert second.header("x-gateway-upstream") is None
    assert outcomes(gateway) == {"miss": 1, "hit": 1}


async def test_what_expired_is_not_served(start: Start, connect: Connect) -> None:
    """After its time a reply is asked for anew."""
    clock = FakeClock()
    async with raw_upstream(answered(), answered(b'{"choices":[],"new":1}')) as upstream:
        client = await connect(await start(upstream.url, "cache: {ttl: 10s}\n", clock=clock))
        await ask(client)
        clock.advance(9)
        kept = await ask(client)
        clock.advance(1)
        anew = await ask(client)

    assert kept.body == ANSWER
    assert anew.body == b'{"choices":[],"new":1}'
    assert anew.header("cache-status") == "gateway; fwd=miss"


async def test_a_stream_is_replayed_as_a_stream(start: Start, connect: Connect) -> None:
    """The same bytes come in pieces that end where events end; a whole reply to the same prompt is another entry."""
    body = b"".join(EVENTS)
    async with raw_upstream(
        say(STREAM_HEAD, chunked(body[:30], body[30:])), answered()
    ) as upstream:
        client = await connect(await start(upstream.url, CACHE))
        first = await ask(client, STREAM)
        client.request("POST", CHAT, STREAM)
        await client.head()
        chunks = []
        async with asyncio.timeout(HANG_SECONDS):
            while size := int(await client.reader.readuntil(b"\r\n"), 16):
                chunks.append(await client.reader.readexactly(size))
                await client.reader.readexactly(2)
            await client.reader.readexactly(2)
        other = await ask(client)

    assert first.body == body
    assert tuple(chunks) == EVENTS
    assert other.body == ANSWER
    assert upstream.requests == 2


@pytest.mark.parametrize(
    ("body", "headers", "expected"),
    [
        (WARM, (), ["bypass", "bypass"]),
        (WARM, (("cache-control", "max-age=60"),), ["miss", "hit"]),
        (COLD, (("cache-control", "no-store"),), ["bypass", "bypass"]),
        (COLD, (("cache-control", "no-cache"),), ["request", "request"]),
        (COLD, (("Cache-Control", "max-age=0"),), ["request", "request"]),
        (WARM[:-1] + b',"seed":7}', (), ["miss", "hit"]),
        (COLD[:-1] + b',"store":true}', (), ["bypass", "bypass"]),
    ],
)
async def test_whom_the_cache_answers(
    start: Start,
    connect: Connect,
    body: bytes,
    headers: tuple[tuple[str, str], ...],
    expected: list[str],
) -> None:
    """Calls whose answer repeats, and those whose client says so; a client may also ask past it."""
    async with raw_upstream(answered()) as upstream:
        client = await connect(await start(upstream.url, CACHE))
        replies = [await ask(client, body, *headers) for _ in range(2)]

    said = [reply.header("cache-status") or "" for reply in replies]
    assert [part.split("; ")[1].removeprefix("fwd=") for part in said] == expected
    assert upstream.requests == 2 - expected.count("hit")


async def test_a_client_may_ask_anew_for_all(start: Start, connect: Connect) -> None:
    """What `no-cache` brought replaces what was kept; `max-age` takes only what is young."""
    clock = FakeClock()
    async with raw_upstream(answered(), answered(b'{"choices":[],"n":2}')) as upstream:
        gateway = await start(upstream.url, CACHE, clock=clock)
        client = await connect(gateway)
        await ask(client)
        await ask(client, COLD, ("cache-control", "no-cache"))
        clock.advance(30)
        client = await connect(gateway)
        kept = await ask(client)
        young = await ask(client, COLD, ("cache-control", "max-age=31"))
        old = await ask(client, COLD, ("cache-control", "max-age=30"))

    assert kept.body == young.body == b'{"choices":[],"n":2}'
    assert upstream.requests == 3
    assert old.header("cache-status") == "gateway; fwd=miss"


@pytest.mark.parametrize(
    "reply",
    [
        say(whole(b'{"error":{"message":"busy"}}', status=b"500 Oops")),
        answered(b'{"error":{"message":"inside"}}'),
        answered(b'{"choices":[', JSON),
        answered(b"<html>", b"Content-Type: text/html\r\n"),
        answered(b'{"choices":"' + b"x" * 2000 + b'"}'),
        say(STREAM_HEAD, chunked(EVENTS[0])),
        say(b"HTTP/1.1 200 OK\r\n%b\r\n" % JSON, b'{"choices":[', then="end"),
    ],
)
async def test_what_is_never_kept(start: Start, connect: Connect, reply: Say) -> None:
    """Errors, replies that are not whole by their own form, and those that are too large."""
    async with raw_upstream(reply) as upstream:
        more = "cache: {max_entry: 1KiB}\n"
        gateway = await start(upstream.url, more, upstream=", retries: 0")
        for _ in range(2):
            await ask(await connect(gateway))

        assert upstream.requests == 2
        assert outcomes(gateway) == {"miss": 2}


async def test_two_users_do_not_share(start: Start, connect: Connect) -> None:
    """Another user's equal call is asked anew, unless the configuration says `shared`."""
    async with raw_upstream(answered()) as upstream:
        client = await connect(await start(upstream.url, CACHE + KEYS))
        said = [
            (await ask(client, COLD, *key)).header("cache-status") for key in (ALICE, BOB, ALICE)
        ]
        shared = await connect(await start(upstream.url, "cache: {scope: shared}\n" + KEYS))
        together = [(await ask(shared, COLD, *key)).header("cache-status") for key in (ALICE, BOB)]

    assert said == ["gateway; fwd=miss", "gateway; fwd=miss", "gateway; hit; ttl=3599"]
    assert together == ["gateway; fwd=miss", "gateway; hit; ttl=3599"]


async def all_kept(gateway: RunningGateway) -> None:
    """Return when nothing but the connection to a Redis goes on beside the calls."""
    async with asyncio.timeout(HANG_SECONDS):
        while len(gateway.app._tasks) > 1:  # noqa: ASYNC110 - it has no event
            await asyncio.sleep(0.001)


async def connected(gateway: RunningGateway) -> None:
    """Return when the Redis for replies answers."""
    own = gateway.app._composer._caches._own
    assert own is not None
    async with asyncio.timeout(HANG_SECONDS):
        while not own[1].up:  # noqa: ASYNC110 - it has no event
            await asyncio.sleep(0.001)


@pytest.mark.skipif(find_binary() is None, reason="no Redis server: install redis-server")
@pytest.mark.parametrize(
    "where",
    [
        "cache: {{store: '{url}'}}\nstore: {{timeout: 5s}}\n",
        "cache: {{}}\nstore: {{url: '{url}', timeout: 5s}}\n",
    ],
    ids=["for replies alone", "beside limits"],
)
async def test_replicas_share_what_is_kept(
    start: Start, connect: Connect, tmp_path: Path, where: str
) -> None:
    """What one gateway keeps in a Redis answers another's client; dead, it is a miss and no error.

    Replies have a connection of their own, so that no limit waits behind them.
    """
    with running_redis(tmp_path) as redis:
        more = where.format(url=redis.url)
        async with raw_upstream(answered()) as upstream:
            one, other = await start(upstream.url, more), await start(upstream.url, more)
            await connected(one)
            await connected(other)
            await ask(await connect(one))
            await all_kept(one)
            client = await connect(other)
            hit = await ask(client)
            redis.kill()
            miss = await ask(client)

    assert hit.body == miss.body == ANSWER
    assert hit.header("cache-status") == "gateway; hit; ttl=3599"
    assert miss.header("cache-status") == "gateway; fwd=miss"
    assert upstream.requests == 2


@pytest.mark.parametrize("answer", [b"", b"+OK\r\n", b"$3\r\nxyz\r\n", b"-ERR no\r\n", b"?!\r\n"])
async def test_a_redis_that_fails_is_a_miss(
    start: Start, connect: Connect, tmp_path: Path, answer: bytes
) -> None:
    """Silent, or talking nonsense, it costs no more than its timeout and changes no reply."""
    async with bad_redis(tmp_path) as redis, raw_upstream(answered()) as upstream:
        gateway = await start(
            upstream.url, f"cache: {{store: '{redis.url}'}}\nstore: {{timeout: 50ms}}\n"
        )
        await connected(gateway)
        redis.greeting = answer
        client = await connect(gateway)
        replies = [await ask(client)]
        await all_kept(gateway)
        replies.append(await ask(client))
        # Without a cache the connection is given up.
        gateway.path.write_text(gateway.path.read_text().replace("cache:", "#"))
        gateway.app.reload()
        without = await ask(client)

    assert [reply.body for reply in replies] == [ANSWER] * 2
    assert without.header("cache-status") is None
    assert upstream.requests == 3


async def test_what_is_kept_survives_a_reload(start: Start, connect: Connect) -> None:
    """A new configuration finds the replies of the old one; one without a cache lets go of them."""
    async with raw_upstream(answered()) as upstream:
        gateway = await start(upstream.url, CACHE)
        client = await connect(gateway)
        await ask(client)
        text = gateway.path.read_text()
        gateway.path.write_text(text.replace("cache: {}", "cache: {ttl: 2h}"))
        gateway.app.reload()
        hit = await ask(client)
        gateway.path.write_text(text.replace("cache: {}", ""))
        gateway.app.reload()
        without = await ask(client)

    assert hit.header("cache-status") == "gateway; hit; ttl=7199"
    assert without.header("cache-status") is None
    assert upstream.requests == 2
    (read,) = [gateway.app.metrics.cache_bytes.read]
    assert read is not None
    assert read() == {(): 0}


async def test_a_hit_is_told_of(start: Start, connect: Connect) -> None:
    """The line of a call says what the cache did, and a hit uses no tokens and names no upstream."""
    log = KeptLog()
    async with raw_upstream(answered()) as upstream:
        gateway = await start(upstream.url, CACHE, log=log)
        client = await connect(gateway)
        await ask(client)
        await ask(client)

    miss, hit = log.lines
    assert (miss["cache"], hit["cache"]) == ("miss", "hit")
    assert (miss["input_tokens"], hit["input_tokens"]) == (8, None)
    assert (miss["upstream"], hit["upstream"]) == ("up", None)
    assert gateway.app.metrics.cache_saved_tokens.values == {(): 10}
    assert sum(gateway.app.metrics.tokens.values.values()) == 10


async def test_a_large_reply_is_replayed_as_its_reader_takes_it(
    start: Start, connect: Connect
) -> None:
    """A hit on a reply of 900 KB holds no more for a client that stands still than a live one would."""
    body = b'{"object":"list","data":["' + b"x" * 900_000 + b'"]}'
    async with raw_upstream(answered(body)) as upstream:
        gateway = await start(upstream.url, CACHE)
        first = await ask(
            await connect(gateway), b'{"model":"m","input":"x"}', path="/v1/embeddings"
        )
        client = await connect(gateway)
        client.request("POST", "/v1/embeddings", b'{"model":"m","input":"x"}')
        await client.head()
        held = max(gateway.app.held_bytes())
        again, ended = await client._exactly(len(body))

    assert first.body == again == body
    assert ended
    assert held <= 262_144
    assert upstream.requests == 1
