"""Equal calls that wait for their turn within a limit wait together."""

import asyncio

from tests.journey.conftest import Connect, Start
from tests.journey.test_cache import ANSWER, CACHE, CHAT, COLD, answered
from tests.journey.test_sharing import COLLAPSED, HEAD, asking, in_flight, settled
from tests.support.raw_upstream import raw_upstream, say


async def test_a_call_waits_its_turn_for_others_too(start: Start, connect: Connect) -> None:
    """While the one that opened a call queues, others wait with it; it may leave, and the call still has its turn."""
    go = asyncio.Event()
    limits = "limits: [{per: user, concurrency: 1, wait: 60s}]\n"
    async with raw_upstream(say(go, HEAD + ANSWER), answered()) as upstream:
        gateway = await start(upstream.url, CACHE + limits)
        warm = COLD.replace(b'"temperature":0', b'"temperature":1')
        (first,) = await asking(gateway, connect, 1, warm)
        opener, other = await connect(gateway), await connect(gateway)
        opener.request("POST", CHAT, COLD)
        await in_flight(gateway, 2)
        other.request("POST", CHAT, COLD)
        await in_flight(gateway, 3)
        opener.writer.transport.abort()
        await in_flight(gateway, 2)
        go.set()
        replies = [await first.reply(), await other.reply()]

    assert [reply.status for reply in replies] == [200, 200]
    assert replies[1].header("cache-status") == COLLAPSED
    assert upstream.requests == 2


async def test_all_who_queue_may_leave(start: Start, connect: Connect) -> None:
    """A call that nobody waits for any more gives its place in the queue back and asks no upstream."""
    go = asyncio.Event()
    limits = "limits: [{per: user, concurrency: 1, wait: 60s}]\n"
    async with raw_upstream(say(go, HEAD + ANSWER), answered()) as upstream:
        gateway = await start(upstream.url, CACHE + limits)
        warm = COLD.replace(b'"temperature":0', b'"temperature":1')
        (first,) = await asking(gateway, connect, 1, warm)
        for _ in range(2):
            client = await connect(gateway)
            client.request("POST", CHAT, COLD)
            await in_flight(gateway, 2)
            client.writer.transport.abort()
            await in_flight(gateway, 1)
        go.set()
        await first.reply()
        await settled(gateway)

    assert upstream.requests == 1
