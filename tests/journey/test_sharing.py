"""Equal calls in flight are one upstream call, in failure too; each client reads along at its own pace."""

import asyncio
import json

import pytest

from gateway.demo_upstream import DemoUpstream
from tests.journey.conftest import Connect, Start
from tests.journey.test_cache import (
    ALICE,
    ANSWER,
    BOB,
    CACHE,
    CHAT,
    COLD,
    EVENTS,
    KEYS,
    STREAM,
    answered,
    ask,
    outcomes,
)
from tests.support.gateway import HANG_SECONDS, RawClient, RunningGateway
from tests.support.raw_upstream import STREAM_HEAD, chunked, raw_upstream, say, whole

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(
    ANSWER
)
SHARED = "cache: {scope: shared}\n"
COLLAPSED = "gateway; fwd=miss; collapsed"


async def in_flight(gateway: RunningGateway, calls: int) -> None:
    """Return when so many calls are in progress, and each waits for something."""
    async with asyncio.timeout(HANG_SECONDS):
        while gateway.app.calls_in_flight != calls:  # noqa: ASYNC110 - it has no event
            await asyncio.sleep(0.001)
        await asyncio.sleep(0.01)


async def settled(gateway: RunningGateway) -> None:
    """Return when nothing is in progress any more."""
    await in_flight(gateway, 0)
    async with asyncio.timeout(HANG_SECONDS):
        while len(gateway.app._tasks):  # noqa: ASYNC110 - it has no event
            await asyncio.sleep(0.001)


async def asking(
    gateway: RunningGateway, connect: Connect, number: int, body: bytes
) -> list[RawClient]:
    """Let so many clients ask the same, one after the other."""
    clients = []
    for n in range(number):
        client = await connect(gateway)
        client.request("POST", CHAT, body, (("x-request-id", f"call-{n}"),))
        await in_flight(gateway, n + 1)
        clients.append(client)
    return clients


async def test_a_whole_reply_is_shared(start: Start, connect: Connect) -> None:
    """Those who ask while it is on its way get the same bytes, and nothing that was the first one's alone."""
    go = asyncio.Event()
    reply = HEAD.replace(
        b"\r\n\r\n", b"\r\nX-Request-Id: up-1\r\nX-RateLimit-Limit-Tokens: 9\r\n\r\n"
    )
    async with raw_upstream(say(go, reply + ANSWER)) as upstream:
        gateway = await start(upstream.url, CACHE)
        clients = await asking(gateway, connect, 3, COLD)
        go.set()
        replies = [await client.reply() for client in clients]
        kept = await ask(clients[0])

    assert upstream.requests == 1
    assert [reply.body for reply in replies] == [ANSWER] * 3
    assert [r.header("cache-status") for r in replies] == [
        "gateway; fwd=miss",
        COLLAPSED,
        COLLAPSED,
    ]
    assert [r.header("x-request-id") for r in replies] == ["up-1", "call-1", "call-2"]
    assert [r.header("x-ratelimit-limit-tokens") for r in replies] == ["9", None, None]
    assert [r.header("x-gateway-upstream") for r in replies] == ["up"] * 3
    assert (kept.header("cache-status") or "").startswith("gateway; hit")
    assert outcomes(gateway) == {"miss": 1, "collapsed": 2, "hit": 1}
    assert gateway.app.metrics.cache_saved_tokens.values == {(): 30}


async def test_a_live_stream_is_shared(start: Start, connect: Connect) -> None:
    """Who joins in the middle gets all that came so far at once, and the rest as it comes."""
    go = asyncio.Event()
    first, rest = chunked(EVENTS[0], end=False), chunked(*EVENTS[1:])
    async with raw_upstream(say(STREAM_HEAD, first, go, rest)) as upstream:
        gateway = await start(upstream.url, CACHE)
        (opener,) = await asking(gateway, connect, 1, STREAM)
        async with asyncio.timeout(HANG_SECONDS):
            await opener.reader.readuntil(EVENTS[0])
        late = await connect(gateway)
        late.request("POST", CHAT, STREAM)
        await late.head()
        async with asyncio.timeout(HANG_SECONDS):
            await late.reader.readuntil(EVENTS[0] + b"\r\n")
        go.set()
        ends = [(await client.chunks()) for client in (late,)]

    assert ends == [(b"".join(EVENTS[1:]), True)]
    assert upstream.requests == 1


@pytest.mark.parametrize("body", [COLD, STREAM])
async def test_a_hundred_equal_calls_are_one(
    demo: DemoUpstream, start: Start, connect: Connect, body: bytes
) -> None:
    """A hundred clients at once get a hundred equal replies from one upstream call."""
    gateway = await start(demo.url, CACHE)
    clients = [await connect(gateway) for _ in range(100)]
    pace = ("x-demo", json.dumps({"pace_ms": 5}))
    for client in clients:
        client.request("POST", CHAT, body, (pace,))
    replies = await asyncio.gather(*(client.reply() for client in clients))

    assert len(demo.requests) == 1
    assert len({reply.body for reply in replies}) == 1
    assert all(reply.whole and reply.status == 200 for reply in replies)
    assert outcomes(gateway) == {"miss": 1, "collapsed": 99}


