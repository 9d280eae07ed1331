"""JSON Schemas as TypeScript, and thinned."""

import pytest

from gateway.tokens.schema import TypeWriter, comment, thinned

STRING = {"type": "string"}
REMARKED = {"type": "string", "description": "Why"}


def parameters(schema: object, **more: object) -> dict[str, object]:
    return {"type": "object", "properties": {"a": schema}, "required": ["a"], **more}


@pytest.mark.parametrize(
    ("schema", "text"),
    [
        (STRING, "_: { a: string }"),
        ({"type": "integer"}, "_: { a: number }"),
        ({"type": "null"}, "_: { a: null }"),
        ({"type": "object"}, "_: { a: object }"),
        ({"type": "array"}, "_: { a: any[] }"),
        ({}, "_: { a: any }"),
        ({"enum": ["x", 1]}, '_: { a: "x" | 1 }'),
        ({"type": "array", "items": STRING}, "_: { a: string[] }"),
        ({"type": ["string", "null"]}, "_: { a: string | null }"),
        ({"type": "object", "properties": {"b": STRING}}, "_: { a: { b?: string } }"),
        (REMARKED, "_: {\n// Why\na: string,\n}"),
        ({"type": "string", "title": "T", "description": ""}, "_: {\n// T\na: string,\n}"),
        ({"type": "string", "description": ""}, "_: { a: string }"),
        ({"type": "number", "default": 1.5}, "_: {\na: number, // default: 1.5\n}"),
        (
            {"type": ["string", "null"], "description": "Why"},
            "_: {\n// Why\na:\n// Why\n| string\n// Why\n| null\n,\n}",
        ),
        (
            {"type": "array", "items": {"type": "object", "properties": {"b": REMARKED}}},
            "_: { a: Array<\n{\n// Why\nb?: string,\n}\n> }",
        ),
        (
            {
                "type": "array",
                "description": "Many",
                "items": {"type": "object", "description": "One", "properties": {"b": REMARKED}},
            },
            "_: {\n// Many\na: Array<\n// One\n{\n// Why\nb?: string,\n}\n>,\n}",
        ),
    ],
)
def test_types(schema: dict[str, object], text: str) -> None:
    """Each form of a type has its text; remarks make an object many lines."""
    writer = TypeWriter(parameters(schema))

    assert writer.arguments() == text
    assert writer.exact


@pytest.mark.parametrize(
    ("schema", "text"),
    [
        ({"anyOf": [STRING, {"type": "null"}]}, "_: { a: string | null }"),
        (
            {"anyOf": [{"type": "object", "properties": {"b": STRING}}, {"type": "null"}]},
            "_: {\na:\n| { b?: string }\n| null\n,\n}",
        ),
        ({"const": "x", "type": "string"}, "_: { a: string }"),
        ({"type": "array", "items": {"enum": ["x"]}}, '_: { a: "x"[] }'),
    ],
)
def test_guessed_types(schema: dict[str, object], text: str) -> None:
    """What too few recorded requests show is written by likeness, and not called exact."""
    writer = TypeWriter(parameters(schema))

    assert writer.arguments() == text
    assert not writer.exact


def test_the_parameters_own_remarks_come_first() -> None:
    """Title and description of the parameters stand before their brace."""
    writer = TypeWriter(parameters(STRING, title="P", description="One\n\n two "))

    assert writer.arguments() == "_: // P\n// One\n// two\n{ a: string }"


def test_references_are_written_out() -> None:
    """What a reference points at stands in its place; one that leads nowhere, or in circles, is anything."""
    defs = {"b": REMARKED, "c": {"$ref": "#/$defs/c"}}

    assert TypeWriter(parameters({"$ref": "#/$defs/b"}, **{"$defs": defs})).arguments() == (
        "_: {\n// Why\na: string,\n}"
    )
    for reference in ("#/$defs/c", "#/nowhere", "https://example.com"):
        writer = TypeWriter(parameters({"$ref": reference}, **{"$defs": defs}))
        assert writer.arguments() == "_: { a: any }"


def test_recursive_schemas_end() -> None:
    """A schema that holds itself is written to a depth, and not called exact."""
    writer = TypeWriter(parameters({"$ref": "#"}))

    assert len(writer.arguments()) < 2_000
    assert not writer.exact


def test_no_properties_no_arguments() -> None:
    """A function that takes nothing has empty parentheses."""
    assert TypeWriter({"type": "object", "properties": {}}).arguments() == ""
    assert TypeWriter({}).arguments() == ""


def test_comments() -> None:
    """Lines are stripped, empty ones dropped; what is no text is no comment."""
    assert comment(" a \n\n\tb") == "// a\n// b\n"
    assert comment(None) == ""


def test_thinning() -> None:
    """Rules that the models are not shown go, at any depth; names of the client's own and values stay."""
    schema = {
        "type": "object",
        "title": "T",
        "properties": {
            "required": {"type": "integer", "minimum": 0, "maximum": 9},
            "b": {"anyOf": [{"type": "array", "items": {"default": 1}, "maxItems": 2}]},
            "c": {"enum": [{"default": 1}], "description": ""},
        },
        "required": ["b"],
        "additionalProperties": False,
        "$defs": {"default": {"$ref": "#", "minLength": 1}},
    }

    assert thinned(schema) == (
        {
            "type": "object",
            "title": "T",
            "properties": {
                "required": {"type": "integer"},
                "b": {"anyOf": [{"type": "array", "items": {}}]},
                "c": {"enum": [{"default": 1}], "description": ""},
            },
            "$defs": {"default": {"$ref": "#"}},
        },
        True,
    )
    assert thinned({"type": "string", "pattern": "a"}) == (
        {"type": "string", "pattern": "a"},
        False,
    )
