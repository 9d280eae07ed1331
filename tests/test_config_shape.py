"""Shapes: what a dataclass's annotations say to reader, schema and docs."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import pytest

from gateway.config_formats import Listen, Seconds, SecretText, Text
from gateway.config_shape import (
    BOOLEAN,
    INTEGER,
    NUMBER,
    PATH,
    Choice,
    ListOf,
    Section,
    TableOf,
    Value,
    plain,
    section_of,
    shape_of,
)
from gateway.config_types import BadValueError, Doc, Format, Range, Secret


@dataclass(frozen=True, slots=True, kw_only=True)
class Inner:
    """An inner section."""

    for_: Annotated[Seconds, Doc("How long."), Range(0, 10)] = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Outer:
    """A section with one key of each kind."""

    name: Annotated[Text, Doc("A name.")]
    word: Annotated[Literal["a", 5] | None, Doc("A choice.")] = None
    wait: Annotated[Seconds | None, Doc("A wait."), Range(1, 5)] = None
    many: Annotated[tuple[int, ...], Doc("Numbers.")] = ()
    secrets: Annotated[Mapping[Text, SecretText], Doc("Secrets.")] = field(default_factory=dict)
    inner: Inner = Inner()


def test_a_dataclass_is_a_section() -> None:
    """Keys, meanings, defaults and nesting are read off the class."""
    shape = section_of(Outer)
    name, word, wait, many, secrets, inner = shape.fields

    assert shape.doc == "A section with one key of each kind."
    assert (name.key, name.doc, name.required) == ("name", "A name.", True)
    assert word.shape == Choice(choices=("a", 5), nullable=True)
    assert isinstance(wait.shape, Value)
    assert (wait.shape.format.name, wait.shape.range, wait.shape.nullable) == (
        "duration",
        Range(1, 5),
        True,
    )
    assert many.shape == ListOf(item=Value(format=INTEGER))
    assert isinstance(secrets.shape, TableOf)
    assert secrets.default == {}
    assert isinstance(inner.shape, Section)
    assert inner.doc == "An inner section."


def test_a_keyword_of_python_can_be_a_key() -> None:
    """The underscore that Python needs is not part of the key."""
    (member,) = section_of(Inner).fields

    assert (member.key, member.attribute) == ("for", "for_")


@pytest.mark.parametrize(
    ("hint", "form"), [(int, INTEGER), (float, NUMBER), (bool, BOOLEAN), (Path, PATH)]
)
def test_python_types_have_their_formats(hint: object, form: Format) -> None:
    """Plain types need no mark."""
    assert shape_of(hint) == Value(format=form)


def test_a_union_with_a_format_is_one_value() -> None:
    """An address is of one of two types, and one text."""
    shape = shape_of(Listen)

    assert isinstance(shape, Value)
    assert shape.format.name == "address"


@pytest.mark.parametrize("hint", [str, dict[str, int], Mapping[Literal["a"], int], object])
def test_a_type_without_a_shape_is_a_mistake_of_ours(hint: object) -> None:
    """A field of a type that nobody can read is told when the class is used, not when a user comes."""
    with pytest.raises(TypeError, match="is no type for a configuration's"):
        shape_of(hint)


@pytest.mark.parametrize(
    ("form", "text", "value"),
    [
        (INTEGER, "10", 10),
        (INTEGER, "-1", -1),
        (NUMBER, "0.5", 0.5),
        (NUMBER, "2", 2.0),
        (BOOLEAN, "true", True),
        (BOOLEAN, "FALSE", False),
        (PATH, "/a/b", Path("/a/b")),
    ],
)
def test_plain_values_are_read(form: Format, text: str, value: object) -> None:
    """Numbers, booleans and paths are what they look like."""
    assert form.parse(text) == value


@pytest.mark.parametrize(
    ("form", "text"),
    [
        (INTEGER, "1.0"),
        (INTEGER, "1_000"),
        (INTEGER, "0x10"),
        (INTEGER, "1" * 5000),
        (INTEGER, "٣"),
        (NUMBER, "nan"),
        (NUMBER, "1e400"),
        (NUMBER, "-inf"),
        (BOOLEAN, "yes"),
        (BOOLEAN, "on"),
        (BOOLEAN, "1"),
        (PATH, ""),
        (PATH, "a\0b"),
    ],
)
def test_what_merely_looks_like_a_value_is_refused(form: Format, text: str) -> None:
    """YAML 1.1's and Python's own spellings are not taken."""
    with pytest.raises(BadValueError):
        form.parse(text)


def test_plain_values_can_be_written_to_a_file() -> None:
    """A section becomes mappings, lists, texts and numbers, with its secrets masked."""
    outer = Outer(name="n", word=5, wait=0.5, many=(1, 2), secrets={"k": Secret("hunter2")})

    assert plain(section_of(Outer), outer) == {
        "name": "n",
        "word": 5,
        "wait": "500ms",
        "many": [1, 2],
        "secrets": {"k": "********"},
        "inner": {"for": "1s"},
    }
