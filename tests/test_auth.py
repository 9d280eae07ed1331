"""Keys: who is let in, who is not, and what each may ask for."""

import hashlib

import pytest

from gateway.auth import (
    ANONYMOUS,
    Authenticator,
    KeyEntry,
    credential,
    matches_endpoint,
    may_use,
    permit_model,
    unknown_model,
)
from gateway.errors import AuthenticationError, PermissionDeniedError
from gateway.types import Headers, User
from tests.support.clock import FakeClock

KEY = "sk-gw-0123456789abcdef"
ALICE = User(name="alice", models=("gpt-4o*", "text-embedding-3-small"))


def entry(key: str = KEY, user: User = ALICE, expires: float | None = None) -> KeyEntry:
    return KeyEntry(sha256=hashlib.sha256(key.encode()).hexdigest(), user=user, expires=expires)


def with_keys(*entries: KeyEntry, clock: FakeClock | None = None) -> Authenticator:
    return Authenticator(entries, clock or FakeClock(), required=True)


@pytest.mark.parametrize(
    "headers",
    [
        ((b"Authorization", b"Bearer " + KEY.encode()),),
        ((b"authorization", b"bearer " + KEY.encode()),),
        ((b"AUTHORIZATION", b"BEARER   " + KEY.encode()),),
        ((b"api-key", KEY.encode()),),
        ((b"X-Api-Key", KEY.encode()),),
        ((b"Authorization", b"Bearer " + KEY.encode()), (b"api-key", KEY.encode())),
    ],
)
def test_credential_is_taken_from_each_header(headers: Headers) -> None:
    """A key is found in any of the three headers, `bearer` in any case, and in two that agree."""
    assert credential(headers) == KEY


@pytest.mark.parametrize(
    "headers",
    [
        ((b"Content-Type", b"application/json"),),
        ((b"Authorization", b"Basic dXNlcjpwYXNz"),),
        ((b"Authorization", b"Bearer"),),
        ((b"Authorization", b""),),
    ],
)
def test_no_credential(headers: Headers) -> None:
    """A request without a key, or with what is no bearer token, has none."""
    assert credential(headers) is None


def test_a_key_may_have_spaces_in_it() -> None:
    """Clients of a gateway that needs no key send whatever their authors wrote."""
    assert credential(((b"Authorization", b"Bearer none needed"),)) == "none needed"


@pytest.mark.parametrize(
    "headers",
    [
        ((b"Authorization", b"Bearer one-key"), (b"api-key", b"another-key")),
        ((b"Authorization", b"Bearer one-key"), (b"authorization", b"Bearer one-key")),
        ((b"x-api-key", b"one-key"), (b"X-API-Key", b"one-key")),
    ],
)
def test_ambiguous_credentials_are_refused(headers: Headers) -> None:
    """Two keys that differ, and two of one name, are 401."""
    with pytest.raises(AuthenticationError) as refused:
        credential(headers)

    assert refused.value.status == 401
    assert refused.value.code == "invalid_api_key"
    assert refused.value.headers == {"www-authenticate": "Bearer"}


def test_known_key_is_its_user() -> None:
    """A configured key's digest leads to its user."""
    assert with_keys(entry()).identify(KEY) is ALICE


def test_wrong_key_is_refused_without_being_told_back() -> None:
    """A wrong key is 401, and the reply does not hold it."""
    with pytest.raises(AuthenticationError) as refused:
        with_keys(entry()).identify("sk-gw-wrong-wrong-wrong")

    assert refused.value.code == "invalid_api_key"
    assert b"wrong-wrong" not in refused.value.body()


def test_keys_of_one_hash_are_told_apart() -> None:
    """A right key that was seen before lends its user to no other, whatever Python's 64-bit hash says of the two."""

    class Alike(str):
        __slots__ = ()

        def __hash__(self) -> int:
            return 1

    keys = with_keys(entry())
    assert keys.identify(Alike(KEY)) is ALICE
    with pytest.raises(AuthenticationError):
        keys.identify(Alike("sk-another"))


