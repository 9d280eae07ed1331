"""A reply as it is kept: what a client needs of it again, and nothing that was the first caller's alone."""

import msgspec

from gateway.types import Headers, Usage

# Of an upstream's fields only these belong to the reply itself and not to one call: ids, limits, cookies and
# dates of the first caller are no business of the next.
KEPT_FIELDS = frozenset({b"content-type", b"content-encoding"})


class _About(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What stands before the body."""

    status: int
    fields: tuple[tuple[str, str], ...]
    stored_at: float
    usage: Usage | None
    cost_nanodollars: int | None


class Entry(msgspec.Struct, frozen=True, kw_only=True, weakref=True):
    """A kept reply: the upstream's own bytes, and what they came to when they were made."""

    status: int
    headers: Headers
    # Of an entry that was unpacked a view of the store's own bytes: a hit copies none of them.
    body: bytes | memoryview
    # Seconds since 1970.
    stored_at: float
    usage: Usage | None = None
    cost_nanodollars: int | None = None

    def is_of(self, value: bytes) -> bool:
        """Return whether it was unpacked from such a value."""
        return isinstance(self.body, memoryview) and self.body.obj == value


_decode = msgspec.json.Decoder(_About).decode


def kept_fields(headers: Headers) -> Headers:
    """Return those fields of a reply that every one who gets it may see."""
    return tuple(field for field in headers if field[0].lower() in KEPT_FIELDS)


def pack(entry: Entry) -> bytes:
    """Return `entry` as bytes: one line of JSON about it, then the body."""
    about = _About(
        status=entry.status,
        fields=tuple((n.decode("latin-1"), v.decode("latin-1")) for n, v in entry.headers),
        stored_at=entry.stored_at,
        usage=entry.usage,
        cost_nanodollars=entry.cost_nanodollars,
    )
    return msgspec.json.encode(about) + b"\n" + entry.body


def unpack(value: bytes) -> Entry | None:
    """Return what `pack` made bytes of; None where something else stands in the store."""
    line_bytes = value.find(b"\n")
    try:
        about = _decode(value[: max(0, line_bytes)])
    except msgspec.DecodeError:
        return None
    return Entry(
        status=about.status,
        headers=tuple((n.encode("latin-1"), v.encode("latin-1")) for n, v in about.fields),
        body=memoryview(value)[line_bytes + 1 :],
        stored_at=about.stored_at,
        usage=about.usage,
        cost_nanodollars=about.cost_nanodollars,
    )
