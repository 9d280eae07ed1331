"""Limits: who is admitted, what is told, what is charged."""

import asyncio
import json

from gateway.demo_upstream import DemoUpstream
from tests.journey.conftest import Connect, Start
from tests.support.gateway import RawReply

CHAT = b'{"model":"demo","messages":[{"role":"user","content":"one two three"}]}'
KEYS = "auth: {keys: [{user: alice, key: sk-gw-alice-0123456789}, {user: bob, key: sk-gw-bob-0123456789ab}]}\n"
ALICE = (("Authorization", "Bearer sk-gw-alice-0123456789"),)
BOB = (("Authorization", "Bearer sk-gw-bob-0123456789ab"),)
PRICE = "models: {demo: {targets: [{upstream: up}], price: {input: 900000, output: 900000}}}\n"


def refusal(reply: RawReply) -> tuple[int, str, str]:
    error = json.loads(reply.body)["error"]
    return reply.status, error["type"], error["code"]


async def test_requests_are_limited_and_told(
    demo: DemoUpstream, start: Start, connect: Connect
) -> None:
    """Each reply says what is left; the one too many is refused in OpenAI's words; others go on."""
    client = await connect(await start(demo.url, KEYS + "limits: [{per: user, requests: 2/min}]"))
    left = []
    for _ in range(2):
        client.request("POST", "/v1/chat/completions", CHAT, ALICE)
        reply = await client.reply()
        assert reply.status == 200
        left.append(reply.header("x-ratelimit-remaining-requests"))
        assert reply.header("x-ratelimit-limit-requests") == "2"
    client.request("POST", "/v1/chat/completions", CHAT, ALICE)
    refused = await client.reply()
    client.request("POST", "/v1/chat/completions", CHAT, BOB)
    other = await client.reply()

    assert left == ["1", "0"]
    assert refusal(refused) == (429, "requests", "rate_limit_exceeded")
    assert "for user alice on requests per min (RPM): Limit 2, Used 2, Requested 1." in str(
        refused.body
    )
    assert 1 <= int(refused.header("retry-after") or 0) <= 61
    assert other.status == 200
    assert len(demo.requests) == 3


async def test_tokens_are_settled_to_what_was_used(
    demo: DemoUpstream, start: Start, connect: Connect
) -> None:
    """A reservation for a long reply comes back when the reply is short."""
    client = await connect(await start(demo.url, KEYS + "limits: [{per: user, tokens: 10000/min}]"))
    body = CHAT[:-1] + b',"max_tokens":9000}'
    for _ in range(5):
        client.request("POST", "/v1/chat/completions", body, ALICE)
        assert (await client.reply()).status == 200

    client.request("POST", "/v1/chat/completions", CHAT[:-1] + b',"max_tokens":10001}', ALICE)
    refused = await client.reply()

    assert refusal(refused)[:2] == (429, "tokens")
    assert "Request too large" in str(refused.body)
    assert refused.header("x-should-retry") == "false"


async def test_a_budget_ends_in_insufficient_quota(
    demo: DemoUpstream, start: Start, connect: Connect
) -> None:
    """Money that is spent comes back with the calendar, and an SDK is told not to try again."""
    gateway = await start(demo.url, PRICE + KEYS + "limits: [{per: user, budget: 5/day}]")
    client = await connect(gateway)
    client.request("POST", "/v1/chat/completions", CHAT[:-1] + b',"max_tokens":1}', ALICE)
    assert (await client.reply()).status == 429
    assert not demo.requests

    spare = await start(demo.url, PRICE + KEYS + "limits: [{per: user, budget: 100/day}]")
    client = await connect(spare)
    client.request("POST", "/v1/chat/completions", CHAT[:-1] + b',"max_tokens":3}', ALICE)
    assert (await client.reply()).status == 200
    assert spare.app.metrics.cost.values[("alice", "demo")] > 0


async def test_concurrency_frees_its_place_when_the_client_leaves(
    demo: DemoUpstream, start: Start, connect: Connect
) -> None:
    """A call in flight holds a place; it comes back at once when its client goes away."""
    gateway = await start(demo.url, KEYS + "limits: [{per: user, concurrency: 1}]")
    held, other = await connect(gateway), await connect(gateway)
    held.request("POST", "/v1/chat/completions", CHAT, (*ALICE, ("x-demo", '{"hang_after": -1}')))
    async with asyncio.timeout(10):
        while not demo.requests:  # noqa: ASYNC110 - the demo has no event for it
            await asyncio.sleep(0.001)
    other.request("POST", "/v1/chat/completions", CHAT, ALICE)
    assert refusal(await other.reply())[0] == 429

    held.writer.transport.abort()
    async with asyncio.timeout(10):
        while gateway.app.calls_in_flight:  # noqa: ASYNC110 - nor has the gateway
            await asyncio.sleep(0.001)

    other.request("POST", "/v1/chat/completions", CHAT, ALICE)
    assert (await other.reply()).status == 200


async def test_end_users_within_a_key(demo: DemoUpstream, start: Start, connect: Connect) -> None:
    """A trusted app's header, else OpenAI's own fields, name the end user; without one no rule applies."""
    config = KEYS.replace("auth: {", "auth: {end_user_header: x-end-user, ")
    client = await connect(
        await start(demo.url, config + "limits: [{per: end_user, requests: 1/min}]")
    )
    statuses = []
    for headers, body in (
        ((("X-End-User", "u1"),), CHAT),
        ((("X-End-User", "u1"),), CHAT),
        ((("X-End-User", "u2"),), CHAT),
        ((), CHAT[:-1] + b',"user":"u1"}'),
        ((), CHAT),
        ((), CHAT),
    ):
        client.request("POST", "/v1/chat/completions", body, (*ALICE, *headers))
        statuses.append((await client.reply()).status)

    assert statuses == [200, 429, 200, 429, 200, 200]
    assert demo.requests[0].header("x-end-user") is None


async def test_a_reload_keeps_what_is_counted(
    demo: DemoUpstream, start: Start, connect: Connect
) -> None:
    """A new configuration does not refill a limit."""
    gateway = await start(demo.url, KEYS + "limits: [{per: user, requests: 1/day}]")
    client = await connect(gateway)
    client.request("POST", "/v1/chat/completions", CHAT, ALICE)
    assert (await client.reply()).status == 200

    gateway.app.reload()

    client.request("POST", "/v1/chat/completions", CHAT, ALICE)
    assert (await client.reply()).status == 429


async def test_an_upstream_without_room_is_passed_over(
    demo: DemoUpstream, start: Start, connect: Connect
) -> None:
    """A target whose upstream's limit is reached is skipped; where none is left the client gets the 429."""
    second = f'}}, {{name: spare, base_url: "{demo.url}/v1"'
    config = (
        "models: {demo: {targets: [{upstream: up}], fallbacks: [gpt-4o]}, gpt-4o: {targets: [{upstream: spare}]}}\n"
        "limits: [{per: upstream, match: {upstream: up}, requests: 1/min},"
        " {per: upstream, match: {upstream: spare}, requests: 1/min}]\n"
    )
    client = await connect(await start(demo.url, config, upstream=second))
    seen = []
    for _ in range(3):
        client.request("POST", "/v1/chat/completions", CHAT)
        reply = await client.reply()
        seen.append((reply.status, reply.header("x-gateway-upstream")))

    assert seen[:2] == [(200, "up"), (200, "spare")]
    assert seen[2][0] == 429