def test_missing_key_has_no_code() -> None:
    """A missing key is 401 with code null, as OpenAI says it."""
    with pytest.raises(AuthenticationError) as refused:
        with_keys(entry()).identify(None)

    assert refused.value.code is None
    assert b'"code": null' in refused.value.body()


def test_key_expires() -> None:
    """A key works until its time and not from then on."""
    clock = FakeClock(start=1000.0)
    auth = with_keys(entry(expires=1060.0), clock=clock)
    clock.advance(59)
    assert auth.identify(KEY) is ALICE

    clock.advance(1)

    with pytest.raises(AuthenticationError, match="expired"):
        auth.identify(KEY)


def test_without_keys_anybody_is_anonymous() -> None:
    """Where no key is needed, whatever key a client sends names nobody."""
    auth = Authenticator((), FakeClock(), required=False)

    assert auth.identify(None) is ANONYMOUS
    assert auth.identify("sk-dummy") is ANONYMOUS


def test_passed_through_keys_name_their_users() -> None:
    """The user of a key that goes up is `key-` and 12 hex digits of its digest."""
    auth = Authenticator((), FakeClock(), required=False, name_by_key=True)

    assert auth.identify("test").name == "key-9f86d081884c"
    assert auth.identify(None) is ANONYMOUS


def test_models_of_a_key() -> None:
    """A key's globs decide which models it may use."""
    permit_model(ALICE, "gpt-4o-mini")
    assert not may_use(ALICE, "o3")
    for model in ("o3", None):
        with pytest.raises(PermissionDeniedError) as refused:
            permit_model(ALICE, model)
        assert refused.value.code == "model_not_found"
        assert refused.value.param == "model"
    permit_model(ANONYMOUS, None)


def test_endpoints_that_one_account_shares() -> None:
    """With keys, a path that shows all of an account is refused unless it is listed."""
    auth = with_keys(entry())
    auth.permit_endpoint(ALICE, "POST", "/v1/chat/completions", shareable=True)
    with pytest.raises(PermissionDeniedError) as refused:
        auth.permit_endpoint(ALICE, "GET", "/v1/files", shareable=False)
    assert refused.value.code == "endpoint_not_allowed"

    admin = User(name="admin", endpoints=("GET /v1/files*",))

    auth.permit_endpoint(admin, "GET", "/v1/files/file-1", shareable=False)
    auth.permit_endpoint(admin, "POST", "/v1/chat/completions", shareable=True)
    with pytest.raises(PermissionDeniedError):
        auth.permit_endpoint(admin, "DELETE", "/v1/files/file-1", shareable=False)


def test_listed_endpoints_replace_the_default() -> None:
    """`auth.endpoints` says for every key what may be called."""
    auth = Authenticator((entry(),), FakeClock(), required=True, endpoints=("* /v1/batches*",))

    auth.permit_endpoint(ALICE, "GET", "/v1/batches", shareable=False)
    with pytest.raises(PermissionDeniedError):
        auth.permit_endpoint(ALICE, "POST", "/v1/embeddings", shareable=True)


def test_without_keys_every_endpoint_is_open() -> None:
    """Where nobody shares an account through keys, every path is relayed."""
    auth = Authenticator((), FakeClock(), required=False)

    auth.permit_endpoint(ANONYMOUS, "GET", "/v1/files", shareable=False)


def test_endpoint_globs() -> None:
    """A glob is matched against method and path, case and all."""
    assert matches_endpoint(("GET /v1/files/*",), "GET", "/v1/files/file-1/content")
    assert not matches_endpoint(("GET /v1/files/*",), "get", "/v1/files/x")


def test_unknown_model_reads_like_openais() -> None:
    """The words for a model that nobody has are OpenAI's own."""
    error = unknown_model("gpt-99")

    assert error.status == 404
    assert error.body() == (
        b'{"error": {"message": "The model `gpt-99` does not exist or you do not have access to it.",'
        b' "type": "invalid_request_error", "param": "model", "code": "model_not_found"}}'
    )
