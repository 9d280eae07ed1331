"""No client receives another's bytes, and an answer that was cut never looks whole."""

import ssl

import pytest
import trustme

from tests.journey.conftest import Connect, Start
from tests.support.faults import CHAT, asked, chat, refusal
from tests.support.raw_upstream import STREAM_HEAD, Say, chunked, raw_upstream, say, whole

OK = b"HTTP/1.1 200 OK\r\n"
ONE_TRY = ", retries: 0"
STOLEN = whole(b"stolen")

UNREADABLE = {
    "both lengths": say(
        OK + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n0\r\n\r\n"
    ),
    "lengths that differ": say(OK + b"Content-Length: 3\r\nContent-Length: 9\r\n\r\none"),
    "a list of lengths": say(OK + b"Content-Length: 3, 3\r\n\r\none"),
    "a negative length": say(OK + b"Content-Length: -3\r\n\r\none"),
    "a signed length": say(OK + b"Content-Length: +3\r\n\r\none"),
    "a hexadecimal length": say(OK + b"Content-Length: 0x3\r\n\r\none"),
    "an empty length": say(OK + b"Content-Length:\r\n\r\none"),
    "a length beyond 64 bits": say(OK + b"Content-Length: 99999999999999999999\r\n\r\none"),
    "an unknown coding": say(OK + b"Transfer-Encoding: gzip\r\n\r\none", then="end"),
    "a coding after chunked": say(
        OK + b"Transfer-Encoding: chunked, gzip\r\n\r\n3\r\none\r\n0\r\n\r\n", then="end"
    ),
    "chunked twice": say(
        OK
        + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n0\r\n\r\n"
    ),
    "a space before a colon": say(OK + b"Content-Length : 3\r\n\r\none"),
    "a bare line feed": say(OK + b"X-A: b\nContent-Length: 3\r\n\r\none"),
    "a bare carriage return": say(OK + b"X-A: b\rX-C: d\r\nContent-Length: 3\r\n\r\none"),
    "a folded field": say(OK + b"X-A: b\r\n c\r\nContent-Length: 3\r\n\r\none"),
    "a NUL": say(OK + b"X-A: \x00\r\nContent-Length: 3\r\n\r\none"),
    "a line without a colon": say(OK + b"nonsense\r\nContent-Length: 3\r\n\r\none"),
    "a space in a name": say(OK + b"X A: b\r\nContent-Length: 3\r\n\r\none"),
    "a status of two digits": say(b"HTTP/1.1 20 OK\r\nContent-Length: 3\r\n\r\none"),
    "a status of four digits": say(b"HTTP/1.1 2000 OK\r\nContent-Length: 3\r\n\r\none"),
    "a status in words": say(b"HTTP/1.1 two OK\r\nContent-Length: 3\r\n\r\none"),
    "another protocol": say(b"ICY 200 OK\r\nContent-Length: 3\r\n\r\none"),
    "version 2": say(b"HTTP/2 200 OK\r\nContent-Length: 3\r\n\r\none"),
    "a switch of protocols": say(
        b"HTTP/1.1 101 Switching\r\nUpgrade: h2c\r\nConnection: upgrade\r\n\r\n"
    ),
    "a request": say(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
    "an endless head": say(OK + b"X-A: " + b"a" * 70_000, then="hang"),
    "a thousand fields of a head": say(
        OK + b"X-A: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n" * 1200,
        then="hang",
    ),
    "nothing": say(then="end"),
    "a reset": say(then="cut"),
    "half a head": say(OK + b"Content-Le", then="end"),
    "half a short body": say(OK + b"Content-Length: 6\r\n\r\none", then="end"),
    "half a short body and a reset": say(OK + b"Content-Length: 6\r\n\r\none", then="cut"),
    "all of a body but its last byte": say(
        OK + b"Content-Length: 65536\r\n\r\n" + b"x" * 65_535, then="end"
    ),
    "half an error": say(
        b"HTTP/1.1 400 Bad\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n", then="end"
    ),
    "an error with a bad chunk": say(
        b"HTTP/1.1 429 Slow\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\nzz\r\n"
    ),
    "an interim reply and its end": say(b"HTTP/1.1 103 Early\r\n\r\n", then="end"),
}


@pytest.mark.parametrize("saying", UNREADABLE.values(), ids=UNREADABLE)
async def test_unreadable_replies_are_a_502(start: Start, connect: Connect, saying: Say) -> None:
    """A reply that breaks, or can be read in two ways, is 502, and the next call has a connection of its own."""
    async with raw_upstream(saying, say(whole(b"two"))) as upstream:
        gateway = await start(upstream.url, upstream=ONE_TRY)
        client = await connect(gateway)

        assert refusal(await asked(client, chat())) == (502, "upstream_protocol_error")
        assert (await asked(await connect(gateway), chat())).body == b"two"
        await upstream.until(upstream.connections[0].left.is_set)
    assert len(upstream.connections) == 2


CUT = {
    "a stream that ends": say(STREAM_HEAD, chunked(b"data: 1\n\n", end=False), then="end"),
    "a stream that is reset": say(STREAM_HEAD, chunked(b"data: 1\n\n", end=False), then="cut"),
    "a stream in the middle of a chunk": say(STREAM_HEAD, b"50\r\ndata: 1\n\n", then="end"),
    "a stream before its last line end": say(
        STREAM_HEAD, chunked(b"data: 1\n\n", end=False), b"0\r\n", then="end"
    ),
    "a stream with a bad size": say(
        STREAM_HEAD, chunked(b"data: 1\n\n", end=False), b"0x5\r\nhello\r\n"
    ),
    "a stream with a signed size": say(
        STREAM_HEAD, chunked(b"data: 1\n\n", end=False), b"+5\r\nhello\r\n"
    ),
    "a stream with a size of 17 digits": say(
        STREAM_HEAD, chunked(b"data: 1\n\n", end=False), b"f" * 17 + b"\r\n"
    ),
    "a stream whose chunk goes on": say(
        STREAM_HEAD, chunked(b"data: 1\n\n", end=False), b"2\r\nabc\r\n"
    ),
    "a stream with a line feed alone": say(
        STREAM_HEAD, chunked(b"data: 1\n\n", end=False), b"2\nab\r\n"
    ),
    "a stream with a bad trailer": say(
        STREAM_HEAD, chunked(b"data: 1\n\n", end=False), b"0\r\nnope\r\n\r\n"
    ),
    "a stream with [DONE] but no end": say(
        STREAM_HEAD, chunked(b"data: [DONE]\n\n", end=False), then="end"
    ),
    "a JSON body in chunks": say(
        OK
        + b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
        + chunked(b'{"a":1}', end=False),
        then="end",
    ),
    "a long body": say(OK + b"Content-Length: 65537\r\n\r\n" + b"x" * 65_536, then="end"),
    "a body without a length that is reset": say(OK + b"\r\n" + b"x" * 100, then="cut"),
    "a long error": say(
        b"HTTP/1.1 500 Oops\r\nContent-Length: 70000\r\n\r\n" + b"x" * 69_999, then="end"
    ),
}


@pytest.mark.parametrize("saying", CUT.values(), ids=CUT)
async def test_what_was_cut_never_looks_whole(start: Start, connect: Connect, saying: Say) -> None:
    """A break after the first byte aborts the client's connection: no last chunk, no [DONE] that nobody sent."""
    async with raw_upstream(saying, say(whole(b"two"))) as upstream:
        gateway = await start(upstream.url, upstream=ONE_TRY)

        reply = await asked(await connect(gateway), chat())

        assert not reply.whole
        assert reply.body.count(b"[DONE]") == b"".join(
            piece for piece in saying.pieces if isinstance(piece, bytes)
        ).count(b"[DONE]")
        assert (await asked(await connect(gateway), chat())).body == b"two"
    assert len(upstream.connections) == 2


WHOLE = {
    "a length": (say(whole(b"one")), b"one"),
    "a length of nothing": (say(whole(b"")), b""),
    "chunks": (say(OK + b"Transfer-Encoding: chunked\r\n\r\n" + chunked(b"o", b"ne")), b"one"),
    "extensions and trailers": (
        say(OK + b"Transfer-Encoding: chunked\r\n\r\n3;a=b\r\none\r\n0\r\nX-Sum: 1\r\n\r\n"),
        b"one",
    ),
    "the connection's end": (say(OK + b"\r\none", then="end"), b"one"),
    "the connection's end in HTTP/1.0": (say(b"HTTP/1.0 200 OK\r\n\r\none", then="end"), b"one"),
    "no reason": (say(b"HTTP/1.1 200\r\nContent-Length: 3\r\n\r\none"), b"one"),
    "a byte at a time": (say(*(bytes([byte]) for byte in whole(b"one"))), b"one"),
    "interim replies before it": (
        say(
            b"HTTP/1.1 100 Continue\r\n\r\n",
            b"HTTP/1.1 103 Early\r\nLink: x\r\n\r\n",
            whole(b"one"),
        ),
        b"one",
    ),
    "an error in chunks": (
        say(b"HTTP/1.1 418 Tea\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(b"one")),
        b"one",
    ),
    "a long body": (say(whole(b"x" * 70_000)), b"x" * 70_000),
}


@pytest.mark.parametrize(("saying", "body"), WHOLE.values(), ids=WHOLE)
async def test_whole_replies_pass(start: Start, connect: Connect, saying: Say, body: bytes) -> None:
    """Every framing that RFC 9112 knows ends the reply at its end, byte for byte."""
    async with raw_upstream(saying) as upstream:
        reply = await asked(await connect(await start(upstream.url, upstream=ONE_TRY)), chat())
    assert (reply.body, reply.whole) == (body, True)


LATE = {
    "a second reply": say(whole(b"one") + STOLEN),
    "a second reply later": say(whole(b"one"), STOLEN),
    "bytes behind a length": say(whole(b"one") + b"x"),
    "bytes behind the last chunk": say(
        OK + b"Transfer-Encoding: chunked\r\n\r\n" + chunked(b"one") + b"x"
    ),
    "a body of a 204": say(b"HTTP/1.1 204 None\r\n\r\n" + STOLEN),
    "a body of a 304": say(b"HTTP/1.1 304 Same\r\nContent-Length: 6\r\n\r\nstolen"),
    "a line end": say(whole(b"one") + b"\r\n"),
    "an interim reply": say(whole(b"one") + b"HTTP/1.1 100 Continue\r\n\r\n"),
}


@pytest.mark.parametrize("saying", LATE.values(), ids=LATE)
async def test_bytes_that_nobody_asked_for_reach_nobody(
    start: Start, connect: Connect, saying: Say
) -> None:
    """Whatever follows a reply on its connection closes it; another client's call is answered by its own upstream's."""
    async with raw_upstream(saying, say(whole(b"two")), say(whole(b"three"))) as upstream:
        gateway = await start(upstream.url, upstream=ONE_TRY)
        first, second = await connect(gateway), await connect(gateway)

        reply = await asked(first, chat())
        await upstream.until(upstream.connections[0].left.is_set)

        assert reply.body in (b"one", b"")
        assert (await asked(second, chat())).body == b"two"
        assert (await asked(first, chat())).body == b"three"


async def test_a_reply_before_its_request_is_nobody_s(start: Start, connect: Connect) -> None:
    """What an upstream says on an idle connection is no answer to the next call: it goes out on a fresh one."""
    async with raw_upstream(say(whole(b"one")), say(whole(b"two"))) as upstream:
        gateway = await start(upstream.url, upstream=ONE_TRY)
        client = await connect(gateway)
        assert (await asked(client, chat())).body == b"one"

        upstream.connections[0].transport.write(STOLEN)
        await upstream.until(upstream.connections[0].left.is_set)

        assert (await asked(client, chat())).body == b"two"


async def test_an_answer_to_a_body_that_is_still_going_up_ends_the_connection(
    start: Start, connect: Connect
) -> None:
    """A reply that comes before its request's end is relayed, and the rest of the body belongs to no other request."""
    async with raw_upstream(say(whole(b"early", status=b"413 Large")), eager=True) as upstream:
        client = await connect(await start(upstream.url, upstream=ONE_TRY))
        body = CHAT[:-1] + b',"user":"' + b"u" * 2_000_000 + b'"}'

        reply = await asked(client, chat(body=body))
        await upstream.until(upstream.connections[0].left.is_set)

    assert (reply.status, reply.body) == (413, b"early")


async def test_a_tls_stream_that_ends_without_saying_so_was_cut(
    start: Start, connect: Connect
) -> None:
    """Under TLS a bare FIN is no end: anybody on the way could have sent it."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with authority.cert_pem.tempfile() as ca_file:
        more = f"{ONE_TRY}, ca_file: {ca_file}"
        truncated = say(OK + b"\r\none", then="truncate")
        ended = say(OK + b"\r\none", then="end")
        async with raw_upstream(truncated, ended, tls=context) as upstream:
            gateway = await start(upstream.url, upstream=more)
            cut = await asked(await connect(gateway), chat())
            clean = await asked(await connect(gateway), chat())
    assert not cut.whole
    assert (clean.body, clean.whole) == (b"one", True)