async def test_the_first_ones_leaving_hurts_nobody(start: Start, connect: Connect) -> None:
    """The call goes on for the others, and the one that opened it pays what it came to."""
    go = asyncio.Event()
    async with raw_upstream(say(HEAD + ANSWER[:9], go, ANSWER[9:])) as upstream:
        gateway = await start(
            upstream.url,
            SHARED + KEYS + "models: {demo: {targets: [{upstream: up}]}}\n",
        )
        opener, other = await connect(gateway), await connect(gateway)
        opener.request("POST", CHAT, COLD, ALICE)
        await in_flight(gateway, 1)
        other.request("POST", CHAT, COLD, BOB)
        await in_flight(gateway, 2)
        opener.writer.transport.abort()
        await in_flight(gateway, 1)
        go.set()
        reply = await other.reply()
        await settled(gateway)

    assert (reply.body, reply.whole) == (ANSWER, True)
    tokens = gateway.app.metrics.tokens.values
    assert tokens[("alice", "demo", "input", "reported")] == 8
    assert {user for user, *_ in tokens} == {"alice"}


@pytest.mark.parametrize("begun", [False, True])
async def test_the_last_ones_leaving_ends_the_call(
    start: Start, connect: Connect, begun: bool
) -> None:
    """When nobody reads any more the upstream's connection closes, and nothing of it is kept."""
    pieces = [STREAM_HEAD, chunked(EVENTS[0], end=False)] if begun else []
    async with raw_upstream(
        say(*pieces, then="hang"), say(STREAM_HEAD, chunked(*EVENTS))
    ) as upstream:
        gateway = await start(upstream.url, CACHE)
        clients = await asking(gateway, connect, 3, STREAM)
        await upstream.asked.wait()
        for client in clients:
            assert not upstream.connections[0].left.is_set()
            client.writer.transport.abort()
            await asyncio.sleep(0.01)
        await upstream.until(upstream.connections[0].left.is_set)
        await settled(gateway)
        anew = await ask(await connect(gateway), STREAM)

    assert anew.header("cache-status") == "gateway; fwd=miss"
    assert anew.body == b"".join(EVENTS)


async def test_one_who_leaves_at_once_leaves_nothing(start: Start, connect: Connect) -> None:
    """A client that is gone before its call began holds nobody up."""
    async with raw_upstream(answered()) as upstream:
        gateway = await start(upstream.url, CACHE)
        client = await connect(gateway)
        client.request("POST", CHAT, COLD)
        client.writer.close()
        await settled(gateway)
        reply = await ask(await connect(gateway))

    assert reply.body == ANSWER


async def test_the_last_error_goes_to_all(start: Start, connect: Connect) -> None:
    """Tries are made once for all; the refusal comes with the time after which to come again, and is not kept."""
    go = asyncio.Event()
    busy = whole(b'{"error":{"message":"busy"}}', b"Retry-After: 7", status=b"503 Busy")
    async with raw_upstream(say(go, busy), say(busy)) as upstream:
        gateway = await start(upstream.url, CACHE)
        clients = await asking(gateway, connect, 3, COLD)
        go.set()
        replies = [await client.reply() for client in clients]

        assert upstream.requests == 2
        assert [reply.status for reply in replies] == [503] * 3
        assert [reply.header("retry-after") for reply in replies] == ["7"] * 3
        await ask(clients[0])
        assert upstream.requests > 2


async def test_an_upstream_that_breaks_is_a_failure_for_all(start: Start, connect: Connect) -> None:
    """A connection that ends before the head is a 502 to each who waits."""
    go = asyncio.Event()
    async with raw_upstream(say(go, then="cut")) as upstream:
        gateway = await start(upstream.url, CACHE, upstream=", retries: 0")
        clients = await asking(gateway, connect, 3, COLD)
        go.set()
        replies = [await client.reply() for client in clients]
        await settled(gateway)

    assert upstream.requests == 1
    assert [reply.status for reply in replies] == [502] * 3


async def test_a_fallbacks_reply_is_shared_and_not_kept(start: Start, connect: Connect) -> None:
    """Another model's answer helps those who wait, and nobody later."""
    go = asyncio.Event()
    busy = whole(b'{"error":{}}', status=b"503 Busy")
    async with raw_upstream(say(go, busy), answered(), say(busy), answered()) as upstream:
        models = "models: {demo: {targets: [{upstream: up}], fallbacks: [other]}, other: {targets: [{upstream: up}]}}\n"
        gateway = await start(upstream.url, CACHE + models, upstream=", retries: 0")
        clients = await asking(gateway, connect, 2, COLD)
        go.set()
        replies = [await client.reply() for client in clients]
        await ask(clients[0])

    assert [reply.body for reply in replies] == [ANSWER] * 2
    assert upstream.requests == 4


