"""Heads and chunks of replies as nearly all are: read without a parser; what a head's line says is remembered.

What is read is what llhttp would read, by the judgement of `framing.py`; what is in any way unusual is left to them.
"""

import re
from typing import Final, TypeVar

from gateway.types import Headers

MAX_HEAD_BYTES = 65_536
MAX_FIELDS = 256
# Far above any body; Python reads no number of thousands of digits, were they all zeros.
MAX_LENGTH_DIGITS = 18

KEEP_ALIVE_TIMEOUT = re.compile(rb"(?:^|[,;\s])timeout=([0-9]{1,9})")

T = TypeVar("T")

# Of lines: how many are remembered, and how long they may be.
_MAX_REMEMBERED = 2048
_MAX_LINE_BYTES = 256

# Statuses of 1xx, 204 and 304 end with their heads.
_STATUS = re.compile(rb"HTTP/1\.1 (?!204|304)([2-5][0-9]{2})(?: ([\t\x20-\x7e\x80-\xff]*))?")
_FIELD = re.compile(
    rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*"
    rb"([\x21-\x7e\x80-\xff](?:[\t\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?)[ \t]*"
)
_LENGTH = re.compile(rb"[0-9]{1,15}")

# No extension, no zero before; a chunk of more than 256 MiB is unusual.
_SIZE = re.compile(rb"0|[1-9a-fA-F][0-9a-fA-F]{0,6}")
_MAX_SIZE_BYTES = 9

# What a field says of the framing, and what becomes of the connection: each may say it once.
LENGTH: Final = 1
CHUNKED: Final = 2
CONNECTION: Final = 3
KEEP_ALIVE: Final = 4
ODD: Final = 5
# Names that llhttp or we read a meaning from.
_FRAMING = {
    b"content-length": LENGTH,
    b"transfer-encoding": CHUNKED,
    b"connection": CONNECTION,
    b"keep-alive": KEEP_ALIVE,
    b"proxy-connection": ODD,
    b"upgrade": ODD,
}

# Read anew each time: secrets are not kept.
_SECRET = (b"set-cookie", b"authorization", b"authentication-info")

# A field, what it says, and its number: the length, whether the connection closes, the seconds of keep-alive.
_Line = tuple[tuple[bytes, bytes], int, int | None]
# Status, reason, fields, length of the body (None: chunked), whether the connection stays and for how many seconds,
# and where the body begins.
Head = tuple[int, bytes, Headers, int | None, bool, int | None, int]


def plain_head(data: bytes) -> Head | None:
    """Return the head of a reply that begins with `data`; None where it is not whole, or not as most are."""
    end = data.find(b"\r\n\r\n")
    if end < 0 or end + 4 > MAX_HEAD_BYTES:
        return None
    start, *lines = data[:end].split(b"\r\n")
    status = _STATUSES[start]
    if status is None or len(lines) > MAX_FIELDS:
        return None
    headers = []
    framing: dict[int, int | None] = {}
    for line in lines:
        field, says, number = _LINES[line]
        headers.append(field)
        if says:
            if says in framing:
                return None
            framing[says] = number
    # Just one of the two: with neither the body ends with the connection.
    if ODD in framing or (LENGTH in framing) == (CHUNKED in framing):
        return None
    stays = not framing.get(CONNECTION)
    length, keepalive_seconds = framing.get(LENGTH), framing.get(KEEP_ALIVE)
    return (*status, tuple(headers), length, stays, keepalive_seconds, end + 4)


def plain_chunks(data: bytes) -> tuple[bytes, bool] | None:
    """Return the body's bytes in whole chunks, and whether the last chunk was among them; None for anything else."""
    size = len(data)
    line_end = data.find(b"\r\n", 1, _MAX_SIZE_BYTES)
    # One chunk to a read, as nearly always.
    if line_end > 0 and _SIZES[data[:line_end]] == size - line_end - 4 > 0 and data[-2:] == b"\r\n":
        return data[line_end + 2 : -2], False
    pieces: list[bytes] = []
    position = 0
    while position < size:
        line_end = data.find(b"\r\n", position, position + _MAX_SIZE_BYTES)
        length = _SIZES[data[position:line_end]] if line_end > 0 else -1
        begin = line_end + 2
        position = begin + length + 2
        if length < 0 or data[position - 2 : position] != b"\r\n":
            return None
        if length == 0:
            # The last chunk may be followed by a trailer.
            return (b"".join(pieces), True) if position == size else None
        pieces.append(data[begin : position - 2])
    return b"".join(pieces), False


class _Sizes(dict[bytes, int]):
    """The length of a chunk by what stands before its line's end; -1 for anything unusual."""

    def __missing__(self, text: bytes) -> int:
        size = int(text, 16) if _SIZE.fullmatch(text) else -1
        _remember(self, text, size)
        return size


class _Statuses(dict[bytes, tuple[int, bytes] | None]):
    """Status and reason by status line; None for an unusual one."""

    def __missing__(self, line: bytes) -> tuple[int, bytes] | None:
        match = _STATUS.fullmatch(line)
        status = None if match is None else (int(match[1]), match[2] or b"")
        _remember(self, line, status)
        return status


class _Lines(dict[bytes, _Line]):
    """What was read of a field's line."""

    def __missing__(self, line: bytes) -> _Line:
        read = _read(line)
        if not line.lower().startswith(_SECRET):
            _remember(self, line, read)
        return read


def _remember(memo: dict[bytes, T], line: bytes, read: T) -> None:
    if len(line) <= _MAX_LINE_BYTES:
        if len(memo) >= _MAX_REMEMBERED:
            memo.clear()
        memo[line] = read


def _read(line: bytes) -> _Line:
    match = _FIELD.fullmatch(line)
    if match is None:
        return (b"", b""), ODD, None
    name, value = match.groups()
    says = _FRAMING.get(name.lower(), 0)
    number: int | None = None
    if says == LENGTH:
        number = int(value) if _LENGTH.fullmatch(value) else None
    elif says == CHUNKED:
        number = 0 if value.lower() == b"chunked" else None
    elif says == CONNECTION:
        number = {b"keep-alive": 0, b"close": 1}.get(value.lower())
    elif says == KEEP_ALIVE:
        hint = KEEP_ALIVE_TIMEOUT.search(value.lower())
        return (name, value), says, int(hint[1]) if hint else None
    elif not says:
        return (name, value), 0, None
    return (name, value), ODD if number is None else says, number


_SIZES = _Sizes()
_STATUSES = _Statuses()
_LINES = _Lines()
