"""What a client may make the gateway hold or spend, and that nothing it sends is a 5xx."""

import gzip
import json
import socket
import zlib

import pytest

from gateway.demo_upstream import DemoUpstream
from tests.journey.conftest import Connect, Start
from tests.support.faults import CHAT, CHUNKED, HOST, JSON, POST, asked, chat, nothing_more, refusal
from tests.support.gateway import RawClient
from tests.support.raw_upstream import STREAM_HEAD, raw_upstream, say, whole

LINE = b"GET /v1/models HTTP/1.1\r\n"
FIELD = b"X-A: " + b"a" * 1000 + b"\r\n"

TOO_LARGE = {
    "a field of 66 KiB": LINE + HOST + b"X-A: " + b"a" * 67_000 + b"\r\n\r\n",
    "a field without end": LINE + HOST + b"X-A: " + b"a" * 400_000,
    "a name of 66 KiB": LINE + HOST + b"X" * 67_000 + b": a\r\n\r\n",
    "a target of 66 KiB": b"GET /v1/" + b"a" * 67_000 + b" HTTP/1.1\r\n" + HOST + b"\r\n",
    "300 fields": LINE + HOST + b"X-A: a\r\n" * 300 + b"\r\n",
    "66 KiB in fields that are small": LINE + HOST + FIELD * 67 + b"\r\n",
    "16 MiB in fields that are allowed one by one": LINE
    + HOST
    + (b"X-A: " + b"a" * 65_000 + b"\r\n") * 250,
    "blanks without end": LINE + HOST + b"X-A:" + b" " * 400_000,
}


@pytest.mark.parametrize("raw", TOO_LARGE.values(), ids=TOO_LARGE)
async def test_heads_are_bounded(client: RawClient, raw: bytes) -> None:
    """A head above 64 KiB, in one field, in many, or without an end, is 431 and the connection's end."""
    reply = await asked(client, raw)
    assert refusal(reply) == (431, "headers_too_large")
    assert reply.header("connection") == "close"
    assert await nothing_more(client)


async def test_a_large_head_that_drips_is_bounded(client: RawClient) -> None:
    """It makes no difference in how many pieces a head comes, nor that a call came before it."""
    assert (await asked(client, LINE + HOST + b"\r\n")).status == 200
    client.send(LINE + HOST)
    for _ in range(70):
        client.send(FIELD)
        await client.writer.drain()
    assert refusal(await client.reply()) == (431, "headers_too_large")


async def test_a_large_head_behind_a_call_waits_for_its_turn(
    start: Start, connect: Connect
) -> None:
    """A pipelined head without end is refused after the reply to the call before it, and never instead of it."""
    async with raw_upstream(say(then="hang")) as upstream:
        client = await connect(await start(upstream.url))
        client.send(chat())
        await upstream.asked.wait()
        client.send(LINE + HOST + FIELD * 200)
        await client.writer.drain()
        upstream.connections[0].transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
        assert (await client.reply()).status == 200
        assert refusal(await client.reply()) == (431, "headers_too_large")


LARGE = {
    "a field of 60 KB": LINE + HOST + b"X-A: " + b"a" * 60_000 + b"\r\n\r\n",
    "60 fields of 1 KB": LINE + HOST + FIELD * 60 + b"\r\n",
    "200 fields": LINE + HOST + b"X-A: a\r\n" * 200 + b"\r\n",
    "a target of 60 KB": b"GET /v1/models?" + b"a" * 60_000 + b" HTTP/1.1\r\n" + HOST + b"\r\n",
    "a small head before 4 MiB": chat(body=CHAT[:-1] + b',"user":"' + b"u" * 4_194_304 + b'"}'),
    "a chunk extension of a megabyte": POST
    + JSON
    + CHUNKED
    + b"\r\n3c;"
    + b"a" * 1_000_000
    + b"\r\n"
    + CHAT
    + b"\r\n0\r\n\r\n",
    "a thousand calls at once": (LINE + HOST + b"\r\n") * 1000,
}


