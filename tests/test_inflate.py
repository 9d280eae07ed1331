"""Content codings are undone piece by piece, within bounds."""

import gzip
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.inflate import MAX_RATIO, SLACK_BYTES, Inflater

TEXT = b"data: {}\n\n" * 500


def raw_deflate(data: bytes) -> bytes:
    deflate = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return deflate.compress(data) + deflate.flush()


CODINGS = {
    b"gzip": gzip.compress(TEXT),
    b" X-GZip ": gzip.compress(TEXT),
    b"deflate": zlib.compress(TEXT),
    b"Deflate": raw_deflate(TEXT),
    b"identity": TEXT,
    b"": TEXT,
}


def inflate(coding: bytes, *parts: bytes) -> tuple[bytes, Inflater]:
    inflater = Inflater(coding)
    return b"".join(piece for part in parts for piece in inflater.feed(part)), inflater


@pytest.mark.parametrize("coding", CODINGS, ids=repr)
@pytest.mark.parametrize("size", [1, 7, 1_000_000])
def test_codings_are_undone_at_any_split(coding: bytes, size: int) -> None:
    """The text comes out, and its end is known, however it came in."""
    body = CODINGS[coding]

    text, inflater = inflate(coding, *(body[i : i + size] for i in range(0, len(body), size)))

    assert text == TEXT
    assert (inflater.ended, inflater.failed) == (True, False)


def test_pieces_are_short() -> None:
    """What comes out comes in pieces of at most 32 KiB."""
    for coding, body in ((b"gzip", gzip.compress(TEXT * 30)), (b"identity", TEXT * 30)):
        pieces = list(Inflater(coding).feed(body))

        assert b"".join(pieces) == TEXT * 30
        assert max(map(len, pieces)) <= 32 * 1024


def test_gzip_members_follow_one_another() -> None:
    """Several members are one text, with zeros between them or after."""
    body = gzip.compress(b"a") + b"\0\0" + gzip.compress(b"") + gzip.compress(b"b") + b"\0"

    for parts in ([body], [body[i : i + 1] for i in range(len(body))]):
        text, inflater = inflate(b"gzip", *parts)

        assert text == b"ab"
        assert (inflater.ended, inflater.failed) == (True, False)


def test_a_member_that_is_cut_is_missed() -> None:
    """Where another member began and did not end, the text is not whole."""
    _, inflater = inflate(b"gzip", gzip.compress(b"a") + gzip.compress(b"b")[:-1])

    assert (inflater.ended, inflater.failed) == (False, False)


def test_what_follows_deflate_is_left() -> None:
    """Deflate has one end: what comes after it is not of the text."""
    text, inflater = inflate(b"deflate", zlib.compress(b"a") + b"b", b"cd")

    assert text == b"a"
    assert (inflater.ended, inflater.failed) == (True, False)


def test_nothing_stays_behind_in_the_decoder() -> None:
    """The last bytes come out too where they did not fit into the piece before."""
    for size in range(32 * 1024 - 2, 32 * 1024 + 300):
        text, inflater = inflate(b"deflate", raw_deflate(bytes(size)))

        assert len(text) == size
        assert inflater.ended


@pytest.mark.parametrize("coding", [b"gzip", b"deflate", b"Deflate"])
def test_a_cut_body_has_not_ended(coding: bytes) -> None:
    """A body without its last bytes is read as far as it goes, and is not whole."""
    text, inflater = inflate(coding, CODINGS[coding][:-1])

    assert TEXT.startswith(text)
    assert (inflater.ended, inflater.failed) == (False, False)


@pytest.mark.parametrize("coding", [b"br", b"zstd", b"gzip, gzip", b"compress", b"\xff"])
def test_other_codings_are_not_read(coding: bytes) -> None:
    """What cannot be undone gives nothing, and says so."""
    text, inflater = inflate(coding, TEXT)

    assert text == b""
    assert (inflater.ended, inflater.failed) == (False, True)


@pytest.mark.parametrize("coding", [b"gzip", b"deflate"])
def test_a_broken_body_fails(coding: bytes) -> None:
    """Bytes that are not of the coding are noticed and end the reading."""
    text, inflater = inflate(coding, b"\xff" * 100, CODINGS[coding])

    assert text == b""
    assert inflater.failed


def test_a_bomb_is_given_up() -> None:
    """What grows by more than a bomb's ratio is not inflated to its end."""
    zeros = bytes(50_000_000)

    for coding, body in ((b"gzip", gzip.compress(zeros)), (b"deflate", zlib.compress(zeros))):
        text, inflater = inflate(coding, body, body)

        assert inflater.failed
        assert len(text) <= SLACK_BYTES + MAX_RATIO * len(body)


@given(st.sampled_from([b"gzip", b"deflate"]), st.lists(st.binary(max_size=20), max_size=5))
def test_no_bytes_raise(coding: bytes, parts: list[bytes]) -> None:
    """Whatever comes is read or given up."""
    inflate(coding, *parts)
    inflate(coding, CODINGS[coding][:15], *parts)
