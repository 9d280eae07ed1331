"""What a hostile client sends: no 5xx, no second reading of a message, no memory that only it pays for."""

import json

import pytest

from gateway.demo_upstream import DemoUpstream
from tests.journey.conftest import Connect, Start
from tests.support.gateway import RawClient

CHAT = b'{"model":"demo","messages":[{"role":"user","content":"hi"}]}'
JSON = b"Host: localhost\r\nContent-Type: application/json\r\n"
CHUNKED = b"\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(CHAT), CHAT)
SIZED = b"Content-Length: %d\r\n\r\n%b" % (len(CHAT), CHAT)
CORS = ', cors_origins: ["https://app.example"]'
FORM = (
    b"POST /v1/audio/transcriptions HTTP/1.1\r\nHost: localhost\r\n"
    b"Content-Type: multipart/form-data; boundary="
)


@pytest.mark.parametrize(
    ("request_line", "rest"),
    [
        (b"HTTP/1.0", b"Connection: keep-alive\r\nTransfer-Encoding: chunked\r\n" + CHUNKED),
        (b"HTTP/1.1", b"Transfer-Encoding: gzip, chunked\r\n" + CHUNKED),
        (b"HTTP/2.0", SIZED),
        (b"HTTP/0.9", SIZED),
    ],
)
async def test_framing_that_others_read_differently_is_refused(
    demo: DemoUpstream, client: RawClient, request_line: bytes, rest: bytes
) -> None:
    """Chunks in HTTP/1.0, further transfer codings and other versions are 400 and the connection's end."""
    client.send(b"POST /v1/chat/completions " + request_line + b"\r\n" + JSON + rest)
    reply = await client.reply()

    assert (reply.status, json.loads(reply.body)["error"]["code"]) == (400, "invalid_http")
    assert reply.header("connection") == "close"
    await client.closed()
    assert not demo.requests


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\nOrigin: http://[\r\n\r\n", 403),
        (
            b"OPTIONS /v1/models HTTP/1.1\r\nHost: localhost\r\nOrigin: https://app.example\r\n"
            b"Access-Control-Request-Headers: x-\xe2\x82\xac\xff\r\n\r\n",
            204,
        ),
        (FORM + b"\xe2\x82\xac\xff\r\nContent-Length: 2\r\n\r\nhi", 400),
        (b"GET /v1/files/a#b HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
    ],
)
async def test_odd_header_values_are_no_defect(
    demo: DemoUpstream, start: Start, connect: Connect, raw: bytes, status: int
) -> None:
    """Values outside what their fields allow, ASCII or not, are refused or relayed, never a 500."""
    client = await connect(await start(demo.url, server=CORS))
    client.send(raw)

    assert (await client.reply()).status == status
