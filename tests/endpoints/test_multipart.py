"""The `model` field of an upload, found on its way."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.endpoints.multipart import ModelField, boundary_of

BODY = (
    b"preamble\r\n--xYz\r\n"
    b'Content-Disposition: form-data; name="language"\r\n\r\nen\r\n'
    b"--xYz\r\n"
    b'content-disposition: form-data; name="model"\r\n\r\nwhisper-1\r\n'
    b"--xYz\r\n"
    b'Content-Disposition: form-data; name="file"; filename="a.wav"\r\n'
    b"Content-Type: audio/wav\r\n\r\n"
    b'RIFF\r\n--xY\r\nname="model"\r\n\r\nfake\r\n\x00\xff\r\n'
    b"--xYz--\r\n"
)


@pytest.mark.parametrize(
    ("content_type", "boundary"),
    [
        ("multipart/form-data; boundary=xYz", b"xYz"),
        ('Multipart/Form-Data; charset=utf-8; boundary="a b"', b"a b"),
        ("multipart/form-data", None),
        ("application/json; boundary=x", None),
        (None, None),
    ],
)
def test_boundary(content_type: str | None, boundary: bytes | None) -> None:
    """The boundary is read as RFC 2046 writes it."""
    assert boundary_of(content_type) == boundary


@given(st.lists(st.integers(0, len(BODY)), max_size=12))
def test_the_model_is_found_at_every_split(cuts: list[int]) -> None:
    """However the body is cut, the model is found, and nothing in a file is taken for it."""
    reader = ModelField(b"xYz")
    edges = [0, *sorted(cuts), len(BODY)]
    for start, end in itertools.pairwise(edges):
        reader.feed(BODY[start:end])

    assert reader.seen == ["whisper-1"]


def test_two_models_are_both_seen() -> None:
    """A second `model` field does not hide behind the first."""
    part = b'--b\r\nContent-Disposition: form-data; name="model"\r\n\r\n%b\r\n'
    reader = ModelField(b"b")
    reader.feed(part % b"allowed" + part % b"forbidden" + b"--b--\r\n")

    assert reader.seen == ["allowed", "forbidden"]


@given(st.lists(st.binary(max_size=2000), max_size=20))
def test_nothing_is_kept_and_nothing_raises(pieces: list[bytes]) -> None:
    """On any bytes the reader stays small and silent."""
    reader = ModelField(b"b")
    for piece in pieces:
        reader.feed(piece)
    reader.feed(b"--b\r\n" + b"x" * 100_000)

    assert len(reader._tail) < 20_000


def test_a_head_that_is_too_long_to_hold_is_ambiguous() -> None:
    """A part's name may stand behind any amount of its head: what is not held is not judged to be harmless."""
    field = ModelField(b"b")
    field.feed(b"--b\r\nX: " + b"x" * 9_000)
    field.feed(b'\r\nContent-Disposition: form-data; name="model"\r\n\r\nm\r\n--b--\r\n')

    assert field.ambiguous
