"""Images and audio in tokens, from the first bytes of what a request carries; nothing is fetched or decoded whole.

Sources: OpenAI's guides "Images and vision" and "Audio"; factors corrected by recorded requests where those differ.
"""

import base64
import binascii
import math

from gateway.tokens.families import Family, Patches, Tiles
from gateway.tokens.file_heads import audio_seconds, image_size
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
# Products of floats that should be whole numbers are a little off.
_ROUNDING = 1e-9
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
    """Return the tokens of an `image_url` object, and whether the number is exact."""
    rule = family.image
    if isinstance(rule, Tiles) and image.get("detail") == "low":
        return rule.base_tokens, True
    size = image_size(_data_of(as_text(image.get("url"))))
    width, height = size or GUESSED_IMAGE_PIXELS
    if isinstance(rule, Patches):
        tokens, exact = patch_tokens(width, height, rule)
        return tokens, exact and size is not None
    return tile_tokens(width, height, rule), size is not None


def tile_tokens(width: int, height: int, rule: Tiles) -> int:
    """Return the tokens of an image counted by tiles, in pixels."""
    scale = min(1.0, _MAX_SIDE_PIXELS / max(width, height))
    scale = min(scale, _SHORT_SIDE_PIXELS / min(width, height))
    tiles = [max(1, math.ceil(side * scale / _TILE_PIXELS - _ROUNDING)) for side in (width, height)]
    return rule.base_tokens + rule.tile_tokens * tiles[0] * tiles[1]


def patch_tokens(width: int, height: int, rule: Patches) -> tuple[int, bool]:
    """Return the tokens of an image counted by patches, in pixels; not exact where it had to be shrunk."""
    across, down = width / _PATCH_PIXELS, height / _PATCH_PIXELS
    fits = math.ceil(across) * math.ceil(down) <= rule.max_patches
    if not fits:
        # Shrunk to the cap, then a little more until one side is a whole number of patches.
        shrink = math.sqrt(rule.max_patches / (across * down))
        across, down = across * shrink, down * shrink
        trim = min(max(1, math.floor(side)) / side for side in (across, down))
        across, down = max(1.0, across * trim), max(1.0, down * trim)
    patches = math.ceil(across - _ROUNDING) * math.ceil(down - _ROUNDING)
    return -(-min(patches, rule.max_patches) * rule.hundredths // 100) + 1, fits


def audio_tokens(clip: Object) -> tuple[int, bool]:
    """Return the tokens of an `input_audio` object."""
    seconds = audio_seconds(
        _decoded(as_text(clip.get("data"))), len(as_text(clip.get("data"))) * 3 // 4
    )
    known = seconds is not None
    length = seconds if seconds is not None else GUESSED_SECONDS
    return math.floor(_TOKENS_PER_SECOND * length + _ROUNDING) + _AUDIO_CLIP, known


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
