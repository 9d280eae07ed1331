"""Keys: equal for equal calls, different for all others."""

from collections.abc import Mapping

import pytest

from gateway.cache_key import key_of
from gateway.json_body import decode
from gateway.types import Call, Headers, Target

BODY = b'{"model":"m","messages":[{"role":"user","content":"hi"}],"temperature":0,"n":1}'
UP = (Target(upstream="a", model="m"), Target(upstream="b", model="m"))
FIELDS: Headers = ((b"Accept-Encoding", b"gzip"), (b"OpenAI-Beta", b"x"))


def key(
    body: bytes = BODY,
    *,
    path: str = "/chat/completions",
    targets: tuple[Target, ...] = UP,
    fields: Headers = FIELDS,
    scope: str = "alice",
    end_user: str | None = None,
    trimmed: int = 0,
) -> str:
    payload: Mapping[str, object] = decode(body)
    call = Call(
        endpoint="/v1" + path, method="POST", target=path, headers=(), body=body, payload=payload,
        end_user=end_user,
    )  # fmt: skip
    return key_of(call, targets, fields, scope=scope, trimmed_turns=trimmed)


def test_a_key_is_a_digest() -> None:
    """It is SHA-256 in hex, and says nothing of the call."""
    assert len(key()) == 64
    assert set(key()) <= set("0123456789abcdef")


@pytest.mark.parametrize(
    "other",
    [
        key(
            b' {"n" : 1, "temperature":0,"messages":\n[{"content":"h\\u0069","role":"user"}],"model":"m"}'
        ),
        key(targets=UP[::-1]),
        key(targets=(*UP, UP[0])),
        key(fields=FIELDS[::-1]),
        key(fields=(*FIELDS, (b"User-Agent", b"x"), (b"X-Stainless-Lang", b"python"))),
        key(fields=(*FIELDS, (b"Idempotency-Key", b"1"), (b"traceparent", b"00-1"))),
        key(fields=((b"accept-encoding", b" gzip"), (b"openai-beta", b"x"))),
    ],
)
def test_what_cannot_change_an_answer_does_not_count(other: str) -> None:
    """Order, white space, spelling, and which program asks."""
    assert other == key()


@pytest.mark.parametrize(
    "other",
    [
        key(BODY.replace(b"hi", b"ho")),
        key(BODY.replace(b'"n":1', b'"n":2')),
        key(BODY.replace(b'"n":1', b'"n":1.0')),
        key(BODY.replace(b'"n":1', b'"n":null')),
        key(BODY.replace(b'"n":1', b'"n":"1"')),
        key(BODY.replace(b'"n":1', b'"n":true')),
        key(BODY.replace(b'"n":1', b'"vendor":1')),
        key(BODY.replace(b'"n":1', b'"stream":true')),
        key(BODY.replace(b',"n":1', b"")),
        key(path="/completions"),
        key(path="/chat/completions?x"),
        key(targets=UP[:1]),
        key(targets=(UP[0], Target(upstream="b", model="other"))),
        key(fields=FIELDS[:1]),
        key(fields=((b"Accept-Encoding", b"identity"), FIELDS[1])),
        key(fields=(*FIELDS, (b"X-Custom", b"1"))),
        key(fields=(*FIELDS, (b"OpenAI-Organization", b"org"))),
        key(scope="bob"),
        key(end_user="eve"),
        key(trimmed=2),
    ],
)
def test_what_can_change_an_answer_counts(other: str) -> None:
    """Path, caller, places, every member of the body, the fields that go up."""
    assert other != key()


def test_parts_cannot_be_moved_into_one_another() -> None:
    """Where one part ends and the next begins is part of the key."""
    assert key(scope="ab", end_user="c") != key(scope="a", end_user="bc")
    assert key(fields=((b"a", b"bc"),)) != key(fields=((b"ab", b"c"),))
    assert key(fields=((b"a", b"b"), (b"c", b"d"))) != key(fields=((b"a", b"bcd"),))
