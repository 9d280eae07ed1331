"""The server: every wish and fault of a script as it stands on the wire, and what is noted of it."""

import asyncio
import gzip
import json
from typing import Any

import pytest

from gateway.demo_upstream import DemoUpstream
from gateway.demo_upstream.wire import GARBAGE
from tests.demo_upstream.conftest import Connect, until
from tests.support.clock import FakeClock
from tests.support.gateway import HANG_SECONDS, RawClient, RawReply

CHAT = "/v1/chat/completions"


def request(**members: Any) -> bytes:
    """Return a chat request that says "a b"."""
    messages = [{"role": "user", "content": "a b"}]
    return json.dumps({"model": "m", "messages": messages, **members}).encode()


async def ask(client: RawClient, **members: Any) -> RawReply:
    """Send a chat request and read its reply."""
    client.request("POST", CHAT, request(**members))
    return await client.reply()


async def test_the_head_of_a_reply(connect: Connect) -> None:
    """A reply has OpenAI's headers, and an id of its own."""
    client = await connect()

    first, second = await ask(client), await ask(client)

    assert [name for name, _ in first.headers] == [
        "date",
        "content-type",
        "server",
        "x-request-id",
        "openai-organization",
        "openai-processing-ms",
        "openai-version",
        "x-ratelimit-limit-requests",
        "x-ratelimit-limit-tokens",
        "x-ratelimit-remaining-requests",
        "x-ratelimit-remaining-tokens",
        "x-ratelimit-reset-requests",
        "x-ratelimit-reset-tokens",
        "content-length",
    ]
    assert (first.header("x-request-id"), second.header("x-request-id")) == (
        "req_demo_1",
        "req_demo_2",
    )
    assert first.body == second.body


async def test_scripted_headers_go_before_its_own(connect: Connect) -> None:
    """A header can be added, or said differently."""
    reply = await ask(await connect(), demo={"headers": {"X-Request-Id": "mine", "a": "b"}})

    assert [value for name, value in reply.headers if name == "x-request-id"] == ["mine"]
    assert reply.header("a") == "b"


@pytest.mark.parametrize(
    ("status", "code"),
    [(400, None), (401, "invalid_api_key"), (404, "model_not_found"), (500, None), (599, None)],
)
async def test_errors_are_answered_on_request(
    connect: Connect, status: int, code: str | None
) -> None:
    """Any path fails as its script says, in OpenAI's shape."""
    client = await connect()
    client.request("GET", "/v1/models", headers=(("x-demo", json.dumps({"error": status})),))

    reply = await client.reply()

    assert (reply.status, json.loads(reply.body)["error"]["code"]) == (status, code)


async def test_an_error_can_pass(connect: Connect) -> None:
    """A request fails so often and then succeeds, once, each time anew."""
    client = await connect()
    demo = {"error": {"status": 429, "times": 2}}

    statuses = [(await ask(client, demo=demo)).status for _ in range(6)]

    assert statuses == [429, 429, 200, 429, 429, 200]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"{", "Input data was truncated"),
        (b'{"messages":[]}', "missing required field `model`"),
        (request(demo={"typo": 1}), "unknown field `typo`"),
    ],
)
async def test_a_wrong_request_is_400(connect: Connect, body: bytes, words: str) -> None:
    """What cannot be read is told."""
    client = await connect()
    client.request("POST", CHAT, body)

    reply = await client.reply()

    assert reply.status == 400
    assert words in json.loads(reply.body)["error"]["message"]


@pytest.mark.parametrize(("method", "path"), [("GET", CHAT), ("POST", "/v1/nope"), ("GET", "/")])
async def test_an_unknown_url_is_404(connect: Connect, method: str, path: str) -> None:
    """Other paths and methods are told by name."""
    client = await connect()
    client.request(method, path)

    reply = await client.reply()

    assert reply.status == 404
    assert json.loads(reply.body)["error"]["message"] == f"Invalid URL ({method} {path})"


async def test_a_compressed_request_is_read(connect: Connect, upstream: DemoUpstream) -> None:
    """It is inflated for the answer and noted as it came."""
    body = gzip.compress(request())
    client = await connect()
    client.request("POST", CHAT, body, headers=(("content-encoding", "gzip"),))

    assert (await client.reply()).status == 200
    assert upstream.last.body == body


