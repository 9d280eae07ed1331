"""Framing is strict, a hidden request is never run, what goes up is framed anew."""

import pytest

from tests.journey.conftest import Connect, Start
from tests.support.faults import (
    CHAT,
    CHUNKED,
    HIDDEN,
    HOST,
    JSON,
    POST,
    asked,
    chat,
    nothing_more,
    refusal,
)
from tests.support.raw_upstream import raw_upstream, say, whole

SIZED = b"Content-Length: %d\r\n" % len(CHAT)
CHUNK = b"%x\r\n" % len(CHAT) + CHAT + b"\r\n"
WHOLE = CHUNK + b"0\r\n\r\n"

BAD_HEADS = {
    "both lengths": SIZED + CHUNKED,
    "both lengths, chunks first": CHUNKED + SIZED,
    "lengths that differ": SIZED + b"Content-Length: 0\r\n",
    "the same length twice": SIZED + SIZED,
    "a list of lengths": b"Content-Length: %d, %d\r\n" % (len(CHAT), len(CHAT)),
    "a signed length": b"Content-Length: +%d\r\n" % len(CHAT),
    "a negative length": b"Content-Length: -1\r\n",
    "a hexadecimal length": b"Content-Length: 0x3c\r\n",
    "a length with an underscore": b"Content-Length: 6_0\r\n",
    "a length with a space in it": b"Content-Length: 6 0\r\n",
    "an empty length": b"Content-Length:\r\n",
    "a length in other digits": b"Content-Length: \xd9\xa6\xd9\xa0\r\n",
    "a length beyond 64 bits": b"Content-Length: 18446744073709551676\r\n",
    "a space before a colon": b"Content-Length : %d\r\n" % len(CHAT),
    "a tab before a colon": b"Transfer-Encoding\t: chunked\r\n",
    "an unknown coding": b"Transfer-Encoding: xchunked\r\n",
    "a coding before chunked": b"Transfer-Encoding: gzip, chunked\r\n",
    "a coding after chunked": b"Transfer-Encoding: chunked, identity\r\n",
    "chunked twice": b"Transfer-Encoding: chunked, chunked\r\n",
    "chunked on two lines": CHUNKED + CHUNKED,
    "chunked in quotes": b'Transfer-Encoding: "chunked"\r\n',
    "chunked with a control character": b"Transfer-Encoding: \x0bchunked\r\n",
    "an empty coding": b"Transfer-Encoding:\r\n",
    "identity": b"Transfer-Encoding: identity\r\n" + SIZED,
    "a bare line feed": b"X-A: b\n" + SIZED,
    "a bare carriage return": b"X-A: b\rContent-Length: 0\r\n" + SIZED,
    "a folded field": b"X-A: b\r\n c\r\n" + SIZED,
    "a NUL in a value": b"X-A: b\x00c\r\n" + SIZED,
    "a NUL in a name": b"X-\x00A: b\r\n" + SIZED,
    "a control character in a value": b"X-A: b\x01c\r\n" + SIZED,
    "a line without a colon": b"X-A\r\n" + SIZED,
    "an empty name": b": b\r\n" + SIZED,
    "a space in a name": b"X A: b\r\n" + SIZED,
    "a name in brackets": b"(X-A): b\r\n" + SIZED,
    "a second Host": b"Host: 127.0.0.1\r\n" + SIZED,
}


@pytest.mark.parametrize("fields", BAD_HEADS.values(), ids=BAD_HEADS)
async def test_ambiguous_heads_are_refused(start: Start, connect: Connect, fields: bytes) -> None:
    """A head that two parsers could read in two ways is 400 and the connection's end; nothing after it is run."""
    async with raw_upstream(say(whole(b"{}"))) as upstream:
        client = await connect(await start(upstream.url))

        reply = await asked(client, POST + JSON + fields + b"\r\n" + WHOLE + HIDDEN)

        assert refusal(reply) == (400, "invalid_http")
        assert reply.header("connection") == "close"
        assert await nothing_more(client)
    assert upstream.requests == 0


BAD_LINES = {
    "a tab": b"GET\t/v1/models HTTP/1.1\r\n",
    "a space in the target": b"GET /v1/mo dels HTTP/1.1\r\n",
    "a control character in the target": b"GET /v1/mo\x01dels HTTP/1.1\r\n",
    "a NUL in the target": b"GET /v1/mo\x00dels HTTP/1.1\r\n",
    "no target": b"GET HTTP/1.1\r\n",
    "no version": b"GET /v1/models\r\n",
    "a version in small letters": b"GET /v1/models http/1.1\r\n",
    "version 2": b"GET /v1/models HTTP/2.0\r\n",
    "version 1.2": b"GET /v1/models HTTP/1.2\r\n",
    "version 1.10": b"GET /v1/models HTTP/1.10\r\n",
    "another protocol": b"GET /v1/models SIP/2.0\r\n",
    "a method with brackets": b"G(T /v1/models HTTP/1.1\r\n",
    "no method": b" /v1/models HTTP/1.1\r\n",
    "HTTP/2's preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 40 + b"\r\n",
    "SSH": b"SSH-2.0-OpenSSH_9.2\r\n",
    "a reply": b"HTTP/1.1 200 OK\r\n",
    "a relative target": b"GET v1/models HTTP/1.1\r\n",
    "another scheme": b"GET gopher://localhost/v1/models HTTP/1.1\r\n",
    "an authority": b"CONNECT localhost:443 HTTP/1.1\r\n",
    "a tunnel to nowhere": b"CONNECT  \r\n",
    "a tunnel to nowhere, and much behind it": b"CONNECT  \r\nx: %b\r\n" % (b"y" * 60_000),
}


