"""Kept replies as bytes."""

import pytest

from gateway.cache_entry import Entry, kept_fields, pack, unpack
from gateway.types import Usage

ENTRY = Entry(
    status=200,
    headers=((b"Content-Type", b"application/json; \xe9"),),
    body=b'{"a":\n1}\n\xff',
    stored_at=1_800_000_000.5,
    usage=Usage(input_tokens=8, output_tokens=2, estimated=True),
    cost_nanodollars=1200,
)


def test_an_entry_comes_back_as_it_was() -> None:
    """Every field and every byte survive the store."""
    assert unpack(pack(ENTRY)) == ENTRY


def test_an_entry_without_a_price_comes_back() -> None:
    """What is not known stays unknown."""
    bare = Entry(status=200, headers=(), body=b"", stored_at=1.0)

    assert unpack(pack(bare)) == bare


@pytest.mark.parametrize(
    "value", [b"", b"\n", b"garbage", b"{}\nbody", b"\xff\xfe\n", b'{"status":200,"more":1}\n']
)
def test_what_is_no_entry_is_a_miss(value: bytes) -> None:
    """Whatever else stands in a shared store is passed over."""
    assert unpack(value) is None


def test_only_what_belongs_to_the_reply_is_kept() -> None:
    """Ids, limits, cookies and dates of the first caller are not."""
    fields = (
        (b"Content-Type", b"text/event-stream"),
        (b"CONTENT-ENCODING", b"gzip"),
        (b"X-Request-Id", b"1"),
        (b"Set-Cookie", b"a=b"),
        (b"X-RateLimit-Remaining-Tokens", b"5"),
        (b"OpenAI-Organization", b"org"),
        (b"Date", b"now"),
    )

    assert kept_fields(fields) == fields[:2]
