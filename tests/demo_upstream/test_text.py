"""Words as tokens: nothing is lost in splitting, and they end where they must."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.demo_upstream.script import Script
from gateway.demo_upstream.text import Part, ended, example, plain, spoken, texts, usage, words


@given(st.text())
def test_words_joined_are_the_text(text: str) -> None:
    """Splitting loses no character, whatever the blanks."""
    assert "".join(words(text)) == text


def test_words_keep_their_blanks() -> None:
    """A blank belongs to the word behind it; the last one also keeps those at the end."""
    assert words(" a  b\nc ") == [" a", "  b", "\nc "]


def test_plain_text_leaves_out_images() -> None:
    """Of a content in parts the text is said."""
    parts = [Part(type="text", text="a"), Part(type="image_url"), Part(type="text", text="b")]

    assert plain(parts) == "a\nb"
    assert plain(None) == ""


def test_inputs_are_texts_or_tokens() -> None:
    """A list of numbers is one input, a list of such lists are several."""
    assert texts("a b") == ["a b"]
    assert texts(["a", "b"]) == ["a", "b"]
    assert texts([1, 2]) == ["1 2"]
    assert texts([[1, 2], [3]]) == ["1 2", "3"]
    assert texts([]) == []


def test_chunks_repeat_the_text() -> None:
    """A stream of any length can be had from two words."""
    assert spoken("a b", Script(chunks=5)) == ["a", " b", "a", " b", "a"]
    assert spoken("", Script(chunks=2)) == ["demo ", "demo "]


def test_chunk_bytes_cut_or_fill_at_a_character() -> None:
    """A chunk has its size in bytes and stays valid UTF-8."""
    assert spoken("üü a", Script(chunk_bytes=3)) == ["ü.", " a."]
    assert all(len(word.encode()) == 3 for word in spoken("üü a", Script(chunk_bytes=3)))


@pytest.mark.parametrize(
    ("max_tokens", "stop", "said", "finish_reason"),
    [
        (None, None, ["a", " b", " c"], "stop"),
        (2, None, ["a", " b"], "length"),
        (3, None, ["a", " b", " c"], "stop"),
        (None, "b", ["a", " "], "stop"),
        (None, ["x", "c", " b"], ["a"], "stop"),
        (1, "c", ["a"], "length"),
        (None, "a", [], "stop"),
    ],
)
def test_words_end_at_a_limit_or_a_stop(
    max_tokens: int | None, stop: str | list[str] | None, said: list[str], finish_reason: str
) -> None:
    """The earliest stop sequence ends the text before itself, a limit after so many words."""
    assert ended(["a", " b", " c"], max_tokens, stop) == (said, finish_reason)


def test_usage_counts_what_was_said_and_what_is_scripted() -> None:
    """Reasoning is part of the completion; scripted numbers go before counted ones."""
    counted = usage(4, 3, Script(cached_tokens=2, reasoning_tokens=5))
    scripted = usage(4, 3, Script(prompt_tokens=100, completion_tokens=50))

    assert counted == {
        "prompt_tokens": 4,
        "completion_tokens": 8,
        "total_tokens": 12,
        "prompt_tokens_details": {"cached_tokens": 2, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": 5,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }
    assert scripted is not None
    assert scripted["total_tokens"] == 150
    assert usage(4, 3, Script(usage=False)) is None


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"type": "string"}, "demo"),
        ({"enum": ["red", "blue"]}, "red"),
        ({"type": "integer", "default": 7}, 7),
        ({"const": None}, None),
        ({"type": ["number", "null"]}, 1.5),
        ({"anyOf": [{"type": "boolean"}, {"type": "null"}]}, True),
        ({"type": "array", "items": {"type": "integer"}}, [1]),
        ({"properties": {"a": {"type": "string"}}}, {"a": "demo"}),
        (
            {"$defs": {"d": {"type": "string"}}, "items": {"$ref": "#/$defs/d"}, "type": "array"},
            ["demo"],
        ),
        ({}, None),
        (True, None),
    ],
)
def test_an_example_fits_its_schema(schema: object, value: object) -> None:
    """Each kind of schema has a value of its own."""
    assert example(schema) == value


def test_a_schema_that_refers_to_itself_ends() -> None:
    """A recursive schema gets a value of finite depth."""
    schema = {"type": "object", "properties": {"next": {"$ref": "#"}}}

    assert str(example(schema)).count("next") <= 5
