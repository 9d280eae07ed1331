"""Reading values of any type."""

import pytest

from gateway.tokens.values import as_list, as_object, as_text, compact, joined, recompacted


def test_wrong_types_read_as_empty() -> None:
    """A value of another type than wanted is an empty one of the wanted type."""
    for value in (None, 5, 1.5, True):
        assert (as_object(value), as_list(value), as_text(value)) == ({}, [], "")
    assert (as_object({"a": 1}), as_list([1]), as_text("a")) == ({"a": 1}, [1], "a")


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ('{"a": "\\u00fc", "b": [1, 2.0]}', '{"a":"ü","b":[1,2.0]}'),
        ("not JSON", "not JSON"),
        ("[" * 100_000, "[" * 100_000),
        ("", ""),
    ],
)
def test_recompacting(text: str, written: str) -> None:
    """JSON is written without spaces and escapes; what is none stays."""
    assert recompacted(text) == written


def test_writing() -> None:
    """Compact JSON, with escapes where they are wanted; paragraphs without the empty ones."""
    assert compact({"ü": 1}) == '{"ü":1}'
    assert compact({"ü": 1}, ascii_only=True) == '{"\\u00fc":1}'
    assert joined(("a", "", "b")) == "a\n\nb"
