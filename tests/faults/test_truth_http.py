"""HTTP/1.1 as it should be, towards old clients and new ones."""

import pytest

from gateway.demo_upstream import DemoUpstream
from tests.journey.conftest import Connect, Start
from tests.support.faults import CHAT, HOST, JSON, STREAMED, asked, chat
from tests.support.gateway import RawClient
from tests.support.raw_upstream import STREAM_HEAD, chunked, raw_upstream, say, whole

SIZED = b"Content-Length: %d\r\n\r\n%b" % (len(CHAT), CHAT)
LENGTHY = STREAM_HEAD.replace(b"Transfer-Encoding: chunked", b"Content-Length: 5")

ENDS = {
    "1.1": (b"HTTP/1.1", b"", None, True),
    "1.1, close": (b"HTTP/1.1", b"Connection: close\r\n", "close", False),
    "1.1, Close in a list": (b"HTTP/1.1", b"Connection: x, Close\r\n", "close", False),
    "1.0": (b"HTTP/1.0", b"", "close", False),
    "1.0, keep-alive": (b"HTTP/1.0", b"Connection: keep-alive\r\n", "keep-alive", True),
}


@pytest.mark.parametrize(("version", "field", "said", "stays"), ENDS.values(), ids=ENDS)
async def test_connections_stay_or_end_as_asked(
    client: RawClient, version: bytes, field: bytes, said: str | None, stays: bool
) -> None:
    """Both versions, with and without `Connection`: the reply says what becomes of the connection, and it is so."""
    raw = b"POST /v1/chat/completions " + version + b"\r\n" + JSON + field + SIZED
    reply = await asked(client, raw)
    assert (reply.status, reply.header("connection")) == (200, said)
    if stays:
        assert (await asked(client, chat())).status == 200
    else:
        assert await client.closed() == b""


async def test_an_old_client_gets_no_chunks(client: RawClient) -> None:
    """A stream for HTTP/1.0 ends with its connection, whatever the client asked to keep."""
    raw = chat(b"Connection: keep-alive", body=STREAMED).replace(b"HTTP/1.1", b"HTTP/1.0", 1)
    reply = await asked(client, raw)
    assert reply.header("transfer-encoding") is None
    assert reply.header("content-length") is None
    assert reply.header("connection") == "close"
    assert reply.body.endswith(b"data: [DONE]\n\n")


async def test_an_old_client_s_broken_stream_does_not_look_whole(
    start: Start, connect: Connect
) -> None:
    """Where the connection's end is the reply's, a break is a reset and not an end."""
    async with raw_upstream(
        say(STREAM_HEAD, chunked(b"data: 1\n\n", end=False), then="cut")
    ) as upstream:
        client = await connect(await start(upstream.url))
        reply = await asked(client, chat().replace(b"HTTP/1.1", b"HTTP/1.0", 1))
    assert not reply.whole


async def test_pipelined_calls_are_answered_in_order(start: Start, connect: Connect) -> None:
    """Calls that come together are asked for one by one, and a refused one among them takes only its own turn."""
    async with raw_upstream(*(say(whole(b"%d" % n)) for n in range(3))) as upstream:
        client = await connect(await start(upstream.url))
        client.send(chat() + chat(body=b"{") + chat() + b"\r\n" + chat())
        replies = [await client.reply() for _ in range(4)]
    assert [(reply.status, reply.body[:1]) for reply in replies] == [
        (200, b"0"),
        (400, b"{"),
        (200, b"1"),
        (200, b"2"),
    ]


