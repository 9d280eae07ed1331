"""Pages in browsers: refused unless they are listed, and then answered as CORS asks."""

from tests.journey.conftest import Connect, Start
from tests.support.raw_upstream import raw_upstream, say, whole

CHAT = b'{"model":"m","messages":[]}'
APP = ("Origin", "https://app.example")


async def test_a_listed_page_may_call(start: Start, connect: Connect) -> None:
    """A preflight is answered here; a call's reply names the page's origin, once, errors included."""
    theirs = whole(b"ok", b"Access-Control-Allow-Origin: *")
    async with raw_upstream(say(theirs)) as upstream:
        gateway = await start(upstream.url, server=', cors_origins: ["https://app.example"]')
        client = await connect(gateway)
        asks = ("Access-Control-Request-Headers", "authorization,content-type")
        client.request("OPTIONS", "/v1/chat/completions", headers=(APP, asks))
        preflight = await client.reply()
        client.request("POST", "/v1/chat/completions", CHAT, (APP,))
        reply = await client.reply()
        client.request("POST", "/v1/chat/completions", b"{", (APP,))
        refused = await client.reply()

    assert preflight.status == 204
    assert preflight.header("access-control-allow-headers") == "authorization,content-type"
    assert upstream.requests == 1
    for answer in (preflight, reply, refused):
        allowed = [v for name, v in answer.headers if name == "access-control-allow-origin"]
        assert allowed == ["https://app.example"]


async def test_other_pages_may_not(start: Start, connect: Connect) -> None:
    """A page of another origin is refused before anything is asked, its preflight too."""
    async with raw_upstream(say(whole(b"ok"))) as upstream:
        client = await connect(await start(upstream.url))
        for method in ("OPTIONS", "POST"):
            client.request(method, "/v1/chat/completions", CHAT, (APP,))
            reply = await client.reply()
            assert reply.status == 403
            assert reply.header("access-control-allow-origin") is None

    assert upstream.requests == 0