@pytest.mark.parametrize(
    ("end", "status"), [(b"\r\n--b--\r\n", 200), (b"\r\n--b", 400)], ids=["whole", "cut"]
)
async def test_an_upload_is_read_as_it_streams(connect: Connect, end: bytes, status: int) -> None:
    """A form of any framing is answered, one without its end is refused."""
    client = await connect()
    client.send(
        b"POST /v1/audio/transcriptions HTTP/1.1\r\nHost: h\r\n"
        b"Content-Type: multipart/form-data; boundary=b\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    for part in (
        b'--b\r\nContent-Disposition: form-data; name="model"\r\n\r\nm\r\n',
        b'--b\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\nabc',
        end,
    ):
        client.send(b"%x\r\n%b\r\n" % (len(part), part))
    client.send(b"0\r\n\r\n")

    reply = await client.reply()

    assert reply.status == status
    assert (b'"text":"f, 3 bytes"' in reply.body) is (status == 200)


async def test_a_stream_comes_at_its_pace(
    connect: Connect, clock: FakeClock, upstream: DemoUpstream
) -> None:
    """Each piece waits for the clock, in a chunk of its own."""
    client = await connect()
    client.request("POST", CHAT, request(stream=True, demo={"pace_ms": 250}))
    sent = []
    for _ in range(4):
        await until(lambda: clock.pending)
        sent.append(upstream.last.sent_bytes)
        clock.advance(0.25)
    reply = await client.reply()

    assert reply.whole
    assert reply.body.endswith(b"data: [DONE]\n\n")
    assert len(set(sent)) == 4


async def test_head_and_first_byte_can_be_late(
    connect: Connect, clock: FakeClock, upstream: DemoUpstream
) -> None:
    """The head waits, and then the body."""
    client = await connect()
    client.request("POST", CHAT, request(demo={"delay_ms": 1000, "first_byte_ms": 2000}))

    await until(lambda: clock.pending)
    before_head = upstream.last.sent_bytes
    clock.advance(1)
    await client.head()
    await until(lambda: clock.pending)
    before_body = upstream.last.sent_bytes
    clock.advance(2)
    await upstream.settled()

    assert before_head == 0
    assert 0 < before_body < upstream.last.sent_bytes


@pytest.mark.parametrize(
    ("stream", "framing", "length", "chunked"),
    [
        (False, None, True, False),
        (True, None, False, True),
        (False, "chunked", False, True),
        (True, "length", True, False),
        (False, "close", False, False),
    ],
)
async def test_a_body_is_framed_as_asked(
    connect: Connect, stream: bool, framing: str | None, length: bool, chunked: bool
) -> None:
    """By its length, in chunks, or by the end of the connection."""
    reply = await ask(await connect(), stream=stream, demo={"framing": framing})

    assert reply.whole
    assert (reply.header("content-length") is not None) is length
    assert (reply.header("transfer-encoding") == "chunked") is chunked
    assert (reply.header("connection") == "close") is (framing == "close")
    assert reply.body


async def test_an_http_1_0_client_gets_no_chunks(connect: Connect) -> None:
    """A stream ends with the connection there."""
    client = await connect()
    body = request(stream=True)
    client.send(
        b"POST /v1/chat/completions HTTP/1.0\r\nContent-Type: application/json\r\n"
        b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
    )

    assert (await client.closed()).endswith(b"\r\n\r\ndata: [DONE]\n\n"[4:])


async def test_a_compressed_reply_says_so(connect: Connect) -> None:
    """The coding is named, and the whole decodes."""
    reply = await ask(await connect(), demo={"encoding": "gzip"})

    assert reply.header("content-encoding") == "gzip"
    assert json.loads(gzip.decompress(reply.body))["object"] == "chat.completion"


@pytest.mark.parametrize("point", [-1, 0, 2])
async def test_a_cut_ends_the_connection_at_its_point(connect: Connect, point: int) -> None:
    """So many pieces came, and then nothing that says the reply is whole."""
    client = await connect()
    client.request("POST", CHAT, request(stream=True, demo={"cut_after": point}))

    came = await client.closed()

    assert came.count(b"HTTP/1.1 200") == (point >= 0)
    assert came.count(b"data: ") == max(point, 0)
    assert not came.endswith(b"0\r\n\r\n")