@pytest.mark.parametrize("line", BAD_LINES.values(), ids=BAD_LINES)
async def test_bad_request_lines_are_refused(start: Start, connect: Connect, line: bytes) -> None:
    """A request line that is none, or no HTTP/1, is a 4xx in OpenAI's shape, and never reaches the upstream."""
    async with raw_upstream(say(whole(b"{}"))) as upstream:
        client = await connect(await start(upstream.url))

        reply = await asked(client, line + HOST + b"Connection: close\r\n\r\n")

        status, code = refusal(reply)
        assert status in (400, 405)
        assert code in ("invalid_http", "invalid_path", "method_not_allowed")
        assert await nothing_more(client)
    assert upstream.requests == 0


BAD_CHUNKS = {
    "a size with 0x": b"0x" + CHUNK,
    "a signed size": b"+" + CHUNK,
    "a negative size": b"-1\r\n",
    "a size with an underscore": b"3_c\r\n" + CHAT + b"\r\n",
    "a space before a size": b" " + CHUNK,
    "an empty size": b"\r\n" + CHAT,
    "a size of 17 digits": b"f" * 17 + b"\r\n" + CHAT,
    "a size that is no number": b"zz\r\n" + CHAT,
    "a size that ends with a line feed": b"%x\n" % len(CHAT) + CHAT + b"\r\n",
    "data that goes on": b"%x\r\n" % (len(CHAT) - 1) + CHAT + b"\r\n",
    "data that ends with a line feed": b"%x\r\n" % len(CHAT) + CHAT + b"\n",
    "an extension with a line feed": b"%x;a\nb\r\n" % len(CHAT) + CHAT + b"\r\n",
    "a last chunk that ends with a line feed": CHUNK + b"0\n\r\n",
    "a trailer without a colon": CHUNK + b"0\r\nnope\r\n\r\n",
    "a length among the trailers": CHUNK + b"0\r\nContent-Length: 9\r\n\r\n",
    "a trailer with a NUL": CHUNK + b"0\r\nX-A: \x00\r\n\r\n",
    "a trailer with a line feed": CHUNK + b"0\r\nX-A: b\nX-C: d\r\n\r\n",
}


@pytest.mark.parametrize("chunks", BAD_CHUNKS.values(), ids=BAD_CHUNKS)
async def test_bad_chunks_are_refused(start: Start, connect: Connect, chunks: bytes) -> None:
    """Chunks that are not what RFC 9112 says are 400 and the connection's end; nothing after them is run."""
    async with raw_upstream(say(whole(b"{}"))) as upstream:
        client = await connect(await start(upstream.url))

        reply = await asked(
            client, POST + JSON + CHUNKED + b"\r\n" + chunks + b"0\r\n\r\n" + HIDDEN
        )

        assert refusal(reply) == (400, "invalid_http")
        assert await nothing_more(client)
    assert upstream.requests == 0


GOOD = {
    "a length": chat(),
    "chunks": POST + JSON + CHUNKED + b"\r\n" + WHOLE,
    "no space after a colon": POST + JSON + b"X-A:b\r\n" + SIZED + b"\r\n" + CHAT,
    "an empty value": POST + JSON + b"X-A:\r\n" + SIZED + b"\r\n" + CHAT,
    "spaces around a value": POST + JSON + b"X-A: \t b \t\r\n" + SIZED + b"\r\n" + CHAT,
    "zeros before a length": POST + JSON + b"Content-Length: 000%d\r\n\r\n" % len(CHAT) + CHAT,
    "an empty line before it": b"\r\n" + chat(),
    "Chunked": POST + JSON + b"transfer-encoding: Chunked\r\n\r\n" + WHOLE,
    "a size in capitals": POST
    + JSON
    + CHUNKED
    + b"\r\n"
    + CHUNK.replace(b"3c", b"3C")
    + b"0\r\n\r\n",
    "zeros before a size": POST + JSON + CHUNKED + b"\r\n000" + WHOLE,
    "chunk extensions": POST + JSON + CHUNKED + b'\r\n3c;a=b;c="d"\r\n' + CHAT + b"\r\n0;e\r\n\r\n",
    "trailers": POST + JSON + CHUNKED + b"\r\n" + CHUNK + b"0\r\nX-Sum: 1\r\n\r\n",
    "chunks of a byte": POST
    + JSON
    + CHUNKED
    + b"\r\n"
    + b"".join(b"1\r\n%c\r\n" % byte for byte in CHAT)
    + b"0\r\n\r\n",
    "an absolute target": b"POST http://localhost/v1/chat/completions HTTP/1.1\r\n"
    + JSON
    + SIZED
    + b"\r\n"
    + CHAT,
    "h2c, as Java offers it": chat(
        b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABk"
    ),
    "values beyond ASCII": chat(b"X-Name: caf\xc3\xa9 \xff"),
}


@pytest.mark.parametrize("raw", GOOD.values(), ids=GOOD)
async def test_good_framing_passes(start: Start, connect: Connect, raw: bytes) -> None:
    """What RFC 9112 allows is taken, the body goes up byte for byte with a length of ours, and the next one follows."""
    async with raw_upstream(say(whole(b'{"n":1}')), say(whole(b'{"n":2}'))) as upstream:
        client = await connect(await start(upstream.url))

        first = await asked(client, raw)
        second = await asked(client, chat())

    assert (first.status, first.body) == (200, b'{"n":1}')
    assert (second.status, second.body) == (200, b'{"n":2}')
    head, _, body = bytes(upstream.connections[0].received).partition(b"\r\n\r\n")
    assert body.startswith(CHAT + b"POST ")
    lowered = head.lower()
    assert b"content-length: %d" % len(CHAT) in lowered
    for name in (b"transfer-encoding", b"upgrade", b"http2-settings", b"trailer", b"x-sum"):
        assert b"\r\n" + name + b":" not in lowered
