"""Sizes and lengths from the heads of files."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.tokens.file_heads import audio_seconds, image_size

PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + struct.pack(">II", 640, 480)
FRAME = b"\xff\xc0\x00\x11\x08" + struct.pack(">HH", 480, 640)
JPEG = b"\xff\xd8\xff\xe0\x00\x10" + bytes(14) + b"\xff\xff" + FRAME[1:]
FORMAT = b"fmt " + struct.pack("<IHHIIHH", 16, 1, 1, 8000, 16000, 2, 16)


@pytest.mark.parametrize(
    ("head", "size"),
    [
        (PNG, (640, 480)),
        (b"GIF89a" + struct.pack("<HH", 640, 480), (640, 480)),
        (b"RIFF\0\0\0\0WEBPVP8 " + bytes(10) + struct.pack("<HH", 640, 480), (640, 480)),
        (
            b"RIFF\0\0\0\0WEBPVP8L" + bytes(4) + b"\x2f" + struct.pack("<I", 639 | 479 << 14),
            (640, 480),
        ),
        (b"RIFF\0\0\0\0WEBPVP8X" + bytes(8) + b"\x7f\x02\0\xdf\x01\0", (640, 480)),
        (JPEG, (640, 480)),
        (b"\xff\xd8\xff\x01" + FRAME, (640, 480)),
        (b"\xff\xd8" + bytes(100), None),
        (PNG[:20], None),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(8), None),
        (b"RIFF\0\0\0\0WEBPVP9 " + bytes(20), None),
        (b"BM" + bytes(50), None),
        (b"", None),
    ],
)
def test_image_sizes(head: bytes, size: tuple[int, int] | None) -> None:
    """Width and height of the usual kinds; nothing for a head that is cut, empty or unknown."""
    assert image_size(head) == size


@pytest.mark.parametrize(
    ("head", "file_bytes", "seconds"),
    [
        (b"RIFF\0\0\0\0WAVE" + FORMAT + b"data" + struct.pack("<I", 32000), 40000, 2.0),
        (b"RIFF\0\0\0\0WAVE" + FORMAT + b"data\xff\xff\xff\xff", 44 + 16000, 1.0),
        (
            b"RIFF\0\0\0\0WAVE" + FORMAT + b"LIST\x03\0\0\0abc\0data" + struct.pack("<I", 8000),
            40000,
            0.5,
        ),
        (b"RIFF\0\0\0\0WAVE" + FORMAT, 44, None),
        (b"RIFF\0\0\0\0WAVEdata\x01\0\0\0", 44, None),
        (b"ID3", 44, None),
    ],
)
def test_audio_lengths(head: bytes, file_bytes: int, seconds: float | None) -> None:
    """How long a WAV file plays, its length left open or not; nothing for others."""
    assert audio_seconds(head, file_bytes) == seconds


@given(
    start=st.sampled_from(
        [PNG[:16], JPEG[:2], b"GIF89a", b"RIFF\0\0\0\0WEBPVP8X", b"RIFF....WAVE"]
    ),
    rest=st.binary(max_size=200),
)
def test_no_head_raises(start: bytes, rest: bytes) -> None:
    """Whatever follows a known beginning is read or given up."""
    image_size(start + rest)
    audio_seconds(start + rest, 100)
