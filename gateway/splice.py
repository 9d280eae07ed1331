"""Changes to a JSON body that touch no other byte: a member's value, elements of a list.

The bodies were judged before (strict JSON, an object, no name twice in one object): nothing is checked again here.
"""

import re
from collections.abc import Iterable
from typing import Literal

import msgspec

Name = Literal["model", "messages", "stream_options", "include_usage"]
_Value = msgspec.Raw | msgspec.UnsetType

# What may stand between two elements, and before the first.
_BLANKS = b" \t\r\n"
_DIVIDER = re.compile(rb"[ \t\r\n,]*")


class _Members(msgspec.Struct):
    """The members that may be changed, as they stand in the body; all others are skipped."""

    model: _Value = msgspec.UNSET
    messages: _Value = msgspec.UNSET
    stream_options: _Value = msgspec.UNSET
    include_usage: _Value = msgspec.UNSET


_members = msgspec.json.Decoder(_Members).decode
_elements = msgspec.json.Decoder(list[msgspec.Raw]).decode


def replace_member(body: bytes, name: Name, value: bytes) -> bytes:
    """Return `body` with the JSON text `value` as that of its member `name`; as it is where it has none."""
    found = _find(body, name)
    return body if found is None else body[: found[0]] + value + body[found[1] :]


def member(body: bytes, name: Name) -> bytes | None:
    """Return the JSON text of a member of the object `body`, None where it has none."""
    value: _Value = getattr(_members(body), name)
    return None if value is msgspec.UNSET else bytes(value)


def insert_member(body: bytes, text: bytes) -> bytes:
    """Return the object `body` with the JSON text of a member before all others."""
    begin = body.index(b"{") + 1
    empty = body[begin:].lstrip(_BLANKS).startswith(b"}")
    return body[:begin] + text + (b"" if empty else b",") + body[begin:]


def remove_elements(body: bytes, name: Name, indices: Iterable[int]) -> bytes:
    """Return `body` without those elements of the list `name`; what stands between the others stays."""
    found = _find(body, name)
    if found is None:
        return body
    spans = _spans(body, *found)
    gone = set(indices)
    staying = [index for index in range(len(spans)) if index not in gone]
    if len(staying) == len(spans):
        return body
    pieces = [body[: spans[0][0]]]
    for index in staying:
        begin, end = spans[index]
        # With what divides it from the element before it, unless that would be the first thing in the list.
        pieces.append(body[spans[index - 1][1] if len(pieces) > 1 else begin : end])
    return b"".join((*pieces, body[spans[-1][1] :]))


def _spans(body: bytes, start: int, stop: int) -> list[tuple[int, int]]:
    """Return where the elements of the list at `start` begin and end."""
    spans = []
    end = start + 1
    for element in _elements(body[start:stop]):
        begin = _begin(body, end)
        end = begin + len(memoryview(element))
        spans.append((begin, end))
    return spans


def _find(body: bytes, name: Name) -> tuple[int, int] | None:
    """Return where the value of a member of the outermost object begins and ends; None where there is none.

    Only the parser tells this member from others of its name, and strings that look like it, in time that no
    body can stretch. What it gives is a window on the bytes it was given, not their place: so the place is
    found by changing bytes, half of those in question at a time, and looking through the window.
    """
    scratch = bytearray(body)
    value: _Value = getattr(_members(scratch), name)
    if value is msgspec.UNSET:
        return None
    window = memoryview(value)
    low, high = 0, len(scratch)
    while high - low > 1:
        middle = (low + high) // 2
        mark = b"\0" if window[0] else b"\1"
        scratch[low:middle] = mark * (middle - low)
        if window[0] == mark[0]:
            high = middle
        else:
            low = middle
    return low, low + len(window)


def _begin(body: bytes, position: int) -> int:
    divider = _DIVIDER.match(body, position)
    return position if divider is None else divider.end()
