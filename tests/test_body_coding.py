"""Which content types are JSON, and what compressed bodies hold."""

import gzip
import zlib

import pytest

from gateway.body_coding import check_content_coding, check_content_type, inflate
from gateway.errors import InvalidRequestError

CONTENT = b'{"model":"m"}'


def bare(content: bytes) -> bytes:
    """Return `content` as a deflate stream without zlib's wrapping."""
    deflator = zlib.compressobj(wbits=-15)
    return deflator.compress(content) + deflator.flush()


@pytest.mark.parametrize(
    "value",
    [
        "application/json",
        "Application/JSON; charset=UTF-8",
        'application/json;charset="utf-8"',
        "application/json ; version=1",
        "application/vnd.api+json",
    ],
)
def test_json_types_pass(value: str) -> None:
    """JSON by any of its names, in UTF-8, is taken."""
    check_content_type(value)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (None, "Unsupported Content-Type: expected 'application/json', but got none instead."),
        ("", "Unsupported Content-Type: expected 'application/json', but got none instead."),
        (
            "application/x-www-form-urlencoded",
            "Unsupported Content-Type: expected 'application/json', "
            "but got 'application/x-www-form-urlencoded' instead.",
        ),
        (
            "text/plain;application/json",
            "Unsupported Content-Type: expected 'application/json', but got 'text/plain' instead.",
        ),
        (
            "application/json; charset=latin-1",
            "Unsupported charset: expected 'utf-8', but got 'latin-1' instead.",
        ),
    ],
)
def test_other_types_are_415(value: str | None, message: str) -> None:
    """What a web page could send across sites unasked, or another charset, is refused."""
    with pytest.raises(InvalidRequestError) as caught:
        check_content_type(value)
    error = caught.value
    assert (error.status, error.code, error.message) == (415, "unsupported_media_type", message)


@pytest.mark.parametrize(
    ("coding", "body"),
    [
        ("identity", CONTENT),
        ("gzip", gzip.compress(CONTENT)),
        ("GZIP ", gzip.compress(CONTENT[:5]) + gzip.compress(b"") + gzip.compress(CONTENT[5:])),
        ("x-gzip", gzip.compress(CONTENT)),
        ("deflate", zlib.compress(CONTENT)),
        ("deflate", bare(CONTENT)),
    ],
)
def test_known_codings_are_undone(coding: str, body: bytes) -> None:
    """Gzip of several members, and deflate in both its readings, give the content."""
    check_content_coding(coding)
    assert inflate(body, coding, len(CONTENT)) == CONTENT


def test_a_body_longer_than_a_slice_is_whole() -> None:
    """Content that comes in many slices is put together in order."""
    content = bytes(range(256)) * 4_000
    noise = b"".join(zlib.crc32(b"%d" % i).to_bytes(4, "big") for i in range(20_000))
    assert inflate(gzip.compress(noise + content), "gzip", 2_000_000) == noise + content


@pytest.mark.parametrize("coding", ["br", "zstd", "gzip, gzip", "compress"])
def test_other_codings_are_415(coding: str) -> None:
    """A coding that we cannot look into is refused."""
    with pytest.raises(InvalidRequestError) as caught:
        check_content_coding(coding)
    assert (caught.value.status, caught.value.code) == (415, "unsupported_media_type")


@pytest.mark.parametrize(
    ("coding", "body"),
    [
        ("gzip", gzip.compress(bytes(10_000_000))),
        ("gzip", gzip.compress(bytes(600)) * 2),
        ("deflate", zlib.compress(bytes(1_001))),
    ],
)
def test_content_above_the_limit_is_413(coding: str, body: bytes) -> None:
    """A bomb is inflated no further than the limit."""
    with pytest.raises(InvalidRequestError) as caught:
        inflate(body, coding, 1_000)
    assert (caught.value.status, caught.value.code) == (413, "request_too_large")


@pytest.mark.parametrize(
    ("coding", "body"),
    [
        ("gzip", b""),
        ("gzip", b"plain"),
        ("gzip", gzip.compress(CONTENT)[:-1]),
        ("gzip", gzip.compress(CONTENT) + b"more"),
        ("gzip", gzip.compress(CONTENT)[:-8] + bytes(8)),
        ("gzip", gzip.compress(b"") * 1_001),
        ("deflate", b""),
        ("deflate", zlib.compress(CONTENT)[:-1]),
        ("deflate", zlib.compress(CONTENT) * 2),
        ("deflate", b"\xff\xff"),
    ],
)
def test_cut_or_corrupt_bodies_are_400(coding: str, body: bytes) -> None:
    """What does not inflate whole, checksum included, is refused."""
    with pytest.raises(InvalidRequestError) as caught:
        inflate(body, coding, 1_000)
    assert (caught.value.status, caught.value.code) == (400, "invalid_json")
