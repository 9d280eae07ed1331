"""Pages in browsers, what a provider is told of a client, and which paths there are."""

from urllib.parse import urlsplit

import pytest

from gateway.demo_upstream import DemoUpstream
from tests.journey.conftest import Connect, Start
from tests.support.faults import CHAT, HOST, JSON, asked, chat, refusal
from tests.support.gateway import RawClient
from tests.support.raw_upstream import raw_upstream, say, whole

APP = b"Origin: https://app.example"
CORS = ', cors_origins: ["https://app.example"]'
BARE = (
    b"POST /v1/chat/completions HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: %d\r\n"
    % len(CHAT)
)

REBOUND = [
    b"evil.example",
    b"evil.example:4000",
    b"localhost.evil.example",
    b"127.0.0.1.evil.example",
    b"127.0.0.1.nip.io",
    b"localhost@evil.example",
    b"evil.example#127.0.0.1",
    b"xn--localhost-",
    b"0x7f000001.evil",
    b"[::1].evil.example",
    b"[evil.example]",
    b"",
    b"localhost evil",
    b"\xff",
]


@pytest.mark.parametrize("host", REBOUND)
async def test_a_name_that_was_rebound_is_refused(
    demo: DemoUpstream, client: RawClient, host: bytes
) -> None:
    """On loopback a Host that is neither an address nor localhost nor listed is a page's trick: 403, or 400."""
    reply = await asked(client, BARE + b"Host: " + host + b"\r\n\r\n" + CHAT)
    assert reply.status in (400, 403)
    assert refusal(reply)[1] in ("host_not_allowed", "invalid_http")
    assert not demo.requests


@pytest.mark.parametrize(
    "host",
    [
        b"localhost",
        b"LOCALHOST:4000",
        b"127.0.0.1",
        b"127.0.0.1:1",
        b"[::1]:4000",
        b"localhost.",
        b"10.0.0.7",
        b"gw.lan",
        b"GW.lan:8080",
    ],
)
async def test_addresses_and_listed_names_are_not(
    demo: DemoUpstream, start: Start, connect: Connect, host: bytes
) -> None:
    """An address cannot be rebound; names are for the operator to list, in any spelling and with any port."""
    client = await connect(await start(demo.url, server=", allowed_hosts: [gw.lan]"))
    reply = await asked(client, BARE + b"Host: " + host + b"\r\n\r\n" + CHAT)
    assert reply.status == 200


CROSS = {
    "a form": chat().replace(b"application/json", b"application/x-www-form-urlencoded"),
    "a form of plain text": chat().replace(b"application/json", b"text/plain"),
    "a form with files": chat().replace(b"application/json", b"multipart/form-data; boundary=b"),
    "a beacon without a type": chat().replace(b"Content-Type: application/json\r\n", b""),
    "a page of another site": chat(b"Origin: https://evil.example"),
    "a page of another port": chat(b"Origin: http://localhost:9"),
    "a page of another scheme": chat(b"Origin: https://localhost.evil"),
    "a file or a sandbox": chat(b"Origin: null"),
    "a page that looks like a listed one": chat(b"Origin: https://app.example.evil.example"),
    "a listed name on another scheme": chat(b"Origin: http://app.example"),
    "a listed name with a port": chat(b"Origin: https://app.example:8443"),
    "a listed name in capitals": chat(b"Origin: HTTPS://APP.EXAMPLE"),
    "two origins": chat(b"Origin: https://app.example https://evil.example"),
    "an origin that is none": chat(b"Origin: http://["),
    "an image of another site": b"GET /v1/models HTTP/1.1\r\n"
    + HOST
    + b"Sec-Fetch-Site: cross-site\r\n\r\n",
    "a subdomain's script": b"GET /v1/models HTTP/1.1\r\n"
    + HOST
    + b"Sec-Fetch-Site: same-site\r\n\r\n",
    "a preflight of another site": b"OPTIONS /v1/chat/completions HTTP/1.1\r\n"
    + HOST
    + b"Origin: https://evil.example\r\nAccess-Control-Request-Method: POST\r\n\r\n",
}


@pytest.mark.parametrize("raw", CROSS.values(), ids=CROSS)
async def test_what_a_foreign_page_can_send_is_refused(
    demo: DemoUpstream, start: Start, connect: Connect, raw: bytes
) -> None:
    """Forms, beacons and scripts of pages that are not listed reach no upstream, and may not read why."""
    client = await connect(await start(demo.url, server=', cors_origins: ["https://app.example"]'))
    reply = await asked(client, raw)
    assert reply.status in (403, 415)
    assert reply.header("access-control-allow-origin") is None
    assert not demo.requests


OWN = {
    "no page": chat(),
    "a listed page": chat(APP),
    "a listed page, as its browser says": chat(APP, b"Sec-Fetch-Site: cross-site"),
    "a page of the gateway's own": chat(
        b"Origin: http://localhost", b"Sec-Fetch-Site: same-origin"
    ),
    "what was typed": chat(b"Sec-Fetch-Site: none"),
}


@pytest.mark.parametrize("raw", OWN.values(), ids=OWN)
async def test_who_is_no_foreign_page_passes(
    demo: DemoUpstream, start: Start, connect: Connect, raw: bytes
) -> None:
    """Programs send no Origin; listed pages and pages of this origin may call."""
    client = await connect(await start(demo.url, server=CORS))
    assert (await asked(client, raw)).status == 200


