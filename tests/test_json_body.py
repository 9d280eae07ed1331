"""Which bodies are JSON objects, and that judging them costs little whatever their shape."""

import contextlib
import json
import re
import tracemalloc
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import InvalidRequestError
from gateway.json_body import (
    MAX_BLANK_BYTES,
    MAX_CONTAINERS,
    MAX_DEPTH,
    MAX_ESCAPES,
    MAX_FLOATS,
    MAX_NAMES,
    MAX_OUTSIDE_BYTES,
    MAX_STRINGS,
    MAX_VALUES,
    MAX_WIDE_TEXT_BYTES,
    decode,
    decode_in_turns,
)

MIB = 1024 * 1024


def refusal(body: bytes) -> tuple[str | None, str]:
    """Return code and message of the refusal of `body`."""
    with pytest.raises(InvalidRequestError) as caught:
        decode(body)
    assert caught.value.status == 400
    return caught.value.code, caught.value.message


def padded(body: bytes) -> bytes:
    """Return `body` with white space before it, so that it counts as large."""
    return b" " * 70_000 + body


def test_a_chat_request_is_decoded() -> None:
    """An ordinary request comes out as the plain values that it is made of."""
    body = (
        b'{"model":"m","messages":[{"role":"user","content":"caf\xc3\xa9 \\ud83d\\ude00"}],"n":1}'
    )
    assert decode(body) == {
        "model": "m",
        "messages": [{"role": "user", "content": "caf\u00e9 \U0001f600"}],
        "n": 1,
    }


@pytest.mark.parametrize("size", [lambda body: body, padded], ids=["small", "large"])
@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "it is empty"),
        (b" \r\n", "it is empty"),
        (b"{", "it ends too early, or holds half of a surrogate pair"),
        (b'{"a":1}}', "trailing characters"),
        (b'{"a":1} x', "trailing characters"),
        (b'{"a":1,}', "trailing comma in object"),
        (b"{'a':1}", "object keys must be strings"),
        (b'{"a":NaN}', "invalid character"),
        (b'{"a":Infinity}', "invalid character"),
        (b'{"a":-Infinity}', "invalid character"),
        (b'{"a":1e400}', "number out of range"),
        (b'{"tools":[{"x":{"y":-1e400}}]}', "number out of range"),
        (b'{"a":' + b"9" * 4301 + b"}", "integer value out of range"),
        (b'{"a":01}', "invalid number"),
        (b'{"a":"\xff"}', "it is not valid UTF-8"),
        (b'{"\xc0\x80":1}', "it is not valid UTF-8"),
        (b'{"a":"\xed\xa0\x80"}', "it is not valid UTF-8"),
        (b'{"a":"\\ud800"}', "it ends too early, or holds half of a surrogate pair"),
        (b'{"a":"\\udc00"}', "invalid utf-16 surrogate pair"),
        (b'{"a":"\x00"}', "invalid character"),
        (b'{"model":"a","model":"b"}', "occurs twice in one object"),
        (b'{"model":"a","mod\\u0065l":"b"}', "occurs twice in one object"),
        (b'{"a":[{"b":{"c":1,"c":1}}],"u":"http://x"}', "occurs twice in one object"),
        (b'{"a":1,"a":1,"u":"\\u003a"}', "occurs twice in one object"),
        (b'{"a":1 ,"a" :"\\":\\\\"}', "occurs twice in one object"),
    ],
)
def test_what_is_not_strict_json_is_refused(
    size: Callable[[bytes], bytes], body: bytes, reason: str
) -> None:
    """What two readers could take for different things is 400 `invalid_json`, with the reason."""
    code, message = refusal(size(body))
    assert code == "invalid_json"
    assert reason in message


def test_a_byte_order_mark_is_refused() -> None:
    """A body that starts with a byte order mark is no JSON (RFC 8259, section 8.1)."""
    assert refusal(b'\xef\xbb\xbf{"a":1}') == (
        "invalid_json",
        "We could not parse the JSON body of your request: it starts with a byte order mark.",
    )


def test_the_name_that_came_twice_is_told() -> None:
    """The message names the member, fit to print."""
    assert refusal(b'{"a":1,"x\\n":1,"x\\n":2}') == (
        "invalid_json",
        "We could not parse the JSON body of your request: "
        "the name 'x\\n' occurs twice in one object.",
    )


