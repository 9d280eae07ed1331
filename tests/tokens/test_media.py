"""Images, clips and files in tokens."""

import base64
import struct

import pytest

from gateway.tokens.families import Patches, Tiles, family_of
from gateway.tokens.media import image_tokens, part_tokens, patch_tokens, tile_tokens

USUAL = Tiles(base_tokens=85, tile_tokens=170)


def url(width: int, height: int) -> str:
    head = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + struct.pack(">II", width, height) + bytes(5)
    return "data:image/png;base64," + base64.b64encode(head).decode()


@pytest.mark.parametrize(
    ("width", "height", "tokens"),
    [
        (1024, 1024, 765),
        (2048, 4096, 1105),
        (100, 100, 255),
        (1, 1, 255),
        (10_000, 1, 85 + 4 * 170),
    ],
)
def test_tiles(width: int, height: int, tokens: int) -> None:
    """The guide's own examples, and extremes."""
    assert tile_tokens(width, height, USUAL) == tokens


@pytest.mark.parametrize(
    ("width", "height", "hundredths", "tokens", "exact"),
    [
        (1024, 1024, 100, 1024 + 1, True),
        (1800, 2400, 100, 1452 + 1, False),
        (1200, 1600, 100, 1452 + 1, False),
        (800, 600, 162, 770 + 1, True),
        (1024, 1024, 120, 1229 + 1, True),
        (2048, 768, 120, 1844 + 1, True),
        (100_000, 1, 100, 1536 + 1, False),
    ],
)
def test_patches(width: int, height: int, hundredths: int, tokens: int, exact: bool) -> None:
    """The guide's examples, measured ones, and shrinking, which is not certain."""
    assert patch_tokens(width, height, Patches(hundredths=hundredths)) == (tokens, exact)


@pytest.mark.parametrize(
    ("model", "image", "expected"),
    [
        ("gpt-4o", {"url": url(1024, 1024)}, (765, True)),
        ("gpt-4o", {"url": url(1024, 1024), "detail": "low"}, (85, True)),
        ("gpt-4o", {"url": "https://example.com/a.png"}, (765, False)),
        ("gpt-4o", {"url": "data:image/png;base64,%%%%"}, (765, False)),
        ("gpt-4o", {"url": "data:image/png;base64"}, (765, False)),
        ("gpt-4o", {"url": None}, (765, False)),
        ("gpt-4.1-mini", {"url": url(64, 64), "detail": "low"}, (8, True)),
        ("gpt-4.1-mini", {"url": "https://example.com/a.png"}, (1660, False)),
    ],
)
def test_images(model: str, image: dict[str, object], expected: tuple[int, bool]) -> None:
    """An image whose bytes are there is measured, any other is taken as a usual one."""
    assert image_tokens(image, family_of(model)) == expected


CLIP = b"RIFF\0\0\0\0WAVEfmt " + struct.pack("<IHHIIHH", 16, 1, 1, 8000, 16000, 2, 16) + b"data"


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        (
            {
                "type": "input_audio",
                "input_audio": {
                    "data": base64.b64encode(CLIP + b"\0\x7d\0\0" + bytes(32_000)).decode()
                },
            },
            (10 * 2 + 4, True),
        ),
        ({"type": "input_audio", "input_audio": {"data": "SUQz"}}, (104, False)),
        ({"type": "input_image", "image_url": url(1024, 1024)}, (765, True)),
        ({"type": "file", "file": {"file_id": "f"}}, (2000, False)),
        ({"type": "hologram"}, (0, False)),
        ({}, (0, False)),
    ],
)
def test_parts(part: dict[str, object], expected: tuple[int, bool]) -> None:
    """Each kind of part has its rule; what has none is not exact."""
    assert part_tokens(part, family_of("gpt-4o")) == expected
