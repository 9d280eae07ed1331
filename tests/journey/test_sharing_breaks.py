"""A reply that breaks while several read it: what each of them sees, what is told of it, and who pays."""

import asyncio

import pytest

from tests.journey.conftest import Connect, Start
from tests.journey.test_cache import CACHE, CHAT, EVENTS, STREAM
from tests.journey.test_sharing import asking, settled
from tests.support.gateway import KeptLog
from tests.support.raw_upstream import STREAM_HEAD, chunked, raw_upstream, say


async def test_a_stream_that_breaks_is_cut_for_all(start: Start, connect: Connect) -> None:
    """No reader takes a broken stream for a whole one."""
    go = asyncio.Event()
    piece = chunked(EVENTS[0], end=False)
    async with raw_upstream(say(STREAM_HEAD, piece, go, then="cut")) as upstream:
        gateway = await start(upstream.url, CACHE)
        clients = await asking(gateway, connect, 2, STREAM)
        go.set()
        replies = [await client.reply() for client in clients]

    assert [(reply.body, reply.whole) for reply in replies] == [(EVENTS[0], False)] * 2


@pytest.mark.parametrize("more", [CACHE, ""], ids=["shared", "alone"])
async def test_what_came_before_a_break_is_told_and_paid(
    start: Start, connect: Connect, more: str
) -> None:
    """The line names the upstream's break, not the client's leaving, and what was said, however long, is counted."""
    log = KeptLog()
    said = chunked(EVENTS[0].replace(b"hel", b"hello " * 5_000), end=False)
    async with raw_upstream(say(STREAM_HEAD, said, then="cut")) as upstream:
        gateway = await start(upstream.url, more, log=log)
        client = await connect(gateway)
        client.request("POST", CHAT, STREAM)
        assert not (await client.reply()).whole
        await settled(gateway)

    (line,) = log.lines
    assert (line["status"], line["code"]) == (200, "upstream_protocol_error")
    assert (line["output_tokens"], line["estimated"]) == (5_003, True)
    assert sum(gateway.app.metrics.disconnects.values.values()) == 0


async def test_who_reads_along_is_told_of_the_break(start: Start, connect: Connect) -> None:
    """Each line names the upstream's break; those who did not open the call use no tokens."""
    log, go = KeptLog(), asyncio.Event()
    said = chunked(EVENTS[0], end=False)
    async with raw_upstream(say(STREAM_HEAD, said, go, then="cut")) as upstream:
        gateway = await start(upstream.url, CACHE, log=log)
        clients = await asking(gateway, connect, 3, STREAM)
        go.set()
        for client in clients:
            await client.reply()
        await settled(gateway)

    assert [(line["status"], line["code"]) for line in log.lines] == [
        (200, "upstream_protocol_error")
    ] * 3
    assert [line["output_tokens"] for line in log.lines] == [3, None, None]
