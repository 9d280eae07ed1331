"""The schema that editors use: what it takes is what the loader takes."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from types import UnionType
from typing import cast

import yaml

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


TYPES: dict[str, type | UnionType] = {
    "string": str,
    "integer": int,
    "number": int | float,
    "boolean": bool,
    "null": type(None),
    "array": list,
    "object": dict,
}


def as_an_editor_reads(node: yaml.Node) -> object:
    """Return a YAML node as JSON has it, by YAML 1.2's rules."""
    if isinstance(node, yaml.MappingNode):
        return {key.value: as_an_editor_reads(value) for key, value in node.value}
    if isinstance(node, yaml.SequenceNode):
        return [as_an_editor_reads(item) for item in node.value]
    assert isinstance(node, yaml.ScalarNode)
    if node.style is None and re.fullmatch(r"true|false|null|-?[0-9]+(\.[0-9]+)?", node.value):
        return json.loads(node.value)
    return node.value


def faults(schema: Schema, value: object, path: str = "") -> Iterator[str]:
    """Yield what is wrong with a value, as far as our schemas go."""
    named = schema.get("type", list(TYPES))
    kinds = [named] if isinstance(named, str) else cast(list[str], named)
    if not any(isinstance(value, TYPES[kind]) for kind in kinds):
        yield f"{path}: type"
    if "enum" in schema and value not in cast(list[object], schema["enum"]):
        yield f"{path}: enum"
    if isinstance(value, str) and not re.search(str(schema.get("pattern", "")), value):
        yield f"{path}: pattern"
    low, high = cast(tuple[float, float], (schema.get("minimum"), schema.get("maximum")))
    if isinstance(value, int | float) and low is not None and not low <= value <= high:
        yield f"{path}: range"
    ways = cast(list[Schema], schema.get("anyOf", []))
    if ways and all(list(faults(way, value)) for way in ways):
        yield f"{path}: anyOf"
    yield from faults_below(schema, value, path)


def faults_below(schema: Schema, value: object, path: str) -> Iterator[str]:
    """Yield what is wrong with what a list or mapping holds."""
    if isinstance(value, list) and "items" in schema:
        for item in value:
            yield from faults(cast(Schema, schema["items"]), item, f"{path}[]")
    if isinstance(value, dict):
        known = cast(dict[str, Schema], schema.get("properties", {}))
        other = schema.get("additionalProperties")
        for name in cast(list[str], schema.get("required", [])):
            if name not in value:
                yield f"{path}.{name}: required"
        for name, inner in value.items():
            below = known.get(name, other)
            if isinstance(below, dict):
                yield from faults(below, inner, f"{path}.{name}")
            else:
                yield f"{path}.{name}: unknown"


def underlined(text: str) -> list[str]:
    """Return what an editor would underline in a configuration file."""
    node = yaml.compose(text, Loader=yaml.SafeLoader)
    assert node is not None
    return list(faults(config_schema(), as_an_editor_reads(node)))


def test_the_shipped_file_is_not_underlined() -> None:
    """An editor finds nothing wrong with config.yaml, nor with everything in it switched on."""
    text = (Path(__file__).parent.parent / "config.yaml").read_text(encoding="utf-8")

    assert underlined(text) == []
    assert underlined(re.sub(r"(?m)^( *)#(?!#| yaml)", r"\1", text)) == []


def test_mistakes_are_underlined() -> None:
    """What the loader refuses in a single field, an editor marks."""
    text = """
server: {listn: x, max_body: 32MB, max_in_flight: 0, stream_keepalive: 5}
upstreams: [{name: a b, kind: opnai, retry_on: [418], retries: '${N}'}]
logging: {access: yes, level: "${LEVEL}"}
"""

    assert underlined(text) == [
        ".server.listn: unknown",
        ".server.max_body: pattern",
        ".server.max_in_flight: range",
        ".server.stream_keepalive: type",
        ".upstreams[].base_url: required",
        ".upstreams[].name: pattern",
        ".upstreams[].kind: anyOf",
        ".upstreams[].retry_on[]: anyOf",
        ".logging.access: pattern",
    ]


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