async def test_a_shared_reply_costs_a_request_and_no_tokens(start: Start, connect: Connect) -> None:
    """Limits on tokens are the opener's alone; each who joins, and each hit, counts as a request."""
    go = asyncio.Event()
    limits = "limits: [{per: user, requests: 4/min, tokens: 60/min}]\n"
    body = COLD[:-1] + b',"max_tokens":40}'
    async with raw_upstream(say(go, HEAD + ANSWER), answered()) as upstream:
        gateway = await start(upstream.url, CACHE + limits)
        clients = await asking(gateway, connect, 3, body)
        go.set()
        replies = [await client.reply() for client in clients]
        hit = await ask(clients[0], body)
        refused = await ask(clients[0], body)

    assert [reply.status for reply in replies] == [200] * 3
    assert [r.header("x-ratelimit-remaining-requests") for r in replies] == ["3", "2", "1"]
    assert hit.header("x-ratelimit-remaining-requests") == "0"
    assert hit.header("cache-status") is not None
    assert refused.status == 429


async def test_whom_the_openers_limit_does_not_refuse(start: Start, connect: Connect) -> None:
    """Where limits refuse the one that opened the call, another opens it and pays."""
    limits = "limits: [{per: user, match: {user: alice}, tokens: 1/min}]\n"
    async with raw_upstream(answered()) as upstream:
        gateway = await start(upstream.url, SHARED + KEYS + limits)
        alice, bob = await connect(gateway), await connect(gateway)
        alice.request("POST", CHAT, COLD, ALICE)
        bob.request("POST", CHAT, COLD, BOB)
        replies = [await alice.reply(), await bob.reply()]
        joined = await ask(alice, COLD, *ALICE)

    assert [reply.status for reply in replies] == [429, 200]
    # What is kept costs no tokens.
    assert joined.status == 200
    assert upstream.requests == 1


async def test_a_long_reply_is_not_joined(start: Start, connect: Connect) -> None:
    """Once what came is more than `max_entry`, the next caller's is a call of its own."""
    go = asyncio.Event()
    event = b"data: " + b"x" * 2000 + b"\n\n"
    async with raw_upstream(
        say(STREAM_HEAD, chunked(event, end=False), go, chunked(EVENTS[2])),
        say(STREAM_HEAD, chunked(*EVENTS)),
    ) as upstream:
        gateway = await start(upstream.url, "cache: {max_entry: 1KiB}\n")
        (opener,) = await asking(gateway, connect, 1, STREAM)
        await opener.head()
        async with asyncio.timeout(HANG_SECONDS):
            await opener.reader.readuntil(event + b"\r\n")
        other = await ask(await connect(gateway), STREAM)
        go.set()
        _, ended = await opener.chunks()

    assert other.header("cache-status") == "gateway; fwd=miss"
    assert other.body == b"".join(EVENTS)
    assert ended


async def test_an_older_reply_never_replaces_a_newer(start: Start, connect: Connect) -> None:
    """What `no-cache` brought stays, though the call before it ends later."""
    go = asyncio.Event()
    newer = b'{"choices":[],"n":2}'
    async with raw_upstream(
        say(go, HEAD + ANSWER), say(whole(newer, b"Content-Type: application/json"))
    ) as upstream:
        gateway = await start(upstream.url, CACHE)
        (older,) = await asking(gateway, connect, 1, COLD)
        await ask(await connect(gateway), COLD, ("cache-control", "no-cache"))
        go.set()
        first = await older.reply()
        await settled(gateway)
        again = await ask(await connect(gateway))

    assert first.body == ANSWER
    assert (again.body, upstream.requests) == (newer, 2)


async def test_a_slow_reader_does_not_hold_the_others_up(start: Start, connect: Connect) -> None:
    """One that stands still is cut when it is too far behind; the others get all of it."""
    go = asyncio.Event()
    piece = b"x" * 65_536
    many = 400
    async with raw_upstream(
        say(STREAM_HEAD, go, *[chunked(piece, end=False)] * many, b"0\r\n\r\n")
    ) as upstream:
        gateway = await start(upstream.url, CACHE)
        slow, quick = await asking(gateway, connect, 2, STREAM)
        go.set()
        await quick.head()
        body, ended = await quick.chunks()
        left, slow_ended = await slow.chunks() if await slow.head() else (b"", True)

    assert upstream.requests == 1
    assert (len(body), ended) == (many * len(piece), True)
    assert len(left) < many * len(piece)
    assert not slow_ended


async def test_readers_that_all_stand_still_hold_the_upstream_back(
    start: Start, connect: Connect
) -> None:
    """What nobody takes stays with the upstream, and all of it comes when they read on."""
    piece = b"x" * 65_536
    many = 400
    async with raw_upstream(
        say(STREAM_HEAD, *[chunked(piece, end=False)] * many, b"0\r\n\r\n")
    ) as upstream:
        gateway = await start(upstream.url, CACHE)
        (client,) = await asking(gateway, connect, 1, STREAM)
        await client.head()
        await upstream.until(lambda: upstream.stalled == 1)
        (held,) = gateway.app.held_bytes()
        body, ended = await client.chunks()

    assert held <= 262_144
    assert (len(body), ended) == (many * len(piece), True)
