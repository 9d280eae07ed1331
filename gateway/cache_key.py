"""The key of a reply: a digest of everything that can change it."""

import hashlib
from collections.abc import Sequence

import msgspec

from gateway.types import Call, Headers, Target

# Fields that go up and cannot change what an answer says: who asks by which program, and which call it was.
# Any other field might, so it counts.
_NAMELESS = frozenset(
    b"user-agent content-type content-encoding cache-control pragma connection idempotency-key traceparent "
    b"tracestate baggage b3 x-client-request-id date dnt priority accept-language".split()
)
_NAMELESS_PREFIXES = (b"x-stainless-", b"x-b3-", b"sec-")
# Keys of another make of digest never meet these.
_MAKE = 2
# How many names are remembered with whether they count, and how long they may be.
_MAX_REMEMBERED = 1024
_MAX_REMEMBERED_BYTES = 64

_encode = msgspec.json.Encoder(order="sorted").encode


def key_of(
    call: Call, targets: Sequence[Target], upward: Headers, *, scope: str, trimmed_turns: int
) -> str:
    """Return the key of the reply to `call`.

    The order of members and white space do not count, everything else in the body does. `upward`: the fields
    that go up; `scope`: whose calls share the reply; `trimmed_turns`: how much of the prompt does not go up.
    """
    named = []
    for name, value in upward:
        counted = _COUNTED[name]
        if counted is not None:
            named.append((counted, value.strip()))
    named.sort()
    places = [(target.upstream, str(target.model)) for target in targets]
    if len(places) > 1:
        places = sorted(set(places))
    rest = (trimmed_turns, call.payload, places, named)
    texts = (call.target, scope, call.end_user or "")
    try:
        text = _encode((_MAKE, texts, *rest))
    except UnicodeEncodeError:
        # Bytes that are no UTF-8 are written in another way than text, and are told from it by their place.
        raw = [text.encode("utf-8", "surrogateescape") for text in texts]
        text = _encode((_MAKE, raw, "raw", *rest))
    return hashlib.sha256(text).hexdigest()


class _Counted(dict[bytes, bytes | None]):
    """By a field's name as sent how it counts: in lower case, or not at all."""

    def __missing__(self, name: bytes) -> bytes | None:
        lower = name.lower()
        counted = None
        if lower not in _NAMELESS and not lower.startswith(_NAMELESS_PREFIXES):
            counted = lower
        if len(name) <= _MAX_REMEMBERED_BYTES:
            if len(self) >= _MAX_REMEMBERED:
                self.clear()
            self[name] = counted
        return counted


_COUNTED = _Counted()
