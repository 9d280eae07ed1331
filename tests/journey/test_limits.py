"""Limits: who is admitted, what is told, what is charged."""

import asyncio
import json

from gateway.demo_upstream import DemoUpstream
from tests.journey.conftest import Connect, Start
from tests.support.clock import FakeClock
from tests.support.gateway import RawReply
from tests.support.raw_upstream import raw_upstream, say, whole

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


async def test_an_alias_costs_what_the_configuration_says(
    demo: DemoUpstream, start: Start, connect: Connect
) -> None:
    """The operator's price of a name goes before the table's price of what stands behind it."""
    config = "models: {fast: {targets: [{upstream: up, model: gpt-4o-mini}], price: {input: 1000, output: 1000}}}\n"
    gateway = await start(demo.url, config + KEYS)
    client = await connect(gateway)
    client.request("POST", "/v1/chat/completions", CHAT.replace(b"demo", b"fast"), ALICE)
    reply = await client.reply()

    used = json.loads(reply.body)["usage"]["total_tokens"]
    assert gateway.app.metrics.cost.values[("alice", "fast")] == used / 1000


async def test_audio_is_priced_by_request(
    demo: DemoUpstream, start: Start, connect: Connect
) -> None:
    """What reports no tokens still costs what a request costs."""
    config = "models: {tts-1: {targets: [{upstream: up}], price: {request: 0.5}}}\n"
    gateway = await start(demo.url, config + KEYS)
    client = await connect(gateway)
    body = b'{"model":"tts-1","input":"one two three","voice":"alloy"}'
    client.request("POST", "/v1/audio/speech", body, ALICE)
    assert (await client.reply()).status == 200
    client.request("GET", "/healthz")
    await client.reply()

    assert gateway.app.metrics.cost.values[("alice", "tts-1")] == 0.5


async def test_a_completion_of_many_prompts_is_reserved_whole(
    demo: DemoUpstream, start: Start, connect: Connect
) -> None:
    """Each prompt's reply is reserved: a hard bound holds for all of them together."""
    config = KEYS + "limits: [{per: user, tokens: 1000/h, reserve: max}]"
    client = await connect(await start(demo.url, config))
    body = b'{"model":"demo","prompt":["a","b","c","d","e"],"max_tokens":300}'
    client.request("POST", "/v1/completions", body, ALICE)

    assert refusal(await client.reply())[0] == 429


async def test_an_upstreams_limit_is_told_too(
    demo: DemoUpstream, start: Start, connect: Connect
) -> None:
    """Where an upstream's rule alone covers a call, its numbers are told, and not the upstream's own."""
    client = await connect(await start(demo.url, KEYS + "limits: [{per: upstream, requests: 5/h}]"))
    client.request("POST", "/v1/chat/completions", CHAT, ALICE)
    reply = await client.reply()

    told = [v for name, v in reply.headers if name == "x-ratelimit-limit-requests"]
    assert told == ["5"]
    assert reply.header("x-ratelimit-limit-tokens") is None


async def test_every_answer_tells_of_each_limit_once(
    demo: DemoUpstream, start: Start, connect: Connect
) -> None:
    """Beside a user's limit the upstream's is told where it is tighter, also when it refuses; no field stands twice."""
    limits = "limits: [{per: user, requests: 10/h, tokens: 9000/h}, {per: upstream, requests: 1/h}]"
    client = await connect(await start(demo.url, KEYS + limits))
    seen = []
    for _ in range(2):
        client.request("POST", "/v1/chat/completions", CHAT, ALICE)
        reply = await client.reply()
        told = [(n, v) for n, v in reply.headers if n.lower().startswith("x-ratelimit-limit-")]
        seen.append((reply.status, sorted(told)))

    told = [("x-ratelimit-limit-requests", "1"), ("x-ratelimit-limit-tokens", "9000")]
    assert seen == [(200, told), (429, told)]


async def test_who_hangs_up_pays_for_the_prompt(
    demo: DemoUpstream, start: Start, connect: Connect
) -> None:
    """A call that is given up while its upstream has it is charged the prompt that was counted."""
    gateway = await start(demo.url, KEYS + "limits: [{per: user, tokens: 10000/h}]")
    leaving, next_one = await connect(gateway), await connect(gateway)
    long = CHAT.replace(b"one two three", b"word " * 500)
    leaving.request(
        "POST", "/v1/chat/completions", long, (*ALICE, ("x-demo", '{"hang_after": -1}'))
    )
    async with asyncio.timeout(10):
        while not demo.requests:  # noqa: ASYNC110 - the demo has no event for it
            await asyncio.sleep(0.001)
    leaving.writer.transport.abort()
    async with asyncio.timeout(10):
        while gateway.app.calls_in_flight:  # noqa: ASYNC110 - nor has the gateway
            await asyncio.sleep(0.001)
    next_one.request("POST", "/v1/chat/completions", CHAT, ALICE)
    left = int((await next_one.reply()).header("x-ratelimit-remaining-tokens") or 0)

    assert 8000 < left < 9500


async def test_waiting_for_an_upstream_s_place_is_not_its_time(
    start: Start, connect: Connect
) -> None:
    """However long a call queued for its upstream's limit, the upstream has its whole time to answer in."""
    clock, answer = FakeClock(), asyncio.Event()
    answered = say(answer, whole(b"{}", b"Content-Type: application/json"))
    async with raw_upstream(say(then="hang"), answered) as up:
        gateway = await start(
            up.url,
            "limits: [{per: upstream, concurrency: 1, wait: 60s}]",
            upstream=", first_byte_timeout: 20s, retries: 0",
            clock=clock,
        )
        first, second = await connect(gateway), await connect(gateway)
        first.request("POST", "/v1/chat/completions", CHAT)
        async with asyncio.timeout(10):
            await up.asked.wait()
        second.request("POST", "/v1/chat/completions", CHAT)
        async with asyncio.timeout(10):
            while gateway.app.calls_in_flight < 2:  # noqa: ASYNC110 - the gateway has no event for it
                await asyncio.sleep(0.001)
            for _ in range(100):  # it has come to where it queues
                await asyncio.sleep(0)
        clock.advance(21)
        assert (await first.reply()).status == 504
        async with asyncio.timeout(10):
            while up.requests < 2:  # noqa: ASYNC110 - nor is there one for each request
                await asyncio.sleep(0.001)
        clock.advance(15)
        answer.set()

        assert (await second.reply()).status == 200
