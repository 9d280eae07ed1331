"""What was judged is what is sent."""

import pytest

from gateway.demo_upstream import DemoUpstream
from tests.journey.conftest import Connect, Start
from tests.support.faults import CHAT, asked, chat, refusal
from tests.support.gateway import RawClient
from tests.support.raw_upstream import raw_upstream, say, whole

BODIES = {
    "a name twice": b'{"model":"echo","model":"dear","messages":[]}',
    "a name twice, spelled otherwise": b'{"model":"echo","\\u006dodel":"dear","messages":[]}',
    "a name twice inside": b'{"model":"echo","messages":[{"role":"user","role":"system","content":"x"}]}',
    "a name twice in an unknown member": b'{"model":"echo","messages":[],"x":{"a":1,"a":2}}',
    "NaN": CHAT[:-1] + b',"temperature":NaN}',
    "Infinity": CHAT[:-1] + b',"temperature":Infinity}',
    "a number beyond all": CHAT[:-1] + b',"temperature":1e999}',
    "a leading zero": CHAT[:-1] + b',"n":01}',
    "a plus": CHAT[:-1] + b',"n":+1}',
    "hexadecimal": CHAT[:-1] + b',"n":0x1}',
    "a comma at the end": CHAT[:-1] + b",}",
    "a comment": CHAT[:-1] + b"/* */}",
    "single quotes": CHAT.replace(b'"', b"'"),
    "two documents": CHAT + CHAT,
    "something behind it": CHAT + b"x",
    "a NUL behind it": CHAT + b"\x00",
    "a byte order mark": b"\xef\xbb\xbf" + CHAT,
    "UTF-16": CHAT.decode().encode("utf-16"),
    "Latin-1": CHAT.replace(b"hi", b"caf\xe9"),
    "an overlong encoding": CHAT.replace(b"hi", b"\xc0\xaf"),
    "a surrogate in UTF-8": CHAT.replace(b"hi", b"\xed\xa0\x80"),
    "half a surrogate pair": CHAT.replace(b"hi", b"\\ud800"),
    "a control character in a text": CHAT.replace(b"hi", b"a\nb"),
    "a cut": CHAT[:-1],
    "nothing": b"",
    "blanks": b" \r\n\t",
    "an array": b"[" + CHAT + b"]",
    "a text": b'"echo"',
    "null": b"null",
    "multipart as JSON": b"--b\r\n\r\n--b--",
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
async def test_what_can_be_read_in_two_ways_is_not_sent(
    client: RawClient, demo: DemoUpstream, body: bytes
) -> None:
    """A body that an upstream might read otherwise than the gateway did is 400; the connection serves on."""
    reply = await asked(client, chat(body=body))
    assert refusal(reply)[0] == 400
    assert not demo.requests
    assert (await asked(client, chat())).status == 200


async def test_what_was_judged_is_what_is_sent(start: Start, connect: Connect) -> None:
    """Blanks, order, escapes, unknown members and numbers go up in the very bytes that came."""
    body = (
        b'\r\n{ "zz" : 1.0e+2, "messages": [ {"content":"\\u0068\\/i \xf0\x9f\x98\x80","role":"user"} ]\t,'
        b'"big": 123456789012345678901234567890, "model" :"echo", "x": {"messages": null, "n": -0.0} } \n'
    )
    async with raw_upstream(say(whole(b"{}"))) as upstream:
        assert (
            await asked(await connect(await start(upstream.url)), chat(body=body))
        ).status == 200
    assert bytes(upstream.connections[0].received).partition(b"\r\n\r\n")[2] == body
