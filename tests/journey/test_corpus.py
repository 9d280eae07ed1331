"""Every reply of the corpus, at random splits, through a running gateway: the same bytes come out."""

import hashlib
import json
from pathlib import Path

from tests.corpus import Reply, corpus, pieces
from tests.journey.conftest import Connect, Start
from tests.support.raw_upstream import Say, raw_upstream, say

MANIFEST = json.loads((Path(__file__).parent.parent / "corpus" / "manifest.json").read_text())
# How often each reply is sent, cut in other places each time.
ROUNDS = 2
CHAT = b'{"model":"m","messages":[{"role":"user","content":"hi"}]}'


def saying(reply: Reply, seed: int) -> Say:
    """Return a reply as an upstream sends it: with a length, in chunks, or up to the connection's end."""
    fields = b"".join(b"%b: %b\r\n" % field for field in reply.headers())
    head = b"HTTP/1.1 %d Told\r\n%b" % (reply.status, fields)
    parts = pieces(reply.body, seed)
    match seed % 3:
        case 0:
            length = b"Content-Length: %d\r\n\r\n" % len(reply.body)
            return say(head + length, *parts)
        case 1:
            framed = [b"%x\r\n%b\r\n" % (len(part), part) for part in parts if part]
            return say(head + b"Transfer-Encoding: chunked\r\n\r\n", *framed, b"0\r\n\r\n")
        case _:
            return say(head + b"\r\n", *parts, then="end")


async def test_the_corpus_crosses_byte_for_byte(start: Start, connect: Connect) -> None:
    """Status, content type and body of each reply are the upstream's, whatever the splits and the framing."""
    replies = [
        (reply, seed)
        for number, reply in enumerate(corpus())
        for seed in range(number, number + ROUNDS)
        if reply.status not in (204, 304)
    ]
    assert len(replies) >= 400
    async with raw_upstream(*(saying(reply, seed) for reply, seed in replies)) as upstream:
        client = await connect(
            await start(upstream.url, upstream=", retries: 0, auth: passthrough", key=None)
        )
        for reply, seed in replies:
            client.request("POST", "/v1/chat/completions", CHAT)
            got = await client.reply()
            assert got.whole, (reply.name, seed)
            assert got.status == reply.status, (reply.name, seed)
            assert got.body == reply.body, (reply.name, seed)
            plain = reply.body if reply.plain is None else reply.plain
            assert hashlib.sha256(plain).hexdigest() == MANIFEST[reply.name], reply.name
            assert (got.header("content-type") or "").encode() == (reply.content_type or b"")