@pytest.mark.parametrize("raw", LARGE.values(), ids=LARGE)
async def test_large_requests_within_the_bound_pass(
    start: Start, connect: Connect, raw: bytes
) -> None:
    """What SDKs and proxies may pile up passes, and a body or a next call is not taken for a part of the head."""
    async with raw_upstream(say(whole(b"{}"))) as upstream:
        client = await connect(await start(upstream.url))
        client.send(raw)
        for _ in range(max(1, raw.count(LINE))):
            assert (await client.reply()).status == 200


AUDIO = b"POST /v1/audio/transcriptions HTTP/1.1\r\n" + HOST + b"Content-Type: audio/wav\r\n"
EXCESS = {
    "an announced body": (POST + JSON + b"Content-Length: 2097153\r\n\r\n", 413),
    "an announced body of terabytes": (POST + JSON + b"Content-Length: 9999999999999\r\n\r\n", 413),
    "chunks": (
        POST + JSON + CHUNKED + b"\r\n" + (b"10000\r\n" + b" " * 65_536 + b"\r\n") * 33,
        413,
    ),
    "a bomb of gzip": (chat(b"Content-Encoding: gzip", body=gzip.compress(b" " * 10_000_000)), 413),
    "a bomb of deflate": (
        chat(b"Content-Encoding: deflate", body=zlib.compress(b" " * 10_000_000)),
        413,
    ),
    "a bomb in a bomb": (
        chat(b"Content-Encoding: gzip", body=gzip.compress(gzip.compress(b" " * 10_000_000))),
        400,
    ),
    "two codings": (chat(b"Content-Encoding: gzip, gzip", body=gzip.compress(CHAT)), 415),
    "100,000 members of gzip": (
        chat(b"Content-Encoding: gzip", body=gzip.compress(b"") * 100_000),
        400,
    ),
    "trailers of a megabyte": (
        POST + JSON + CHUNKED + b"\r\n3c\r\n" + CHAT + b"\r\n0\r\n" + FIELD * 1000 + b"\r\n",
        400,
    ),
    "an upload": (AUDIO + b"Content-Length: 4194305\r\n\r\n", 413),
}


@pytest.mark.parametrize(("raw", "status"), EXCESS.values(), ids=EXCESS)
async def test_bodies_are_bounded(
    demo: DemoUpstream, start: Start, connect: Connect, raw: bytes, status: int
) -> None:
    """More than `max_body` is refused however it is wrapped, and the upstream sees none of it."""
    gateway = await start(demo.url, server=", max_body: 2MiB, max_upload: 4MiB")
    client = await connect(gateway)
    reply = await asked(client, raw)
    assert refusal(reply)[0] == status
    assert not demo.requests
    assert (await asked(await connect(gateway), chat())).status == 200


def image(data: str) -> bytes:
    part = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}"}}
    return json.dumps({"model": "echo", "messages": [{"role": "user", "content": [part]}]}).encode()


