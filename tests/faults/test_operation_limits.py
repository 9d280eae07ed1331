"""Stores that lie, die and come back; floods of one key, or of wrong ones."""

from pathlib import Path

import pytest

from tests.journey.conftest import Connect, Start
from tests.support.bad_redis import bad_redis
from tests.support.clock import FakeClock
from tests.support.faults import JSON, POST, asked, chat, refusal
from tests.support.raw_upstream import raw_upstream, say, whole

LIMITS = "limits: [{per: global, requests: 1000/min}]\n"
TWO_USERS = (
    "auth: {keys: [{user: alice, key: client-secret-key-1}, {user: bob, key: client-secret-key-2}]}\n"
    "limits: [{per: user, requests: 3/min}]\n"
)
ALICE = b"Authorization: Bearer client-secret-key-1"
BOB = b"Authorization: Bearer client-secret-key-2"

ANSWERS = {
    "silence": b"",
    "an end": None,
    "an error": b"-ERR no\r\n",
    "garbage": b"!!! not redis\r\n",
    "another type": b"$5\r\nhello\r\n",
    "a table without end": b"*1000000\r\n",
    "too few values": b"*0\r\n",
}


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
@pytest.mark.parametrize(("on_failure", "status"), [("allow", 200), ("refuse", 503)])
async def test_a_store_that_fails_is_what_was_configured(
    start: Start,
    connect: Connect,
    tmp_path: Path,
    answer: bytes | None,
    on_failure: str,
    status: int,
) -> None:
    """Whatever a store says instead of an answer: calls pass, or are 503, and none of them hangs or is a 500."""
    async with raw_upstream(say(whole(b"{}"))) as upstream, bad_redis(tmp_path) as bad:
        bad.answer = answer
        store = f"store: {{url: '{bad.url}', on_failure: {on_failure}, timeout: 100ms}}\n"
        gateway = await start(upstream.url, LIMITS + store)
        for _ in range(3):
            reply = await asked(await connect(gateway), chat())
            assert reply.status == status
            if status == 503:
                assert refusal(reply) == (503, "store_unavailable")
                assert reply.header("retry-after")
        await gateway.app.drain()


@pytest.mark.parametrize(("on_failure", "status"), [("allow", 200), ("refuse", 503)])
async def test_a_store_that_is_not_there_at_the_start(
    start: Start, connect: Connect, tmp_path: Path, on_failure: str, status: int
) -> None:
    """A gateway starts without its store, and is ready: readiness is not what the store decides."""
    async with raw_upstream(say(whole(b"{}"))) as upstream:
        store = f"store: {{url: 'unix://{tmp_path}/nowhere.sock', on_failure: {on_failure}}}\n"
        gateway = await start(upstream.url, LIMITS + store)
        reply = await asked(await connect(gateway), chat())
        assert reply.status == status
        assert gateway.app.metrics.store_up.read is not None


async def test_one_key_s_flood_is_told_by_the_head_and_is_its_own(
    start: Start, connect: Connect
) -> None:
    """Above its limit a user is refused before its body is read, costs the upstream nothing, and bob is served."""
    clock = FakeClock()
    async with raw_upstream(say(whole(b"{}"))) as upstream:
        gateway = await start(upstream.url, TWO_USERS, clock=clock)
        flood = await connect(gateway)
        for _ in range(3):
            assert (await asked(flood, chat(ALICE))).status == 200
        for _ in range(50):
            assert refusal(await asked(flood, chat(ALICE))) == (429, "rate_limit_exceeded")
        head = POST + JSON + ALICE + b"\r\nExpect: 100-continue\r\nContent-Length: 100\r\n\r\n"
        assert (await asked(await connect(gateway), head)).status == 429
        assert upstream.requests == 3
        assert (await asked(await connect(gateway), chat(BOB))).status == 200
        clock.advance(61)
        assert (await asked(await connect(gateway), chat(ALICE))).status == 200


async def test_a_flood_of_wrong_keys_leaves_the_others_alone(
    start: Start, connect: Connect
) -> None:
    """Wrong keys are 401 by the head alone, take no one's limit, and become no series of their own."""
    async with raw_upstream(say(whole(b"{}"))) as upstream:
        gateway = await start(upstream.url, TWO_USERS)
        flood = await connect(gateway)
        for number in range(200):
            wrong = b"Authorization: Bearer wrong-%d" % number
            assert (await asked(flood, chat(wrong))).status == 401
        assert (await asked(await connect(gateway), chat(ALICE))).status == 200
        assert upstream.requests == 1
        assert len(gateway.app.metrics.requests.values) <= 3