async def test_a_whole_body_is_cut_by_its_size(connect: Connect) -> None:
    """With pieces of ten bytes a cut after two leaves twenty."""
    reply = await ask(await connect(), demo={"piece_bytes": 10, "cut_after": 2})

    assert not reply.whole
    assert reply.body == b'{"id":"chatcmpl-'.ljust(16) + reply.body[16:20]
    assert len(reply.body) == 20


async def test_a_reset_is_no_clean_end(connect: Connect) -> None:
    """The client's next read fails."""
    client = await connect()
    client.request("POST", CHAT, request(demo={"cut_after": -1, "reset": True}))

    with pytest.raises(ConnectionResetError):
        await asyncio.wait_for(client.reader.read(), HANG_SECONDS)


async def test_garbage_comes_at_its_point(connect: Connect) -> None:
    """Instead of a head, or amid chunks."""
    instead, amid = await connect(), await connect()
    instead.request("POST", CHAT, request(demo={"garbage_after": -1}))
    amid.request("POST", CHAT, request(stream=True, demo={"garbage_after": 1}))

    assert await instead.closed() == GARBAGE
    assert (await amid.closed()).endswith(b"]}\n\n\r\n" + GARBAGE)


@pytest.mark.parametrize("off", [5, -5])
async def test_a_length_can_be_wrong(connect: Connect, off: int) -> None:
    """The body ends too soon and closes, or goes on too long."""
    client = await connect()
    client.request("POST", CHAT, request(demo={"length_off": off}))
    _, headers = await client.head()
    length = int(dict(headers)["content-length"])

    body = await client.closed() if off > 0 else await client.reader.readexactly(length + 5)

    assert len(body) == length - off
    assert body.endswith(b'"fp_demo"}')


@pytest.mark.parametrize(("point", "phase"), [(-1, "waiting"), (0, "streaming"), (2, "streaming")])
async def test_who_leaves_a_hanging_reply_is_noted(
    connect: Connect, upstream: DemoUpstream, point: int, phase: str
) -> None:
    """Nothing comes after the point; the client's leaving ends the call at once."""
    client = await connect()
    client.request("POST", CHAT, request(stream=True, demo={"hang_after": point}))
    if point >= 0:
        await client.head()
    for _ in range(max(point, 0)):
        await client.reader.readuntil(b"data: ")
    await until(lambda: upstream.requests and upstream.last.phase == phase)
    await client.aclose()
    await asyncio.wait_for(upstream.settled(), HANG_SECONDS)

    assert upstream.last.aborted == phase


async def test_who_leaves_while_sending_is_noted(connect: Connect, upstream: DemoUpstream) -> None:
    """Half a request is no request."""
    client = await connect()
    client.send(b"POST /v1/files HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\nabc")
    await until(lambda: upstream.requests and upstream.last.body_bytes)
    await client.aclose()
    await asyncio.wait_for(upstream.settled(), HANG_SECONDS)

    assert (upstream.last.aborted, upstream.last.body) == ("receiving", b"abc")


async def test_a_client_that_does_not_read_holds_the_stream_back(
    connect: Connect, upstream: DemoUpstream
) -> None:
    """What is sent stays far below the whole until the client reads."""
    client = await connect()
    demo = {"chunks": 3000, "chunk_bytes": 16_384}
    client.request("POST", CHAT, request(stream=True, demo=demo))
    await client.head()
    sent = -1
    while sent != upstream.last.sent_bytes:
        sent = upstream.last.sent_bytes
        for _ in range(50):
            await asyncio.sleep(0)

    assert upstream.last.phase == "streaming"
    assert sent < 3000 * 16_384


async def test_what_was_asked_is_told_and_forgotten(
    connect: Connect, upstream: DemoUpstream
) -> None:
    """Another process sees the requests in order, and itself leaves none."""
    client = await connect()
    client.request("GET", "/v1/models?a=%20b", headers=(("X-Custom", "ü"),))
    await client.reply()
    client.request("DELETE", "/demo/requests?settled")
    (told,) = json.loads((await client.reply()).body)
    client.request("GET", "/demo/requests")

    assert (told["method"], told["target"]) == ("GET", "/v1/models?a=%20b")
    assert (told["status"], told["phase"], told["aborted"]) == (200, "done", None)
    assert ["Host", "127.0.0.1"] in told["headers"]
    assert (await client.reply()).body == b"[]"