async def test_a_request_in_bytes_is_the_same_request(start: Start, connect: Connect) -> None:
    """Whatever its pieces: a head and chunks that come byte by byte go up as one body."""
    chunks = b"3c;x=y\r\n" + CHAT + b"\r\n0\r\nX-Sum: 1\r\n\r\n"
    raw = (
        b"POST /v1/chat/completions HTTP/1.1\r\n"
        + JSON
        + b"Transfer-Encoding: chunked\r\n\r\n"
        + chunks
    )
    async with raw_upstream(say(whole(b"{}"))) as upstream:
        client = await connect(await start(upstream.url))
        client.writer.get_extra_info("socket").setsockopt(6, 1, 1)
        for at in range(len(raw)):
            client.send(raw[at : at + 1])
            await client.writer.drain()
        assert (await client.reply()).status == 200
    assert bytes(upstream.connections[0].received).endswith(b"\r\n\r\n" + CHAT)


async def test_head_is_a_get_without_a_body(
    demo: DemoUpstream, start: Start, connect: Connect
) -> None:
    """HEAD has the fields of GET, its length included, and the next reply follows at once."""
    named = "models: {quick: {targets: [{upstream: up, model: demo}]}}"
    client = await connect(await start(demo.url, named))
    rest = b" /v1/models HTTP/1.1\r\n" + HOST + b"\r\n"
    client.send(b"HEAD" + rest + b"GET" + rest)
    head = await client.reply(bodiless=True)
    get = await client.reply()
    assert (head.status, get.status) == (200, 200)
    assert head.header("content-length") == str(len(get.body))


@pytest.mark.parametrize("status", [b"204 None", b"304 Same"])
async def test_what_has_no_body_has_none(start: Start, connect: Connect, status: bytes) -> None:
    """204 and 304 end with their head, and the connection goes on."""
    async with raw_upstream(
        say(b"HTTP/1.1 " + status + b"\r\nETag: x\r\n\r\n"), say(whole(b"{}"))
    ) as upstream:
        client = await connect(await start(upstream.url))
        client.send(chat())
        reply = await client.reply()
        assert (reply.status, reply.body) == (int(status[:3]), b"")
        assert (await asked(client, chat())).body == b"{}"


async def test_leave_is_given_once(client: RawClient) -> None:
    """`Expect: 100-continue` is answered once, in any spelling; not where the body is here already or HTTP is old."""
    head = b"POST /v1/chat/completions HTTP/1.1\r\n" + JSON + b"Expect: 100-Continue\r\n"
    client.send(head + b"Content-Length: %d\r\n\r\n" % len(CHAT))
    assert (await client.head())[0] == 100
    assert (await asked(client, CHAT)).status == 200
    assert (await asked(client, head + SIZED)).status == 200
    assert (await asked(client, (head + SIZED).replace(b"HTTP/1.1", b"HTTP/1.0", 1))).status == 200


async def test_an_upload_is_asked_for_as_well(demo: DemoUpstream, client: RawClient) -> None:
    """A streamed body's sender gets its leave, too."""
    head = b"POST /v1/audio/transcriptions HTTP/1.1\r\n" + HOST
    client.send(
        head + b"Content-Type: audio/wav\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n"
    )
    assert (await client.head())[0] == 100
    assert (await asked(client, b"hello")).status < 500
    assert demo.requests


async def test_fields_that_say_how_a_reply_is_framed_are_ours(
    start: Start, connect: Connect
) -> None:
    """The upstream's hop-by-hop fields, those that its `Connection` names too, end at the gateway."""
    fields = (
        b"Connection: keep-alive, X-Hop",
        b"Keep-Alive: timeout=5",
        b"X-Hop: 1",
        b"Proxy-Authenticate: Basic",
        b"Upgrade: h2c",
        b"Trailer: X-Sum",
        b"Alt-Svc: h3",
        b"Set-Cookie: a=b",
        b"X-Stays: 1",
    )
    async with raw_upstream(say(whole(b"{}", *fields))) as upstream:
        reply = await asked(await connect(await start(upstream.url)), chat())
    names = {name for name, _ in reply.headers}
    assert "x-stays" in names
    assert not names & {
        "connection",
        "keep-alive",
        "x-hop",
        "proxy-authenticate",
        "upgrade",
        "trailer",
        "alt-svc",
        "set-cookie",
    }
    assert [value for name, value in reply.headers if name == "content-length"] == ["2"]
