"""Request bodies judged and decoded: strict JSON, at a bounded cost.

The original bytes go upstream: what two readers could understand differently is refused here.
What the members mean is `validation`'s business; what the bytes are, `body_coding`'s.
"""

import json
from collections.abc import Awaitable, Callable, Collection, Generator, Iterable

import msgspec

from gateway import json_skeleton as skeleton
from gateway.errors import InvalidRequestError, shown

MAX_DEPTH = 100
MAX_CONTAINERS = 50_000
MAX_STRINGS = 50_000
# Members of all objects together: what is done with each of them later takes longer than decoding.
MAX_NAMES = 25_000
MAX_FLOATS = 10_000
# OpenAI takes 300,000 tokens in one embeddings request, and each may come as a number.
MAX_VALUES = 320_000
# Parsing an integer costs the square of its digits: runs this long, and how many one body may hold.
LONG_RUN_DIGITS = 320
MAX_LONG_RUNS = 100
# One character beyond the basic plane makes every character of its text four bytes wide in memory.
MAX_WIDE_TEXT_BYTES = 8 * 1024 * 1024
# What takes a parser longer than its size says: blanks between values, and escapes, each looked at by itself.
MAX_BLANK_BYTES = 4 * 1024 * 1024
# The values that a body may hold, in their longest usual spelling, and as many blanks.
MAX_OUTSIDE_BYTES = 12 * 1024 * 1024
MAX_ESCAPES = 3_000_000

# A body of this size is decoded unseen: the worst takes 5 ms and 1.5 MiB.
SMALL_BYTES = 64 * 1024
_WIDE_BYTES = (b"\xf0", b"\xf1", b"\xf2", b"\xf3", b"\xf4")
_CONTAINERS = frozenset((dict, list))
_LONG = 64
_WIDE_ESCAPES = (b"\\ud", b"\\uD")


def decode(body: bytes) -> dict[str, object]:
    """Return the JSON object that `body` is.

    Stricter than RFC 8259: no name twice in an object, no lone surrogate, no number that overflows.
    Raises InvalidRequestError: 400 `invalid_json`, `invalid_type` (not an object) or `too_complex`.
    """
    if len(body) > SMALL_BYTES:
        return _drained(_decoding(body))
    try:
        payload = _decode_small(body)
    except _UNREADABLE as error:
        raise _unreadable(body, error) from None
    if type(payload) is not dict:
        raise _no_object()
    marks = skeleton.marks(body)
    # Each name has its colon: one more outside the strings is a name that came twice.
    colons = marks.count(b":")
    if colons != _count_names(payload, len(marks) - colons):
        raise _duplicate_name(body)
    return payload


async def decode_in_turns(body: bytes, turn: Callable[[], Awaitable[None]]) -> dict[str, object]:
    """Do the same with a large body step by step, and await `turn` before each."""
    steps = _decoding(body)
    while True:
        await turn()
        try:
            next(steps)
        except StopIteration as end:
            return _payload_of(end)


def _drained(steps: Generator[None, None, dict[str, object]]) -> dict[str, object]:
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return _payload_of(end)


def _payload_of(end: StopIteration) -> dict[str, object]:
    payload: dict[str, object] = end.value
    return payload


def _decoding(body: bytes) -> Generator[None, None, dict[str, object]]:
    """Judge and decode a large body; what is done between two yields cannot be divided."""
    outside = yield from _judging(body)
    yield
    try:
        payload = msgspec.json.Decoder(float_hook=_FewFloats()).decode(body)
    except _UNREADABLE as error:
        raise _unreadable(body, error) from None
    if type(payload) is not dict:
        raise _no_object()
    yield
    names = _count_names(payload, skeleton.count(outside, b"{") + skeleton.count(outside, b"["))
    if names > MAX_NAMES:
        raise _too_complex(f"more than {MAX_NAMES:,} members of objects")
    if names != skeleton.count(outside, b":"):
        yield
        if names != _count_colons(body, payload):
            raise _duplicate_name(body)
    return payload


def _judging(body: bytes) -> Generator[None, None, bytes]:
    """Raise `too_complex` where decoding would cost far more time or memory than the body's size.

    Return a text that holds all that stands outside the body's strings, and perhaps more.
    """
    if len(body) > MAX_ESCAPES:
        if skeleton.count(body, b"\\") > MAX_ESCAPES:
            raise _too_complex(f"more than {MAX_ESCAPES:,} escaped characters")
        yield
    outside = skeleton.by_hops(body)
    if outside is None and not _excess(body, MAX_STRINGS):
        outside = body
    else:
        if outside is None:
            yield
            plain = skeleton.without_escaped_quotes(body)
            yield
            outside = b'"'.join(_split(plain)[::2])
        yield
        if excess := _excess(outside, MAX_VALUES):
            raise _too_complex(excess)
    if len(body) > MAX_WIDE_TEXT_BYTES:
        yield
        if _is_wide(body):
            plain = skeleton.without_escaped_quotes(body)
            yield
            _refuse_wide_text(_split(plain)[1::2])
    return outside


def _excess(outside: bytes, max_values: int) -> str | None:
    """Return what `outside` holds too much of; the bounds that are looked at fastest go first."""
    if len(outside) > MAX_OUTSIDE_BYTES:
        return f"more than {MAX_OUTSIDE_BYTES >> 20} MiB beside its strings"
    if len(outside) > MAX_BLANK_BYTES and skeleton.count_blanks(outside) > MAX_BLANK_BYTES:
        return f"more than {MAX_BLANK_BYTES >> 20} MiB of blanks between its values"
    if skeleton.count(outside, b"{") + skeleton.count(outside, b"[") > MAX_CONTAINERS:
        return f"more than {MAX_CONTAINERS:,} objects and arrays"
    if skeleton.count(outside, b",") > max_values:
        return f"more than {max_values:,} values"
    if skeleton.count_runs_of_digits(outside, LONG_RUN_DIGITS) > MAX_LONG_RUNS:
        return "too many long numbers"
    return None


