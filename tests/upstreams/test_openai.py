"""How OpenAI and its like are asked."""

from collections.abc import AsyncIterator

from gateway.types import Call, Headers, Target, Upload
from gateway.upstreams.openai import Base, OpenAIUpstream

BASE = Base(scheme="https", host="api.example", port=443, prefix="/openai/v1")
CLIENT: Headers = ((b"Accept", b"*/*"), (b"X-Title", b"mine"))


def call(body: bytes | Upload = b'{"model":"m"}', **more: object) -> Call:
    return Call(
        endpoint="/v1/chat/completions",
        method="POST",
        target="/chat/completions?a=1",
        headers=(),
        body=body,
        model="m",
        credential="client-key",
        **more,  # type: ignore[arg-type]
    )


def upstream(**more: object) -> OpenAIUpstream:
    settings: dict[str, object] = {"api_key": "our-key", "passthrough": False} | more
    return OpenAIUpstream(name="up", base=BASE, **settings)  # type: ignore[arg-type]


TO_M = Target(upstream="up", model="m")


def test_a_call_under_our_key() -> None:
    """The base URL's place, the client's path and query, our key, and the body as it is."""
    asked = upstream().request(call(), TO_M, CLIENT)

    assert (asked.scheme, asked.host, asked.port) == ("https", "api.example", 443)
    assert asked.target == "/openai/v1/chat/completions?a=1"
    assert asked.headers == (*CLIENT, (b"Authorization", b"Bearer our-key"))
    assert asked.body == b'{"model":"m"}'


def test_a_call_under_the_clients_key() -> None:
    """In passthrough the client's own key goes up."""
    asked = upstream(passthrough=True, api_key=None).request(call(), TO_M, ())

    assert asked.headers == ((b"Authorization", b"Bearer client-key"),)


def test_an_upstream_without_a_key_gets_none() -> None:
    """A local engine is sent no credential at all."""
    assert upstream(api_key=None).request(call(), TO_M, CLIENT).headers == CLIENT


def test_configured_fields_take_the_place_of_the_clients() -> None:
    """What the operator sets stands in for what the client sent."""
    own = ((b"x-title", b"ours"), (b"OpenAI-Organization", b"org-1"))
    asked = upstream(headers=own).request(call(), TO_M, CLIENT)

    assert asked.headers == ((b"Accept", b"*/*"), (b"Authorization", b"Bearer our-key"), *own)


def test_an_alias_is_spliced() -> None:
    """The model's name there is put in the place of the one asked for."""
    target = Target(upstream="up", model='other "one"')
    asked = upstream().request(call(b' {"model" : "m","n":1}'), target, ())

    assert asked.body == b' {"model" : "other \\"one\\"","n":1}'


def test_a_compressed_body_stays_so_unless_it_must_be_spliced() -> None:
    """Only an alias makes a compressed body go up inflated, and then nothing says that it is compressed."""
    coded: Headers = ((b"Content-Encoding", b"gzip"), (b"Accept", b"*/*"))
    packed = call(b"packed", plain=b'{"model":"m"}')

    as_it_is = upstream(api_key=None).request(packed, TO_M, coded)
    spliced = upstream(api_key=None).request(packed, Target(upstream="up", model="o"), coded)

    assert (as_it_is.body, as_it_is.headers) == (b"packed", coded)
    assert (spliced.body, spliced.headers) == (b'{"model":"o"}', ((b"Accept", b"*/*"),))


async def nothing() -> AsyncIterator[bytes]:
    return
    yield


def test_uploads_go_up_as_they_are() -> None:
    """What is streamed is not looked into for a name."""
    upload = Upload(pieces=nothing(), length_bytes=None)

    asked = upstream().request(call(upload), Target(upstream="up", model="other"), ())

    assert asked.body is upload


def test_keys_do_not_show() -> None:
    """The representation of an upstream, which a log may hold, has no key in it."""
    assert "our-key" not in repr(upstream())
    assert "client-key" not in repr(call())