@pytest.mark.parametrize("body", [b"[1]", b'"text"', b"1", b"null", b"true"])
def test_only_objects_are_requests(body: bytes) -> None:
    """Valid JSON that is no object is `invalid_type`."""
    assert refusal(body)[0] == "invalid_type"


@pytest.mark.parametrize(
    "body",
    [
        b'{"a":"b:c","d":{"e":"\\":"}}',
        b'{"a":"\\u003a\\u003A","b":"\\\\"}',
        b'{ "a" : [ { } , [ ] , "{[" ] }',
        b'{"a":{"x":1},"b":{"x":1}}',
        b'{":":":","::":["\\\\\\":"]}',
        b'{"a":' + b"9" * 4300 + b"}",
        b'{"a":[1e-320,1E+2,-0,0.1]}',
    ],
)
def test_odd_but_strict_json_passes(body: bytes) -> None:
    """Colons, braces and escapes inside strings confuse nothing, in small bodies and large."""
    quotes = b'{"prose":"' + b"\\\\ \\n \\\": '{[,' " * 4_000 + b'","text":'
    for text in (body, padded(body), quotes + body + b"}"):
        assert decode(text) == json.loads(text)


@pytest.mark.parametrize(
    ("body", "what"),
    [
        (b'{"a":' + b"[" * MAX_DEPTH + b"]" * MAX_DEPTH + b"}", "nested more than 100 deep"),
        (b'{"a":' * 30_000 + b"1" + b"}" * 30_000, "nested more than 100 deep"),
        (b'{"a":[' + b"[]," * MAX_CONTAINERS + b"[]]}", "50,000 objects and arrays"),
        (b'{"a":[' + b"{}," * MAX_CONTAINERS + b"{}]}", "50,000 objects and arrays"),
        (b'{"a":[' + b'"",' * 2 * MAX_STRINGS + b'""]}', "50,000 strings"),
        (b"{" + b'"a":0,' * 2 * MAX_STRINGS + b'"a":0}', "50,000 strings"),
        (b'{"a":[' + b'{"a":0},' * MAX_NAMES + b"0]}", "25,000 members"),
        (b'{"a":[' + b"0," * MAX_VALUES + b"0,0]}", "320,000 values"),
        (b'{"a":[' + b"1e-320," * MAX_FLOATS + b"0.1]}", "10,000 decimal numbers"),
        (b'{"a":[' + (b"9" * 4300 + b",") * 100 + b"9]}", "too many long numbers"),
        (b'{"a":' + b" \t" * MAX_BLANK_BYTES + b"0}", "more than 4 MiB of blanks"),
        (b'{"a":' + b" " * MAX_OUTSIDE_BYTES + b"0}", "more than 12 MiB beside its strings"),
        (b'{"a":"' + b"\\u0041" * MAX_ESCAPES + b'\\n"}', "3,000,000 escaped characters"),
        (b'{"a":"' + b"x" * MAX_WIDE_TEXT_BYTES + b'\\ud83d\\ude00"}', "characters such as emoji"),
    ],
)
def test_bombs_are_too_complex(body: bytes, what: str) -> None:
    """Few bytes that would become much work or memory are refused before they do."""
    code, message = refusal(body)
    assert code == "too_complex"
    assert what in message


@pytest.mark.parametrize(
    "body",
    [
        b'{"a":' + b"[" * (MAX_DEPTH - 1) + b"]" * (MAX_DEPTH - 1) + b',"b":"[["}',
        b'{"a":[' + b"[]," * (MAX_CONTAINERS - 2) + b"1]}",
        b'{"input":[' + b"10464," * 299_999 + b"1]}",
        b'{"image":"data:image/png;base64,'
        + b"iVBORw0K" * (3 * MIB)
        + b'","t":"\xf0\x9f\x98\x80"}',
        b'{"csv":"' + b'1,2,[x],{\\"y\\":1}\\n' * 120_000 + b'"}',
    ],
    ids=["depth", "arrays", "300,000 tokens", "an image of 24 MiB", "a table as text"],
)
def test_large_is_not_complex(body: bytes) -> None:
    """Token arrays, images and tables in text pass: what counts is structure, not size."""
    assert decode(body) == json.loads(body)


