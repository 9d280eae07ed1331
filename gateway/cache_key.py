"""The key of a reply: a digest of everything that can change it."""

import hashlib
from collections.abc import Iterable, Sequence

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
_MAKE = b"1"

_encode = msgspec.json.Encoder(order="sorted").encode


def key_of(
    call: Call, targets: Sequence[Target], upward: Headers, *, scope: str, trimmed_turns: int
) -> str:
    """Return the key of the reply to `call`.

    The order of members and white space do not count, everything else in the body does. `upward`: the fields
    that go up; `scope`: whose calls share the reply; `trimmed_turns`: how much of the prompt does not go up.
    """
    places = sorted({f"{target.upstream} {target.model}" for target in targets})
    named = sorted(
        (name, value)
        for name, value in ((name.lower(), value.strip()) for name, value in upward)
        if name not in _NAMELESS and not name.startswith(_NAMELESS_PREFIXES)
    )
    return _digest(
        [
            _MAKE,
            call.target.encode("utf-8", "surrogateescape"),
            scope.encode("utf-8", "surrogateescape"),
            (call.end_user or "").encode("utf-8", "surrogateescape"),
            b"%d" % trimmed_turns,
            _encode(call.payload),
            _digest(place.encode("utf-8", "surrogateescape") for place in places).encode(),
            *(part for field in named for part in field),
        ]
    )


def _digest(parts: Iterable[bytes]) -> str:
    """Return the SHA-256 of `parts` in hex; each is told by its length, so that no two lists look alike."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(b"%d:" % len(part))
        digest.update(part)
    return digest.hexdigest()