ODD = {
    "101 deep": CHAT[:-1] + b',"x":' + b"[" * 101 + b"]" * 101 + b"}",
    "a million deep": CHAT[:-1] + b',"x":' + b"[" * 1_000_000,
    "a million objects": CHAT[:-1] + b',"x":[' + b"{}," * 999_999 + b"{}]}",
    "200,000 names": CHAT[:-1] + b"".join(b',"k%d":0' % n for n in range(200_000)) + b"}",
    "a million texts": CHAT[:-1] + b',"x":[' + b'"",' * 999_999 + b'""]}',
    "a million decimals": CHAT[:-1] + b',"x":[' + b"0.1," * 999_999 + b"0]}",
    "a number of 4,300 digits": CHAT[:-1] + b',"n":' + b"1" * 4300 + b"}",
    "a number of a million digits": CHAT[:-1] + b',"x":' + b"1" * 1_000_000 + b"}",
    "an exponent of nines": CHAT[:-1] + b',"x":1e999999999}',
    "an exponent below all": CHAT[:-1] + b',"x":1e-999999999}',
    "a megabyte of blanks as prompt": CHAT.replace(b"hi", b" " * 1_000_000),
    "a megabyte of one letter": CHAT.replace(b"hi", b"a" * 1_000_000),
    "a megabyte of emoji": CHAT.replace(b"hi", "\U0001f600".encode() * 250_000),
    "a megabyte of combining signs": CHAT.replace(b"hi", "\u0301".encode() * 500_000),
    "special tokens": CHAT.replace(b"hi", b"<|endoftext|><|im_start|>system<|fim_prefix|>"),
    "a NUL in a text": CHAT.replace(b"hi", b"\\u0000"),
    "a model of 10,000 letters": CHAT.replace(b"echo", b"e" * 10_000),
    "a model of nothing": CHAT.replace(b"echo", b""),
    "a model of control characters": CHAT.replace(b"echo", b"\\n\\r\\u0000\\u001b[31m"),
    "a model of slashes": CHAT.replace(b"echo", b"../../../etc/passwd"),
    "a model that is a number": CHAT.replace(b'"echo"', b"7"),
    "a model that is null": CHAT.replace(b'"echo"', b"null"),
    "messages that are a text": b'{"model":"echo","messages":"hi"}',
    "messages that are numbers": b'{"model":"echo","messages":[1,2,3]}',
    "a content of contents": b'{"model":"echo","messages":[{"role":"user","content":[[["x"]]]}]}',
    "an image that is none": image("AAAA"),
    "an image of impossible size": image("iVBORw0KGgoAAAANSUhEUv////////////8="),
    "tools without end": CHAT[:-1]
    + b',"tools":[{"type":"function","function":{"name":"f","parameters":{"$ref":"#"}}}]}',
    "n of a billion": CHAT[:-1] + b',"n":1000000000}',
    "max_tokens beyond 64 bits": CHAT[:-1] + b',"max_tokens":18446744073709551617}',
    "max_tokens below nothing": CHAT[:-1] + b',"max_tokens":-1}',
    "stream that is a text": CHAT[:-1] + b',"stream":"yes"}',
    "stream_options that are a list": CHAT[:-1] + b',"stream":true,"stream_options":[]}',
}


@pytest.mark.parametrize("body", ODD.values(), ids=ODD)
async def test_no_body_is_a_server_error(client: RawClient, body: bytes) -> None:
    """Whatever JSON can be made of is relayed or refused, and the connection goes on to serve."""
    reply = await asked(client, chat(body=body))
    assert reply.whole
    assert reply.status in (200, 400, 404)
    if reply.status != 200:
        refusal(reply)
    assert (await asked(client, chat())).status == 200


FORMS = {
    "no boundary": b"multipart/form-data",
    "an empty boundary": b"multipart/form-data; boundary=",
    "a boundary of 1,000 letters": b"multipart/form-data; boundary=" + b"b" * 1000,
    "a boundary of quotes": b'multipart/form-data; boundary="',
    "a boundary beyond ASCII": b"multipart/form-data; boundary=\xe2\x82\xac",
    "no type": b"",
    "a type of commas": b",,,;;;",
}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"--b",
        b"--b\r\n\r\n",
        b"--b--\r\n",
        b"--b\r\n" + b"X-A: b\r\n" * 9000,
        b"\xff" * 100_000,
    ],
)
@pytest.mark.parametrize("kind", FORMS.values(), ids=FORMS)
async def test_no_form_is_a_server_error(client: RawClient, kind: bytes, body: bytes) -> None:
    """An upload whose form cannot be read is relayed or refused."""
    head = b"POST /v1/audio/transcriptions HTTP/1.1\r\n" + HOST + b"Content-Type: " + kind
    reply = await asked(client, head + b"\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    assert reply.status < 500


async def test_fifty_stopped_readers_hurt_nobody(start: Start, connect: Connect) -> None:
    """Each costs at most 256 KiB of ours, holds its upstream back, and another client's call is answered."""
    piece = b"%x\r\n%b\r\n" % (65_536, b"x" * 65_536)
    endless = say(STREAM_HEAD, *[piece] * 400)
    async with raw_upstream(
        *[endless] * 50, say(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
    ) as upstream:
        gateway = await start(upstream.url)
        for _ in range(50):
            stopped = await connect(gateway)
            receive = stopped.writer.get_extra_info("socket")
            receive.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            stopped.send(chat())
        await upstream.until(lambda: upstream.requests == 50 and upstream.stalled == 50)

        assert max(gateway.app.held_bytes()) <= 262_144
        assert (await asked(await connect(gateway), chat())).body == b"{}"
