"""Which header fields cross, each way. Framing fields are re-made by whoever writes the message, never copied.

Names are judged in any spelling, an underscore as a hyphen: CGI-like servers read both as one name.
"""

import re
from enum import Enum
from typing import Final

from gateway.types import Headers

# Where a client's key may stand. None of them crosses: how a key goes up is each upstream's own business.
CREDENTIALS: Final = frozenset({b"authorization", b"api-key", b"x-api-key"})

# RFC 9110, 7.6.1, and what older software takes for hop-by-hop; `connection` and `proxy-` are told apart below.
_HOP_BY_HOP = frozenset(b"keep-alive te trailer transfer-encoding upgrade http2-settings".split())
_FRAMING = frozenset(b"host content-length expect".split())
# Who the client is and where it was: no business of a provider. The last line is what other proxies write.
_PRIVATE = frozenset(
    b"cookie cookie2 forwarded x-real-ip origin referer via "
    b"true-client-ip cf-connecting-ip x-client-ip x-cluster-client-ip fastly-client-ip".split()
)
# The caller sends the gateway's own id up under this name.
_REWRITTEN = frozenset({b"x-request-id"})
_ACCOUNT = frozenset({b"openai-organization", b"openai-project"})
_UPWARD = _HOP_BY_HOP | _FRAMING | _PRIVATE | _REWRITTEN | CREDENTIALS
_UPWARD_PREFIXES = (b"proxy-", b"x-forwarded-", b"x-gateway-")

_DOWNWARD = _HOP_BY_HOP | frozenset(b"set-cookie set-cookie2 alt-svc content-length".split())
_DOWNWARD_PREFIXES = (b"proxy-", b"x-gateway-")
_RATE_LIMIT_PREFIX = b"x-ratelimit-"
_CORS_PREFIX = b"access-control-"

# Fields that say how to read a body are for every recipient: `Connection` cannot take them off (RFC 9110, 7.6.1).
_END_TO_END_PREFIX = b"content-"
# Name no field.
_FREQUENT_OPTIONS = frozenset({b"keep-alive", b"Keep-Alive", b"close"})

# How many names are remembered with what becomes of them, and how long they may be.
_MAX_REMEMBERED = 1024
_MAX_REMEMBERED_BYTES = 64

# Content codings that can be read beside the untouched bytes (RFC 9110, 8.4.1), in the order of our liking.
_READABLE = (b"gzip", b"deflate", b"identity")
_REFUSED = re.compile(rb"\s*q\s*=\s*0(?:\.0*)?\s*", re.IGNORECASE)


class _Verdict(Enum):
    STAYS = "stays"
    CROSSES = "crosses"
    NARROWED = "narrowed"
    CONNECTION = "connection"


# Looked up for each field of each message; an enumeration's members are slow to reach.
_STAYS, _CROSSES, _NARROWED, _CONNECTION = _Verdict


class _Verdicts(dict[bytes, _Verdict]):
    """What becomes of a field, by its name as sent: by the rules the first time, by look-up from then on.

    No more than so many names are remembered, and none that are long.
    """

    def __init__(
        self, stay: frozenset[bytes], prefixes: tuple[bytes, ...], narrowed: bytes | None = None
    ) -> None:
        self._stay = stay
        self._prefixes = prefixes
        self._narrowed = narrowed

    def __missing__(self, name: bytes) -> _Verdict:
        verdict = self._judge(name)
        if len(name) <= _MAX_REMEMBERED_BYTES:
            if len(self) >= _MAX_REMEMBERED:
                self.clear()
            self[name] = verdict
        return verdict

    def _judge(self, name: bytes) -> _Verdict:
        plain = _plain(name)
        if plain == b"connection":
            return _CONNECTION
        if plain == self._narrowed:
            return _NARROWED
        stays = plain in self._stay or plain.startswith(self._prefixes)
        return _STAYS if stays else _CROSSES


def _plain(name: bytes) -> bytes:
    return name.lower().replace(b"_", b"-")


