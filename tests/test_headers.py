"""Which header fields cross, each way."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.headers import CREDENTIALS, downward, upward
from gateway.types import Headers

# As openai-python sends them.
SDK: Headers = (
    (b"Host", b"127.0.0.1:4000"),
    (b"Accept-Encoding", b"gzip, deflate"),
    (b"Connection", b"keep-alive"),
    (b"Accept", b"application/json"),
    (b"Content-Type", b"application/json"),
    (b"User-Agent", b"OpenAI/Python 2.8.1"),
    (b"X-Stainless-Lang", b"python"),
    (b"X-Stainless-OS", b"Linux"),
    (b"Authorization", b"Bearer sk-gw-1"),
    (b"x-stainless-retry-count", b"0"),
    (b"Idempotency-Key", b"stainless-python-retry-1"),
    (b"Content-Length", b"111"),
)


def names(headers: Headers) -> list[bytes]:
    return [name for name, _ in headers]


def test_a_request_keeps_order_spelling_and_values() -> None:
    """What goes up goes up as it was sent, in its order."""
    assert upward(SDK, own_key=True) == (
        (b"Accept-Encoding", b"gzip, deflate"),
        (b"Accept", b"application/json"),
        (b"Content-Type", b"application/json"),
        (b"User-Agent", b"OpenAI/Python 2.8.1"),
        (b"X-Stainless-Lang", b"python"),
        (b"X-Stainless-OS", b"Linux"),
        (b"x-stainless-retry-count", b"0"),
        (b"Idempotency-Key", b"stainless-python-retry-1"),
    )


STAYS_UP = (
    b"Connection Keep-Alive TE Trailer Transfer-Encoding Upgrade HTTP2-Settings Proxy-Connection "
    b"Proxy-Authorization Proxy-Anything Host Content-Length Expect Cookie Cookie2 Forwarded X-Forwarded-For "
    b"X-Forwarded-Host X-Forwarded-Anything X-Real-IP Origin Referer Via CF-Connecting-IP True-Client-IP "
    b"Authorization Api-Key X-Api-Key X-Request-ID X-Gateway-Context X-Gateway-Request-Id"
).split()


@pytest.mark.parametrize("own_key", [True, False])
@pytest.mark.parametrize("name", STAYS_UP, ids=bytes.decode)
def test_what_stays_here_stays_in_any_spelling(name: bytes, own_key: bool) -> None:
    """Framing, hop-by-hop, credentials, cookies, addresses and our own fields never go up, however spelled."""
    for spelling in (name, name.lower(), name.upper(), name.swapcase(), name.replace(b"-", b"_")):
        assert upward(((spelling, b"1"), (b"x-kept", b"2")), own_key=own_key) == (
            (b"x-kept", b"2"),
        )


@pytest.mark.parametrize("name", sorted(CREDENTIALS), ids=bytes.decode)
def test_no_credential_goes_up(name: bytes) -> None:
    """A client's key goes up by no header of the client's own, not even where its own key is used."""
    assert upward(((name, b"secret"),), own_key=False) == ()


def test_the_account_is_not_the_clients_to_choose_under_our_key() -> None:
    """Organisation and project go up with the client's own key alone."""
    account = ((b"OpenAI-Organization", b"org-1"), (b"openai-project", b"p"))
    disguised = ((b"OPENAI_ORGANIZATION", b"org-1"),)

    assert upward(account, own_key=True) == ()
    assert upward(disguised, own_key=True) == ()
    assert upward(account, own_key=False) == account


