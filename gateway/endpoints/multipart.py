"""A sans-IO look into an upload on its way: the value of its `model` field (RFC 7578), nothing kept of the rest.

The body goes up as it came; here is only read along, because a key may be allowed some models alone and several
upstreams have different ones.
"""

import re
from collections.abc import AsyncIterator

from gateway.errors import InvalidRequestError

# How much of an upload is held while its model is looked for; the SDKs send the fields before the file.
PEEK_BYTES = 65_536
# A part's head, and the value of `model`, are small; what is larger is not one we look for.
MAX_PART_HEAD_BYTES = 8_192
MAX_VALUE_BYTES = 512

_BOUNDARY = re.compile(r'boundary=(?:"([^"]{1,70})"|([^\s;",]{1,70}))', re.IGNORECASE)
_NAME = re.compile(rb'\bname=(?:"([^"]*)"|([^\s;"]+))', re.IGNORECASE)


def boundary_of(content_type: str | None) -> bytes | None:
    """Return the boundary of a multipart body, None where it is none."""
    if not (content_type or "").lower().startswith("multipart/form-data"):
        return None
    found = _BOUNDARY.search(content_type or "")
    return (found.group(1) or found.group(2)).encode("latin-1") if found else None


class ModelField:
    """Reads a multipart body piece by piece and notes every value of its `model` field.

    `seen` holds the values in order; a second, different one makes the body ambiguous: servers differ in which
    they take.
    """

    def __init__(self, boundary: bytes) -> None:
        self._delimiter = b"\r\n--" + boundary
        # As if a line end had come before: the first delimiter may open the body.
        self._tail = b"\r\n"
        self._state = self._skip
        self.seen: list[str] = []

    def feed(self, data: bytes) -> None:
        """Take the next bytes; never raises."""
        self._tail += data
        while self._state():
            pass

    def _skip(self) -> bool:
        """Drop bytes up to the next delimiter; keep what may be the beginning of one."""
        at = self._tail.find(self._delimiter)
        if at < 0:
            self._tail = self._tail[-(len(self._delimiter) - 1) :]
            return False
        self._tail = self._tail[at + len(self._delimiter) :]
        self._state = self._head
        return True

    def _head(self) -> bool:
        """Read a part's header fields."""
        end = self._tail.find(b"\r\n\r\n")
        if end < 0:
            if len(self._tail) <= MAX_PART_HEAD_BYTES:
                return False
            self._state = self._skip
            return True
        head, self._tail = self._tail[:end], self._tail[end + 2 :]
        self._state = self._value if _field_name(head) == b"model" else self._skip
        return True

    def _value(self) -> bool:
        """Read the value of `model`: up to the next delimiter."""
        end = self._tail.find(self._delimiter)
        if end < 0 and len(self._tail) <= MAX_VALUE_BYTES + len(self._delimiter):
            return False
        value = self._tail[2 : end if end >= 0 else MAX_VALUE_BYTES]
        self.seen.append(value.decode("utf-8", "replace").strip())
        self._state = self._skip
        return True


async def read_model(
    pieces: AsyncIterator[bytes], boundary: bytes
) -> tuple[str | None, AsyncIterator[bytes]]:
    """Return the model that an upload names early on, None where it does not, and the whole of its pieces again.

    Raises InvalidRequestError, now or from the pieces, where a second `model` field says something else.
    """
    field = ModelField(boundary)
    held = []
    size = 0
    async for piece in pieces:
        field.feed(piece)
        held.append(piece)
        size += len(piece)
        if field.seen or size >= PEEK_BYTES:
            break
    _check_single(field)
    return (field.seen[0] if field.seen else None), _whole(held, pieces, field)


async def _whole(
    held: list[bytes], pieces: AsyncIterator[bytes], field: ModelField
) -> AsyncIterator[bytes]:
    for piece in held:
        yield piece
    held.clear()
    async for piece in pieces:
        field.feed(piece)
        _check_single(field)
        yield piece


def _check_single(field: ModelField) -> None:
    if len(set(field.seen)) > 1:
        raise InvalidRequestError(
            "The upload names more than one model.", code="invalid_value", param="model"
        )


def _field_name(head: bytes) -> bytes | None:
    for line in head.split(b"\r\n"):
        if line.lower().startswith(b"content-disposition:"):
            found = _NAME.search(line)
            return (found.group(1) or found.group(2)) if found else None
    return None
