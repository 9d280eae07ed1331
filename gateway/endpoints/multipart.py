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

# RFC 2046, 5.1.1.
_BOUNDARY = re.compile(r"[0-9A-Za-z'()+_,\-./:=? ]{1,70}")
_PARAMETER = re.compile(rb'\s*;\s*([^\s;="]+)\s*=\s*("(?:[^"\\]|\\.)*"|[^\s;"]+)')
_DISPOSITION = re.compile(rb"form-data(?:%b)*\s*;?" % _PARAMETER.pattern, re.IGNORECASE)


def boundary_of(content_type: str | None) -> bytes | None:
    """Return the boundary of a multipart body, None where it has none.

    Raises InvalidRequestError where others could find another one.
    """
    kind, *parameters = (content_type or "").split(";")
    if not kind.strip().lower().startswith("multipart/form-data"):
        return None
    pairs = [parameter.partition("=") for parameter in parameters]
    found = [(name, value.strip()) for name, _, value in pairs if "boundary" in name.lower()]
    if not found:
        return None
    (name, value), *more = found
    boundary = value[1:-1] if len(value) > 1 and value[0] == value[-1] == '"' else value
    if more or name.strip().lower() != "boundary" or not _BOUNDARY.fullmatch(boundary):
        raise _ambiguous()
    return boundary.encode("ascii")


class ModelField:
    """Reads a multipart body piece by piece and notes every value of its `model` field.

    `seen` holds the values in order; a second, different one makes the body ambiguous, as does a part whose name
    is not written plainly: servers differ in which they take.
    """

    def __init__(self, boundary: bytes) -> None:
        self._delimiter = b"\r\n--" + boundary
        # As if a line end had come before: the first delimiter may open the body.
        self._tail = b"\r\n"
        self._state = self._skip
        self.seen: list[str] = []
        self.ambiguous = False

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
        self._state = self._line_end
        return True

    def _line_end(self) -> bool:
        """Read what stands behind a delimiter: a line end, else it ended the form or was none."""
        rest = self._tail.lstrip(b" \t")
        if len(rest) < 2 and len(self._tail) <= MAX_PART_HEAD_BYTES:
            return False
        self.ambiguous |= rest.startswith(b"\n")
        self._state = self._head if rest.startswith(b"\r\n") else self._skip
        self._tail = rest
        return True

    def _head(self) -> bool:
        """Read a part's header fields."""
        end = self._tail.find(b"\r\n\r\n")
        if end < 0 and len(self._tail) <= MAX_PART_HEAD_BYTES:
            return False
        name = _field_name(self._tail[2:end]) if end >= 0 else None
        self.ambiguous |= name is None
        self._tail = self._tail[max(0, end) + 2 :]
        self._state = self._value if name == b"model" else self._skip
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
    if field.ambiguous:
        raise _ambiguous()
    if len(set(field.seen)) > 1:
        raise InvalidRequestError(
            "The upload names more than one model.", code="invalid_value", param="model"
        )


def _field_name(head: bytes) -> bytes | None:
    """Return a part's name, None where its head does not say it plainly, and once."""
    lines = head.split(b"\r\n")
    if any(b"\r" in line or b"\n" in line or line[:1] in b" \t" for line in lines):
        return None
    fields = [line.partition(b":") for line in lines]
    found = [value for name, _, value in fields if name.strip().lower() == b"content-disposition"]
    if len(found) != 1 or not _DISPOSITION.fullmatch(found[0].strip()):
        return None
    parameters = [(key.lower(), value) for key, value in _PARAMETER.findall(found[0])]
    names = [value.strip(b'"') for key, value in parameters if key in (b"name", b"name*")]
    plain = len(names) == 1 and b"\\" not in names[0] and b"name*" not in dict(parameters)
    return names[0] if plain else None


def _ambiguous() -> InvalidRequestError:
    return InvalidRequestError("The form can be read in more than one way.", code="invalid_value")