def _split(plain: bytes) -> list[bytes]:
    """Return what stands outside strings and, as every other piece, what stands inside; no quote is escaped."""
    if plain.count(b'"') > 2 * MAX_STRINGS:
        raise _too_complex(f"more than {MAX_STRINGS:,} strings")
    return plain.split(b'"')


def _refuse_wide_text(texts: Iterable[bytes]) -> None:
    for text in texts:
        if len(text) > MAX_WIDE_TEXT_BYTES and _is_wide(text):
            raise _too_complex(
                f"a text of more than {MAX_WIDE_TEXT_BYTES >> 20} MiB with characters such as emoji"
            )


def _is_wide(text: bytes) -> bool:
    """Return whether `text` may hold a character beyond the basic plane."""
    if any(mark in text for mark in _WIDE_BYTES):
        return True
    # One byte is found ten times faster than three.
    return b"\\" in text and any(mark in text for mark in _WIDE_ESCAPES)


def _finite_float(digits: str) -> float:
    # msgspec's own parser takes 7 µs for a number such as 1e-320.
    number = float(digits)
    if number - number:  # not zero: infinite
        raise ValueError("number out of range")
    return number


class _FewFloats:
    """Decodes the floats of one large body, up to a limit: they cost ten times what integers do."""

    __slots__ = ("left",)

    def __init__(self) -> None:
        self.left = MAX_FLOATS

    def __call__(self, digits: str) -> float:
        self.left -= 1
        if self.left < 0:
            raise _too_complex(f"more than {MAX_FLOATS:,} decimal numbers")
        return _finite_float(digits)


_decode_small = msgspec.json.Decoder(float_hook=_finite_float).decode
_UNREADABLE = (UnicodeDecodeError, msgspec.DecodeError, RecursionError)


def _unreadable(body: bytes, error: Exception) -> InvalidRequestError:
    if isinstance(error, RecursionError):
        return _too_deep()
    if isinstance(error, UnicodeDecodeError):
        return _invalid_json("it is not valid UTF-8")
    return _invalid_json(_reason(body, str(error)))


def _no_object() -> InvalidRequestError:
    return InvalidRequestError(
        "Invalid type for the request body: expected a JSON object.", code="invalid_type"
    )


def _reason(body: bytes, error: str) -> str:
    if not body.strip(b" \t\r\n"):
        return "it is empty"
    if body.startswith(b"\xef\xbb\xbf"):
        return "it starts with a byte order mark"
    if "truncated" in error:
        return "it ends too early, or holds half of a surrogate pair"
    # Without the path into the document that msgspec adds: it shows the client's own words.
    return error.removeprefix("JSON is malformed: ").partition(" - at ")[0].lower()


def _short(parent: Collection[object]) -> Collection[object]:
    """Return a list, or nothing where it is long and holds no containers: four times as fast for numbers."""
    if len(parent) > _LONG and _CONTAINERS.isdisjoint(map(type, parent)):
        return ()
    return parent


def _count_names(payload: dict[str, object], containers: int) -> int:
    """Return how many names its objects hold; of these there are `containers` at most."""
    names = len(payload)
    found = depth = 1
    level: list[dict[str, object] | list[object]] = [payload]
    while level and found < containers:
        below: list[dict[str, object] | list[object]] = []
        for parent in level:
            for value in parent.values() if type(parent) is dict else _short(parent):
                if type(value) is dict:
                    names += len(value)
                    below.append(value)
                elif type(value) is list:
                    below.append(value)
        if below:
            depth += 1
            if depth > MAX_DEPTH:
                raise _too_deep()
        found += len(below)
        level = below
    return names


def _count_colons_outside(body: bytes) -> int:
    plain = skeleton.without_escaped_quotes(body)
    return b'"'.join(_split(plain)[::2]).count(b":")


def _count_colons(body: bytes, payload: dict[str, object]) -> int:
    """Return how many colons stand outside the strings of `body`; more, where names came twice."""
    if b"\\u003" in body:  # perhaps a colon that is spelled otherwise in the body
        return _count_colons_outside(body)
    colons = skeleton.count(body, b":")
    rest: list[object] = [payload]
    for value in rest:
        if isinstance(value, str):
            colons -= value.count(":")
        elif isinstance(value, dict):
            rest.extend(value)
            rest.extend(value.values())
        elif isinstance(value, list):
            rest.extend(value)
    return colons


def _duplicate_name(body: bytes) -> InvalidRequestError:
    """Name the first name that comes twice, where looking for it is cheap."""
    seen: list[str] = []

    def look(pairs: list[tuple[str, object]]) -> None:
        names: set[str] = set()
        for name, _ in pairs:
            if name in names:
                seen.append(name)
            names.add(name)

    if len(body) <= SMALL_BYTES:
        json.loads(body, object_pairs_hook=look)
    which = f" {shown(seen[0])}" if seen else ""
    return _invalid_json(f"the name{which} occurs twice in one object")


def _invalid_json(reason: str) -> InvalidRequestError:
    return InvalidRequestError(
        f"We could not parse the JSON body of your request: {reason}.", code="invalid_json"
    )


def _too_complex(what: str) -> InvalidRequestError:
    return InvalidRequestError(
        f"The JSON body of your request is too complex: it holds {what}.", code="too_complex"
    )


def _too_deep() -> InvalidRequestError:
    return _too_complex(f"objects and arrays nested more than {MAX_DEPTH} deep")