def test_custom_fields_and_traces_go_up() -> None:
    """Fields without a rule cross: tomorrow's need no release."""
    custom = (
        (b"X-Title", b"app"),
        (b"traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
        (b"OpenAI-Beta", b"assistants=v2"),
        (b"X-Title", b"twice"),
        (b"x_under_score", b"\xff"),
    )

    assert upward(custom, own_key=True) == custom


def test_the_end_users_field_stays_here() -> None:
    """The field in which a trusted app names its user is taken off, in any spelling."""
    headers = ((b"X-End-User", b"anna"), (b"x_end_user", b"anna"), (b"X-Other", b"1"))

    kept = upward(headers, own_key=True, end_user_header=b"x-end-user")

    assert kept == ((b"X-Other", b"1"),)
    assert upward(headers, own_key=True) == headers


@pytest.mark.parametrize(
    ("value", "others"),
    [
        (b"keep-alive", [b"x-a", b"x-b"]),
        (b"close, X-A", [b"x-b"]),
        (b" x-a ,x-B", []),
        (b"x-a,,", [b"x-b"]),
        (b"x_a", [b"x-b"]),
        (b"", [b"x-a", b"x-b"]),
    ],
)
def test_fields_that_connection_names_stay_here(value: bytes, others: list[bytes]) -> None:
    """What `Connection` names is for this hop alone, whether it stands before or after it."""
    headers = ((b"x-a", b"1"), (b"CONNECTION", value), (b"x-b", b"2"))

    assert names(upward(headers, own_key=True)) == others
    assert names(downward(headers)) == others


def test_connection_cannot_change_how_a_body_is_read() -> None:
    """Fields that describe the body cross even where `Connection` names them."""
    headers = (
        (b"Connection", b"content-type, Content-Encoding, x-a"),
        (b"Content-Type", b"application/json"),
        (b"Content-Encoding", b"gzip"),
        (b"X-A", b"1"),
    )

    assert names(upward(headers, own_key=True)) == [b"Content-Type", b"Content-Encoding"]


@pytest.mark.parametrize(
    ("sent", "goes_up"),
    [
        (b"gzip, deflate", b"gzip, deflate"),
        (b"gzip, deflate, br, zstd", b"gzip, deflate"),
        (b"br;q=1.0, gzip;q=0.8, *;q=0.1", b"gzip;q=0.8, deflate;q=0.1, identity;q=0.1"),
        (b"br", b"identity"),
        (b"br, zstd;q=0.5", b"identity"),
        (b"*", b"gzip, deflate, identity"),
        (b"*;q=0", b"*;q=0"),
        (b"br, *; Q = 0.000", b"*; Q = 0.000"),
        (b"gzip, *;q=0.05", b"gzip, deflate;q=0.05, identity;q=0.05"),
        (b"br, identity;q=0", b"identity;q=0"),
        (b"GZIP;q=0.5 , X-Gzip,Identity", b"GZIP;q=0.5 , X-Gzip,Identity"),
        (b"gzip;q=0, compress", b"gzip;q=0"),
        (b"", b""),
        (b" , ", b" , "),
        (b"gzip,, br", b"gzip"),
    ],
)
def test_accept_encoding_is_narrowed_to_what_we_can_read(sent: bytes, goes_up: bytes) -> None:
    """Only gzip, deflate and identity are offered, with the client's weights; what need not change does not."""
    assert upward(((b"accept-encoding", sent),), own_key=True) == ((b"accept-encoding", goes_up),)
    assert upward(((b"Accept_Encoding", sent),), own_key=True) == ((b"Accept_Encoding", goes_up),)


def test_an_absent_accept_encoding_stays_absent() -> None:
    """Nothing is asked for that the client did not ask for."""
    assert upward(((b"accept", b"*/*"),), own_key=True) == ((b"accept", b"*/*"),)


def test_a_reply_keeps_what_sdks_read() -> None:
    """Ids, limits, back-off and vendors' fields come down as they were sent."""
    headers = (
        (b"Date", b"Mon, 01 Jun 2026 00:00:00 GMT"),
        (b"Content-Type", b"text/event-stream; charset=utf-8"),
        (b"openai-processing-ms", b"20"),
        (b"x-ratelimit-remaining-tokens", b"1"),
        (b"X-Request-ID", b"req_1"),
        (b"retry-after-ms", b"408"),
        (b"x-should-retry", b"false"),
        (b"Content-Encoding", b"gzip"),
        (b"access-control-expose-headers", b"X-Request-ID"),
        (b"Via", b"1.1 google"),
    )

    assert downward(headers) == headers


@pytest.mark.parametrize(
    "name",
    b"Set-Cookie Set-Cookie2 Alt-Svc Connection Keep-Alive TE Trailer Transfer-Encoding Upgrade "
    b"Proxy-Authenticate Content-Length X-Gateway-Request-Id X-Gateway-Upstream".split(),
    ids=bytes.decode,
)
def test_what_never_comes_down(name: bytes) -> None:
    """Cookies, other addresses, this hop's framing and fields that speak in our name stay here."""
    for spelling in (name, name.lower(), name.upper()):
        assert downward(((spelling, b"1"), (b"x-kept", b"2"))) == ((b"x-kept", b"2"),)


def test_our_own_limits_stand_for_the_upstreams() -> None:
    """Where a rule covers the call no x-ratelimit field of the upstream is left beside ours."""
    headers = (
        (b"x-ratelimit-limit-requests", b"1"),
        (b"X-RateLimit-Remaining-Audio", b"1"),
        (b"a", b"1"),
    )

    assert downward(headers, own_limits=True) == ((b"a", b"1"),)
    assert downward(headers, own_limits=False) == headers


def test_our_own_cors_stands_for_the_upstreams() -> None:
    """Where the gateway says which origins may read, the upstream's word for all of them is not left beside it."""
    headers = ((b"Access-Control-Allow-Origin", b"*"), (b"a", b"1"))

    assert downward(headers, own_cors=True) == ((b"a", b"1"),)
    assert downward(headers, own_cors=True, own_limits=True) == ((b"a", b"1"),)


@given(
    st.lists(
        st.tuples(
            st.one_of(
                st.sampled_from([b"Connection", b"x-a", b"COOKIE", b"x-forwarded-for", b"Host"]),
                st.binary(min_size=1, max_size=8),
            ),
            st.one_of(st.sampled_from([b"x-a", b"close, x-a"]), st.binary(max_size=8)),
        ),
        max_size=8,
    ).map(tuple)
)
def test_only_fields_that_were_sent_cross(headers: Headers) -> None:
    """Whatever comes, what crosses is some of it, unchanged and in its order."""
    for crossing in (upward(headers, own_key=True), downward(headers)):
        rest = iter(headers)
        assert all(field in rest for field in crossing)
        assert b"connection" not in {name.lower() for name in names(crossing)}
