"""What stands outside the strings of a JSON text."""

import json

from hypothesis import given
from hypothesis import strategies as st

from gateway import json_skeleton as skeleton

values = st.recursive(
    st.none() | st.integers() | st.text(st.sampled_from('a"\\:{[,'), max_size=6),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text('a"\\'), inner, max_size=3),
)


def test_each_string_becomes_one_quote() -> None:
    """Escaped quotes and backslashes end no string; empty strings count."""
    text = rb'{"a\"b":["","\\",1,"\\\":{"],"c":true}'
    assert skeleton.by_hops(text) == b'{":[",",1,"],":true}'
    assert b'"'.join(skeleton.without_escaped_quotes(text).split(b'"')[::2]) == (
        b'{":[",",1,"],":true}'
    )


def test_a_text_full_of_quotes_is_left_to_splitting() -> None:
    """Hopping gives up where copying is quicker, and does not where quotes are far apart."""
    assert skeleton.by_hops(b'["",' * 100) is None
    assert skeleton.by_hops(b'["' + b"x" * 300 + b'",' * 1) == b'[",'


def test_a_text_that_ends_inside_a_string_has_its_beginning() -> None:
    """Of what is no JSON the part before the fault is there."""
    assert skeleton.by_hops(b'{"a":["b') == b'{":['
    assert skeleton.by_hops(b"") == b""


@given(values)
def test_both_ways_find_the_same(value: object) -> None:
    """Hopping and splitting agree on every JSON text."""
    text = json.dumps(value).encode()
    hopped = skeleton.by_hops(text)
    split = b'"'.join(skeleton.without_escaped_quotes(text).split(b'"')[::2])
    assert hopped in (None, split)


@given(values)
def test_the_marks_are_those_outside_strings(value: object) -> None:
    """Brackets and colons of a JSON text in order, whatever its strings are like."""
    text = json.dumps(value).encode()
    split = b"".join(skeleton.without_escaped_quotes(text).split(b'"')[::2])
    assert skeleton.marks(text) == bytes(byte for byte in split if byte in b"{[:")


@given(st.text("ab", max_size=300))
def test_counting_agrees_with_bytes_count(text: str) -> None:
    """The shortcut for rare marks changes no count."""
    assert skeleton.count(text.encode(), b"a") == text.count("a")


def test_runs_of_digits_are_counted() -> None:
    """A number twice as long as the piece holds one; shorter ones in an array hold none."""
    assert skeleton.count_runs_of_digits(b"[" + b"1" * 19 + b"]", 10) == 1
    assert skeleton.count_runs_of_digits(b"[" + b"123456789," * 50, 10) == 0


def test_blanks_are_counted() -> None:
    """The four that JSON knows, wherever they stand."""
    assert skeleton.count_blanks(b' {"a" :\t[\r\n1, 2 ]}') == 7