READABLE = {
    "a reply": (chat(APP), 200),
    "an upstream's error": (chat(APP, b'x-demo: {"error": 500}'), 500),
    "no JSON": (chat(APP, body=b"{"), 400),
    "no such path": (b"GET /v1/x/ HTTP/1.1\r\n" + HOST + APP + b"\r\n\r\n", 404),
    "another method": (b"GET /v1/chat/completions HTTP/1.1\r\n" + HOST + APP + b"\r\n\r\n", 405),
    "a wrong key": (chat(APP, b"api-key: wrong"), 401),
    "too large": (chat(APP).replace(b"Content-Length: 60", b"Content-Length: 99999999999"), 413),
    "the models": (b"GET /v1/models HTTP/1.1\r\n" + HOST + APP + b"\r\n\r\n", 200),
}


@pytest.mark.parametrize(("raw", "status"), READABLE.values(), ids=READABLE)
async def test_a_listed_page_may_read_whatever_it_is_told(
    demo: DemoUpstream, start: Start, connect: Connect, raw: bytes, status: int
) -> None:
    """Replies, refusals and errors name the page's origin, once; neither credentials nor all are allowed."""
    auth = "auth: {keys: [{user: alice, key: client-secret-key-1}]}"
    client = await connect(await start(demo.url, auth, server=CORS))
    key = b"\r\nauthorization: Bearer client-secret-key-1"
    reply = await asked(client, raw if b"wrong" in raw else raw.replace(APP, APP + key))
    assert reply.status == status
    fields = [
        (name, value) for name, value in reply.headers if name.startswith("access-control-allow")
    ]
    assert fields == [("access-control-allow-origin", "https://app.example")]
    assert reply.header("vary") == "Origin"


STAYS = [
    b"Cookie: session=1",
    b"X-Forwarded-For: 10.0.0.7",
    b"X-Forwarded-Proto: https",
    b"X-Forwarded-Anything: 1",
    b"Forwarded: for=10.0.0.7",
    b"X-Real-IP: 10.0.0.7",
    b"True-Client-IP: 10.0.0.7",
    b"CF-Connecting-IP: 10.0.0.7",
    b"Via: 1.1 proxy",
    b"Referer: http://intranet/secret",
    b"Origin: http://localhost",
    b"Proxy-Authorization: Basic x",
    b"Proxy-Connection: keep-alive",
    b"TE: trailers",
    b"Keep-Alive: timeout=5",
    b"X-Gateway-Context: reject",
    b"X_Forwarded_For: 10.0.0.7",
    b"x-real_ip: 10.0.0.7",
]
CROSSES = [
    b"User-Agent: test/1.0",
    b"Accept: text/event-stream",
    b"Idempotency-Key: k-1",
    b"OpenAI-Beta: assistants=v2",
    b"X-Stainless-Lang: python",
    b"traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    b'X-Custom: a, b;c="d"',
]


@pytest.mark.parametrize(
    ("field", "crosses"), [*((f, False) for f in STAYS), *((f, True) for f in CROSSES)]
)
async def test_a_provider_learns_what_it_needs(
    start: Start, connect: Connect, field: bytes, crosses: bool
) -> None:
    """Who the client is and where it was stays here; what a call means goes up, in its own spelling."""
    async with raw_upstream(say(whole(b"{}"))) as upstream:
        client = await connect(await start(upstream.url))
        assert (await asked(client, chat(field))).status == 200
    head = bytes(upstream.connections[0].received).partition(b"\r\n\r\n")[0] + b"\r\n"
    assert (b"\r\n" + field + b"\r\n" in head) is crosses
    if not crosses:
        assert field.partition(b":")[0].lower() + b":" not in head.lower()


@pytest.mark.parametrize(
    "path",
    [
        "/metrics",
        "/livez",
        "/readyz",
        "/",
        "/status",
        "/debug",
        "/admin",
        "/v1",
        "/v1/",
        "/docs",
        "/favicon.ico",
        "/.env",
        "/healthz/",
        "/healthz?x",
        "/HEALTHZ",
    ],
)
async def test_the_clients_port_has_no_other_door(
    demo: DemoUpstream, client: RawClient, path: str
) -> None:
    """Exactly the documented routes exist for clients; the operator's are on the operator's port alone."""
    reply = await asked(client, f"GET {path} HTTP/1.1\r\n".encode() + HOST + b"\r\n")
    assert refusal(reply) == (404, "unknown_url")
    assert not demo.requests


async def test_the_operator_s_port_has_no_client_s_door(
    demo: DemoUpstream, start: Start, connect: Connect
) -> None:
    """The admin listener answers its own paths and relays nothing."""
    gateway = await start(demo.url)
    admin = urlsplit(gateway.app.admin_url)
    for path, status in (
        ("/livez", 200),
        ("/readyz", 200),
        ("/metrics", 200),
        ("/v1/models", 404),
        ("/v1/chat/completions", 404),
    ):
        client = await RawClient.connect(
            type("At", (), {"host": admin.hostname, "port": admin.port})()
        )
        reply = await asked(
            client, f"GET {path} HTTP/1.1\r\n".encode() + JSON + b"Connection: close\r\n\r\n"
        )
        assert reply.status == status
        await client.aclose()
    assert not demo.requests
