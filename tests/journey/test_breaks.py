"""Upstreams that die, lie or dawdle: a real status before the first byte, a cut after it, never a clean end."""

import json

import pytest

from tests.journey.conftest import KEY, Connect, Start
from tests.support.gateway import RawReply
from tests.support.raw_upstream import (
    STREAM_HEAD,
    Say,
    chunked,
    raw_upstream,
    say,
    whole,
)

CHAT = b'{"model":"echo","messages":[{"role":"user","content":"hi"}]}'
EVENT = b'data: {"choices":[]}\n\n'


async def answer(start: Start, connect: Connect, *sayings: Say, upstream: str = "") -> RawReply:
    async with raw_upstream(*sayings) as scripted:
        client = await connect(await start(scripted.url, upstream=upstream))
        client.request("POST", "/v1/chat/completions", CHAT)
        return await client.reply()


def error(reply: RawReply) -> tuple[int, str]:
    return reply.status, json.loads(reply.body)["error"]["code"]


@pytest.mark.parametrize(
    "saying",
    [
        say(then="end"),
        say(then="cut"),
        say(b"HTTP/1.1 200 OK\r\nContent-", then="end"),
        say(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{", then="end"),
        say(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{", then="cut"),
        say(b"SSH-2.0-OpenSSH_9.2\r\n"),
        say(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        say(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"),
        say(b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n"),
    ],
)
async def test_a_break_before_the_first_byte_is_a_502(
    start: Start, connect: Connect, saying: Say
) -> None:
    """Whatever breaks before a byte reached the client is a whole reply with a real status."""
    reply = await answer(start, connect, saying, upstream=", retries: 0")

    assert error(reply) == (502, "upstream_protocol_error")
    assert reply.whole


@pytest.mark.parametrize(
    "saying",
    [
        say(STREAM_HEAD, chunked(EVENT, end=False), then="end"),
        say(STREAM_HEAD, chunked(EVENT, end=False), then="cut"),
        say(STREAM_HEAD, chunked(EVENT, end=False), b"0x5\r\nhello\r\n"),
        say(STREAM_HEAD, chunked(EVENT, end=False), b"zz\r\n"),
        say(b"HTTP/1.1 200 OK\r\nContent-Length: 70000\r\n\r\n" + b"x" * 69_999, then="end"),
        say(b"HTTP/1.1 200 OK\r\n\r\n" + EVENT, then="cut"),
    ],
)
async def test_a_break_in_the_middle_cuts_the_client(
    start: Start, connect: Connect, saying: Say
) -> None:
    """A stream or a long reply that breaks never looks whole to its client."""
    reply = await answer(start, connect, saying)

    assert reply.status == 200
    assert not reply.whole


async def test_a_reply_that_ends_with_its_connection_is_whole(
    start: Start, connect: Connect
) -> None:
    """A clean end is an end where the upstream framed nothing."""
    reply = await answer(start, connect, say(b"HTTP/1.1 200 OK\r\n\r\n" + EVENT, then="end"))

    assert (reply.body, reply.whole) == (EVENT, True)


async def test_an_unreachable_upstream_is_a_502(start: Start, connect: Connect) -> None:
    """Nobody at the address: 502, told in OpenAI's shape, with ids and no address in it."""
    async with raw_upstream(say()) as gone:
        origin = gone.url
    client = await connect(await start(origin))
    client.request("POST", "/v1/chat/completions", CHAT, (("x-request-id", "mine-1"),))
    reply = await client.reply()

    assert error(reply) == (502, "upstream_unreachable")
    assert reply.header("x-gateway-request-id") == "mine-1"
    assert b"127.0.0.1" not in reply.body


async def test_a_silent_upstream_is_a_504(start: Start, connect: Connect) -> None:
    """No head in time: 504."""
    reply = await answer(
        start, connect, say(then="hang"), upstream=", first_byte_timeout: 200ms, retries: 3"
    )

    assert error(reply) == (504, "upstream_timeout")


async def test_a_head_that_drips_is_a_504(start: Start, connect: Connect) -> None:
    """The head as a whole has a deadline, not each of its bytes; nor do interim replies extend it."""
    drip = [b"HTTP/1.1 100 Continue\r\n\r\n"] * 10
    reply = await answer(
        start, connect, say(*drip, then="hang"), upstream=", first_byte_timeout: 200ms"
    )

    assert error(reply) == (504, "upstream_timeout")


async def test_a_stream_that_stands_still_is_cut(start: Start, connect: Connect) -> None:
    """A gap above `idle_timeout` ends the call, and the client sees a cut."""
    reply = await answer(
        start,
        connect,
        say(STREAM_HEAD, chunked(EVENT, end=False), then="hang"),
        upstream=", idle_timeout: 200ms",
    )

    assert not reply.whole


async def test_interim_replies_are_skipped(start: Start, connect: Connect) -> None:
    """100 and 103 from an upstream do not reach the client."""
    reply = await answer(
        start,
        connect,
        say(
            b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Early\r\nLink: x\r\n\r\n", whole(b"ok")
        ),
    )

    assert (reply.status, reply.body) == (200, b"ok")
    assert reply.header("link") is None


async def test_bytes_after_a_reply_reach_nobody(start: Start, connect: Connect) -> None:
    """A second reply that nobody asked for is not the next client's."""
    async with raw_upstream(say(whole(b"one") + whole(b"stolen")), say(whole(b"two"))) as upstream:
        gateway = await start(upstream.url)
        first, second = await connect(gateway), await connect(gateway)
        first.request("POST", "/v1/chat/completions", CHAT)
        one = await first.reply()
        second.request("POST", "/v1/chat/completions", CHAT)
        two = await second.reply()

    assert (one.body, two.body) == (b"one", b"two")
    assert len(upstream.connections) == 2


async def test_a_stale_connection_costs_the_client_nothing(start: Start, connect: Connect) -> None:
    """A pooled connection that the upstream closed is replaced, once, unseen."""
    async with raw_upstream(say(whole(b"one")), say(then="cut"), say(whole(b"two"))) as upstream:
        client = await connect(await start(upstream.url, upstream=", retries: 0"))
        client.request("POST", "/v1/chat/completions", CHAT)
        await client.reply()
        client.request("POST", "/v1/chat/completions", CHAT)
        reply = await client.reply()

    assert reply.body == b"two"
    assert len(upstream.connections) == 2


async def test_our_key_never_comes_back(start: Start, connect: Connect) -> None:
    """An error that quotes the gateway's own key is withheld, in its body and in its headers."""
    quoting = whole(b'{"error":"bad key %b"}' % KEY.encode(), status=b"400 Bad Request")
    in_header = whole(b"{}", b"X-Debug: " + KEY.encode())
    for saying in (say(quoting), say(in_header)):
        reply = await answer(start, connect, saying)
        assert error(reply) == (502, "upstream_protocol_error")
        assert KEY.encode() not in reply.body
        assert KEY not in str(reply.headers)


@pytest.mark.parametrize("status", [b"400 Bad Request", b"404 Not Found", b"429 Slow", b"500 No"])
async def test_the_upstreams_errors_are_its_own(
    start: Start, connect: Connect, status: bytes
) -> None:
    """Status, body and retry-after of an upstream's error come as they are."""
    body = b'{"error": {"message": "theirs", "code": "c"}}'
    reply = await answer(start, connect, say(whole(body, b"Retry-After: 7", status=status)))

    assert reply.status == int(status.split()[0])
    assert reply.body == body
    assert reply.header("retry-after") == "7"


async def test_a_refusal_of_our_key_is_a_502(start: Start, connect: Connect) -> None:
    """The upstream's 401 is the operator's matter, not the client's."""
    reply = await answer(start, connect, say(whole(b"{}", status=b"401 Unauthorized")))

    assert error(reply) == (502, "upstream_auth_failed")
    assert reply.header("x-should-retry") == "false"


async def test_a_failing_try_is_repeated_before_the_first_byte(
    start: Start, connect: Connect
) -> None:
    """503 and a cut before the reply are tried again; the client sees the answer."""
    busy = say(whole(b"{}", status=b"503 Busy"))
    reply = await answer(start, connect, busy, say(whole(b"ok")))
    assert reply.body == b"ok"

    reply = await answer(start, connect, busy)
    assert (reply.status, reply.body) == (503, b"{}")


async def test_paths_that_create_things_are_asked_once(start: Start, connect: Connect) -> None:
    """What would be stored or charged twice is never sent again."""
    async with raw_upstream(say(whole(b"{}", status=b"503 Busy"))) as upstream:
        client = await connect(await start(upstream.url))
        client.request("POST", "/v1/responses", b'{"model":"m","input":"x"}')
        reply = await client.reply()

    assert reply.status == 503
    assert upstream.requests == 1
