"""What dialogues with hostile parties have in common: requests as bytes, refusals as what they say."""

import json

from tests.support.gateway import RawClient, RawReply

CHAT = b'{"model":"echo","messages":[{"role":"user","content":"hi"}]}'
STREAMED = CHAT[:-1] + b',"stream":true}'
HOST = b"Host: localhost\r\n"
JSON = HOST + b"Content-Type: application/json\r\n"
POST = b"POST /v1/chat/completions HTTP/1.1\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"
# What a request hides in another one.
HIDDEN = b"POST /v1/hidden HTTP/1.1\r\n" + JSON + b"Content-Length: 0\r\n\r\n"


def chat(*fields: bytes, body: bytes = CHAT) -> bytes:
    """Return a chat request with a length and more fields."""
    more = b"".join(field + b"\r\n" for field in fields)
    return POST + JSON + more + b"Content-Length: %d\r\n\r\n" % len(body) + body


def refusal(reply: RawReply) -> tuple[int, str | None]:
    """Return the status and code of a refusal in OpenAI's shape."""
    assert reply.whole
    assert reply.header("content-type") == "application/json"
    (outer,) = json.loads(reply.body).items()
    assert outer[0] == "error"
    assert set(outer[1]) == {"message", "type", "param", "code"}
    code = outer[1]["code"]
    assert code is None or isinstance(code, str)
    return reply.status, code


async def asked(client: RawClient, raw: bytes) -> RawReply:
    """Send bytes and return the reply to them."""
    client.send(raw)
    return await client.reply()


async def nothing_more(client: RawClient) -> bool:
    """Return whether the connection ends without another byte."""
    return await client.closed() == b""
