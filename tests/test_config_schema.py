"""The schema that editors use: what it takes is what the loader takes."""

import re
from collections.abc import Iterator
from typing import cast

from gateway.config_schema import config_schema, in_words, is_simple
from gateway.config_shape import INTEGER, NUMBER, Choice, ListOf, TableOf, Value
from gateway.config_types import Range

Schema = dict[str, object]


def at(*keys: str) -> Schema:
    """Return the schema of the key at a path."""
    schema = config_schema()
    for key in keys:
        step = schema["items"] if key == "[]" else cast(Schema, schema["properties"])[key]
        schema = cast(Schema, step)
    return schema


def properties(schema: object) -> Iterator[tuple[str, Schema]]:
    """Yield every key below a schema with its own schema."""
    if not isinstance(schema, dict):
        return
    for name, value in schema.get("properties", {}).items():
        yield name, value
    for value in schema.values():
        for inner in value.values() if isinstance(value, dict) else ():
            yield from properties(inner)
        yield from properties(value)


def test_a_size_has_pattern_default_and_meaning() -> None:
    """An editor can check a value, complete it and say what it is."""
    assert at("server", "max_body") == {
        "type": "string",
        "pattern": r"^(?:([0-9]{1,12})(B|KiB|MiB|GiB))$|\$\{",
        "description": "The largest JSON body; 413 above. (size, 1KiB to 1GiB)",
        "default": "32MiB",
    }


def test_a_number_may_be_a_reference() -> None:
    """What substitution can fill in is taken for a number too."""
    assert at("upstreams", "[]", "retries") == {
        "type": ["integer", "string"],
        "pattern": r"^(?:-?[0-9]{1,15})$|\$\{",
        "minimum": 0,
        "maximum": 10,
        "description": "Further attempts at this upstream. (whole number, 0 to 10)",
        "default": 1,
    }
    assert at("logging", "access") == {
        "type": ["boolean", "string"],
        "pattern": r"\$\{",
        "description": "One line for every call. (true or false)",
        "default": True,
    }


def test_a_choice_lists_its_words() -> None:
    """The words of a choice are completed; nothing is one of them where it means something."""
    assert at("checks", "context")["anyOf"] == [
        {"enum": ["reject", "trim", "off"]},
        {"type": "string", "pattern": r"\$\{"},
    ]
    mode = cast(list[Schema], at("auth", "mode")["anyOf"])
    assert mode[0] == {"enum": ["keys", "none", "open", None]}


def test_a_text_may_look_like_a_number() -> None:
    """A user called 007 is a user."""
    assert at("auth", "keys", "[]", "user")["type"] == ["string", "number", "boolean"]
    assert at("auth", "keys", "[]", "group")["type"] == ["string", "number", "boolean", "null"]


def test_unknown_and_missing_keys_are_marked() -> None:
    """An editor underlines what the loader refuses."""
    upstream = at("upstreams", "[]")

    assert upstream["additionalProperties"] is False
    assert upstream["required"] == ["name", "base_url"]
    assert at("server")["type"] == ["object", "null"]
    assert upstream["type"] == "object"


def test_every_default_fits_its_own_schema() -> None:
    """A pattern takes the default that stands beside it."""
    checked = 0
    for name, schema in properties(config_schema()):
        if isinstance(schema.get("default"), str) and "pattern" in schema:
            assert re.search(str(schema["pattern"]), str(schema["default"])), name
            checked += 1
    assert checked > 10


def test_what_a_key_takes_in_words() -> None:
    """Units, ranges, choices and nesting read as words."""
    number = Value(format=INTEGER, range=Range(1, 5), nullable=True)

    assert in_words(number) == "whole number, 1 to 5; or null"
    assert in_words(ListOf(item=Choice(choices=("a", 5)))) == "list: one of a, 5"
    assert in_words(TableOf(key=INTEGER, value=Value(format=NUMBER))) == (
        "mapping from whole number: number"
    )
    assert is_simple(ListOf(item=number))
    assert is_simple(TableOf(key=INTEGER, value=number))
