"""Images and audio in tokens, from the first bytes of what a request carries; nothing is fetched or decoded whole.

Sources: OpenAI's guides "Images and vision" and "Audio"; factors corrected by recorded requests where those differ.
"""

import base64
import binascii
import math

from gateway.tokens.families import Family, Patches, Tiles
from gateway.tokens.headers import audio_seconds, image_size
from gateway.tokens.values import Object, as_object, as_text

# An image of unknown size is taken as one of the usual kind, a clip as one of some seconds, a file as some pages.
GUESSED_IMAGE_PIXELS = (1024, 1024)
GUESSED_SECONDS = 10.0
GUESSED_FILE_TOKENS = 2000

_PATCH_PIXELS = 32
_TILE_PIXELS = 512
_MAX_SIDE_PIXELS = 2048
_SHORT_SIDE_PIXELS = 768
_TOKENS_PER_SECOND = 10
_AUDIO_CLIP = 4
# A JPEG's size stands after its metadata, thumbnails included.
_HEAD_CHARACTERS = 256 * 1024


def part_tokens(part: Object, family: Family) -> tuple[int, bool]:
    """Return the tokens of a message's part that is no text, and whether the number is exact."""
    match part.get("type"):
        case "image_url" | "input_image":
            source = part.get("image_url")
            image = source if isinstance(source, dict) else {**part, "url": source}
            return image_tokens(image, family)
        case "input_audio":
            return audio_tokens(as_object(part.get("input_audio")))
        case "file" | "input_file":
            return GUESSED_FILE_TOKENS, False
        case _:
            return 0, False


def image_tokens(image: Object, family: Family) -> tuple[int, bool]:
    """Return the tokens of an `image_url` object."""
    size = image_size(_data_of(as_text(image.get("url"))))
    rule = family.image
    if isinstance(rule, Tiles) and image.get("detail") == "low":
        return rule.base_tokens, True
    width, height = size or GUESSED_IMAGE_PIXELS
    if isinstance(rule, Patches):
        return patch_tokens(width, height, rule), size is not None
    return tile_tokens(width, height, rule or Tiles(base_tokens=85, tile_tokens=170)), (
        size is not None and rule is not None
    )


def tile_tokens(width: int, height: int, rule: Tiles) -> int:
    """Return the tokens of an image counted by tiles, in pixels."""
    scale = min(1.0, _MAX_SIDE_PIXELS / max(width, height))
    scale = min(scale, _SHORT_SIDE_PIXELS / min(width, height))
    tiles = [max(1, math.ceil(side * scale / _TILE_PIXELS - 1e-9)) for side in (width, height)]
    return rule.base_tokens + rule.tile_tokens * tiles[0] * tiles[1]


def patch_tokens(width: int, height: int, rule: Patches) -> int:
    """Return the tokens of an image counted by patches, in pixels."""
    patches = math.ceil(width / _PATCH_PIXELS) * math.ceil(height / _PATCH_PIXELS)
    return -(-min(patches, rule.max_patches) * rule.hundredths // 100) + 1


def audio_tokens(clip: Object) -> tuple[int, bool]:
    """Return the tokens of an `input_audio` object."""
    seconds = audio_seconds(
        _decoded(as_text(clip.get("data"))), len(as_text(clip.get("data"))) * 3 // 4
    )
    known = seconds is not None
    length = seconds if seconds is not None else GUESSED_SECONDS
    return math.floor(_TOKENS_PER_SECOND * length + 1e-9) + _AUDIO_CLIP, known


def _data_of(url: str) -> bytes:
    if not url.startswith("data:"):
        return b""
    head, comma, data = url[:_HEAD_CHARACTERS].partition(",")
    return _decoded(data) if comma and head.endswith(";base64") else b""


def _decoded(text: str) -> bytes:
    """Return what the first characters of a base64 text stand for, b"" where they are none."""
    head = text[:_HEAD_CHARACTERS]
    try:
        return base64.b64decode(head[: len(head) // 4 * 4])
    except (binascii.Error, ValueError):
        return b""
