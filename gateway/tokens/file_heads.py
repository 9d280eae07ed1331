"""How large an image is and how long a clip, read from the head of its file: PNG, GIF, WebP, JPEG; WAV."""

import struct

_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_JPEG_BARE = frozenset((0x01, *range(0xD0, 0xD9)))


def image_size(head: bytes) -> tuple[int, int] | None:
    """Return width and height in pixels, None where they cannot be read."""
    try:
        size = _image_size(head)
    except (struct.error, IndexError):
        return None
    return size if size is not None and min(size) > 0 else None


def _image_size(head: bytes) -> tuple[int, int] | None:
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        width, height = struct.unpack_from(">II", head, 16)
    elif head.startswith((b"GIF87a", b"GIF89a")):
        width, height = struct.unpack_from("<HH", head, 6)
    elif head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return _webp_size(head)
    elif head.startswith(b"\xff\xd8"):
        return _jpeg_size(head)
    else:
        return None
    return width, height


def _webp_size(head: bytes) -> tuple[int, int] | None:
    match head[12:16]:
        case b"VP8 ":
            width, height = struct.unpack_from("<HH", head, 26)
            return width & 0x3FFF, height & 0x3FFF
        case b"VP8L":
            bits = _uint32(head, 21)
            return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
        case b"VP8X":
            return (
                int.from_bytes(head[24:27], "little") + 1,
                int.from_bytes(head[27:30], "little") + 1,
            )
        case _:
            return None


def _jpeg_size(head: bytes) -> tuple[int, int] | None:
    at = 2
    while head[at] == 0xFF:
        marker = head[at + 1]
        if marker in _JPEG_FRAMES:
            height, width = struct.unpack_from(">HH", head, at + 5)
            return width, height
        if marker == 0xFF:  # filling
            at += 1
        elif marker in _JPEG_BARE:
            at += 2
        else:
            (length,) = struct.unpack_from(">H", head, at + 2)
            at += 2 + max(length, 2)
    return None


def audio_seconds(head: bytes, file_bytes: int) -> float | None:
    """Return how long a WAV file of `file_bytes` plays, None where that cannot be read."""
    if not head.startswith(b"RIFF") or head[8:12] != b"WAVE":
        return None
    at, bytes_per_second = 12, 0
    try:
        while (kind := head[at : at + 4]) != b"data":
            if kind == b"fmt ":
                bytes_per_second = _uint32(head, at + 16)
            length = _uint32(head, at + 4)
            at += 8 + length + length % 2
        # Recorders that stream leave the length open.
        return min(_uint32(head, at + 4), file_bytes - at - 8) / bytes_per_second
    except (struct.error, ZeroDivisionError):
        return None


def _uint32(head: bytes, at: int) -> int:
    number: int = struct.unpack_from("<I", head, at)[0]
    return number