@pytest.mark.parametrize(
    "unit", [b"[]", b"{}", b'{"a":1}', b"0", b"1234", b"0.1", b'""', b'"ab"', b'"\\u00e9"', b"null"]
)
def test_memory_stays_below_four_bodies(unit: bytes) -> None:
    """An array of two megabytes of anything takes at most four times its size, however it ends."""
    body = b'{"a":[' + (unit + b",") * (2 * MIB // (len(unit) + 1)) + b"0]}"
    tracemalloc.start()
    with contextlib.suppress(InvalidRequestError):
        decode(body)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak <= 3 * len(body)


def strictly(body: bytes) -> object:
    """Decode with the standard library, less what is excluded by name."""

    def unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
        if len(dict(pairs)) != len(pairs):
            raise ValueError("duplicate name")
        return dict(pairs)

    def finite(digits: str) -> float:
        if float(digits) in (float("inf"), float("-inf")):
            raise ValueError("overflow")
        return float(digits)

    def refuse(_: str) -> None:
        raise ValueError("no JSON")

    text = body.decode()
    value = json.loads(text, object_pairs_hook=unique, parse_float=finite, parse_constant=refuse)
    json.dumps(value, ensure_ascii=False).encode()  # refuses lone surrogates
    if not isinstance(value, dict):
        raise TypeError("no object")
    return value


texts = st.text(st.characters(codec=None), max_size=8) | st.sampled_from(
    ["a", ":", '"', "\\", '":', "{", "\\u003a", "\ud800", "\U0001f600"]
)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=20,
)
bodies = st.builds(
    lambda value, ascii_only, cut: json.dumps(value, ensure_ascii=ascii_only).encode(
        "utf-8", "surrogatepass"
    )[:cut],
    st.dictionaries(texts, values, max_size=4) | values,
    st.booleans(),
    st.none() | st.none() | st.integers(0, 80),
)
noise = st.lists(
    st.sampled_from([*(bytes([c]) for c in b'{}[]:,"\\ \n01e.-'), b'"a"', b'"a":', b"\\u003a"]),
    max_size=24,
).map(lambda pieces: b"{" + b"".join(pieces) + b"}")


@settings(max_examples=400, deadline=None)
@given(st.binary(max_size=40) | bodies | noise)
def test_it_accepts_what_the_standard_library_does(body: bytes) -> None:
    """It takes what `json.loads` takes, less the named exclusions, and reads the same in it."""
    try:
        expected = strictly(body)
    except (ValueError, TypeError):
        expected = None
    for text in (body, padded(body), body + b" " * 70_000):
        try:
            got = decode(text)
        except InvalidRequestError:
            got = None
        assert got == expected


@settings(max_examples=200, deadline=None)
@given(bodies, st.integers(0, 200))
def test_a_name_added_twice_is_always_seen(body: bytes, place: int) -> None:
    """Wherever a member is repeated in an object, the body is refused."""
    members = [m.start() + 1 for m in re.finditer(rb"\{(?=\"[a:]\":)", body)]
    if not members:
        return
    at = members[place % len(members)]
    name = body[at : at + 3]
    twice = body[:at] + name + b":0," + body[at:]
    with pytest.raises(InvalidRequestError):
        decode(twice)


@pytest.mark.parametrize(
    ("body", "steps"),
    [
        (b'{"a":"' + b"x" * 2 * MIB + b'"}', 4),
        (b'{"a":"' + b'\\"' * MIB + b'"}', 3),
        (b'{"a":"' + b'{\\"k\\":1},' * 60_000 + b'"}', 6),
        (b'{"a":[' + b"1," * 200_000 + b"2]}", 4),
        (b'{"a":"' + b"x" * 9 * MIB + b'"}', 6),
        (b'{"a":"' + b"\xf0\x9f\x98\x80" * 3 * MIB + b'"}', 5),
        (b'{"a":"' + b"x" * 70_000 + b'","a":1}', 5),
        (b'{"a":"' + b"x" * 70_000, 3),
    ],
    ids=["text", "quotes", "json", "numbers", "long", "wide", "twice", "cut"],
)
async def test_others_have_their_turns(body: bytes, steps: int) -> None:
    """A large body is judged in steps, and comes to what it comes to when it is judged at once."""
    turns = 0

    async def turn() -> None:
        nonlocal turns
        turns += 1

    try:
        found: object = await decode_in_turns(body, turn)
    except InvalidRequestError as error:
        found = error.message
    try:
        at_once: object = decode(body)
    except InvalidRequestError as error:
        at_once = error.message

    assert found == at_once
    assert turns == steps