_UNDER_OUR_KEY = _Verdicts(_UPWARD | _ACCOUNT, _UPWARD_PREFIXES, b"accept-encoding")
_UNDER_THEIR_KEY = _Verdicts(_UPWARD, _UPWARD_PREFIXES, b"accept-encoding")
# By `own_limits` and `own_cors`.
_TO_CLIENT = {
    (False, False): _Verdicts(_DOWNWARD, _DOWNWARD_PREFIXES),
    (False, True): _Verdicts(_DOWNWARD, (*_DOWNWARD_PREFIXES, _CORS_PREFIX)),
    (True, False): _Verdicts(_DOWNWARD, (*_DOWNWARD_PREFIXES, _RATE_LIMIT_PREFIX)),
    (True, True): _Verdicts(_DOWNWARD, (*_DOWNWARD_PREFIXES, _RATE_LIMIT_PREFIX, _CORS_PREFIX)),
}


def upward(headers: Headers, *, own_key: bool, end_user_header: bytes | None = None) -> Headers:
    """Return the client's fields that go up, in their order and spelling; only `Accept-Encoding` is narrowed.

    `own_key`: the gateway's key goes up, so the account's organisation and project are not the client's to choose.
    `end_user_header`: the field in which a trusted app names its user; it stays here.
    """
    crossing = _cross(headers, _UNDER_OUR_KEY if own_key else _UNDER_THEIR_KEY)
    return crossing if end_user_header is None else _without(crossing, {_plain(end_user_header)})


def downward(headers: Headers, *, own_limits: bool = False, own_cors: bool = False) -> Headers:
    """Return the upstream's fields that go to the client, in their order and spelling.

    `own_limits`: the gateway's own x-ratelimit-* fields stand for the upstream's.
    `own_cors`: the gateway itself says which origins may read the reply.
    """
    return _cross(headers, _TO_CLIENT[own_limits, own_cors])


def _cross(headers: Headers, verdicts: _Verdicts) -> Headers:
    crossing = []
    named: set[bytes] = set()
    for field in headers:
        verdict = verdicts[field[0]]
        if verdict is _CROSSES:
            crossing.append(field)
        elif verdict is _NARROWED:
            crossing.append((field[0], _FREQUENT_CODINGS.get(field[1]) or _narrow(field[1])))
        elif verdict is _CONNECTION and field[1] not in _FREQUENT_OPTIONS:
            options = [_plain(option.strip()) for option in field[1].split(b",")]
            named.update(o for o in options if not o.startswith(_END_TO_END_PREFIX))
    return _without(tuple(crossing), named) if named else tuple(crossing)


def _without(headers: Headers, names: set[bytes]) -> Headers:
    lengths = {len(name) for name in names}
    return tuple([f for f in headers if len(f[0]) not in lengths or _plain(f[0]) not in names])


def _narrow(value: bytes) -> bytes:
    """Return an Accept-Encoding without the codings that we cannot read (RFC 9110, 12.5.3)."""
    kept = []
    changed = False
    elements = [element.strip() for element in value.split(b",")]
    codings = [element.partition(b";")[0].strip().lower() for element in elements]
    for element, coding in zip(elements, codings, strict=True):
        weight = element.partition(b";")[2]
        if coding == b"*" and not _REFUSED.fullmatch(weight):
            suffix = b";" + weight if weight else b""
            kept += [other + suffix for other in _READABLE if other not in codings]
            changed = True
        elif coding in _READABLE or coding in (b"x-gzip", b"*", b""):
            # A refusal of all that is not named may stand: it widens nothing.
            kept.append(element)
        else:
            changed = True
    if not changed:
        return value
    # An empty list would say the same, but not every server reads it so.
    return b", ".join(filter(None, kept)) or b"identity"


_FREQUENT_CODINGS = {
    value: _narrow(value)
    for value in (
        b"gzip, deflate",
        b"gzip, deflate, br",
        b"gzip, deflate, zstd",
        b"gzip, deflate, br, zstd",
        b"gzip,deflate",
        b"br, gzip, deflate",
        b"gzip",
        b"identity",
        b"*",
    )
}
