"""The configuration described for editors and readers, derived from its dataclasses alone.

The schema is JSON Schema, draft 2020-12: https://json-schema.org/draft/2020-12
"""

from gateway.config import Config
from gateway.config_shape import (
    BOOLEAN,
    INTEGER,
    NUMBER,
    Choice,
    Field,
    ListOf,
    Section,
    Shape,
    TableOf,
    Value,
    plain,
    section_of,
)

Schema = dict[str, object]

_JSON_TYPES = {INTEGER: "integer", NUMBER: "number", BOOLEAN: "boolean"}
# Any value may be a reference, whatever its type.
_REFERENCE = r"\$\{"


def config_schema() -> Schema:
    """Return the JSON Schema of config.yaml."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Configuration of the gateway",
        **_of(section_of(Config)),
    }


def in_words(shape: Shape) -> str:
    """Return what a key takes, with its unit and range."""
    match shape:
        case Value(format=form, range=None):
            words = form.name
        case Value(format=form, range=bounds) if bounds is not None:
            words = f"{form.name}, {form.show(bounds.low)} to {form.show(bounds.high)}"
        case Choice():
            words = "one of " + ", ".join(str(choice) for choice in shape.choices)
        case ListOf():
            words = f"{'one, or a list' if shape.single else 'list'}: {in_words(shape.item)}"
        case TableOf():
            words = f"mapping from {shape.key.name}: {in_words(shape.value)}"
        case _:
            words = "mapping"
    return f"{words}; or null" if shape.nullable else words


def is_simple(shape: Shape) -> bool:
    """Tell whether a key's default can be shown on one line."""
    match shape:
        case ListOf():
            return is_simple(shape.item)
        case TableOf():
            return is_simple(shape.value)
        case _:
            return isinstance(shape, Value | Choice)


def _of(shape: Shape) -> Schema:
    match shape:
        case Value():
            return _value(shape)
        case Choice():
            choices = [*shape.choices, None] if shape.nullable else list(shape.choices)
            return {"anyOf": [{"enum": choices}, {"type": "string", "pattern": _REFERENCE}]}
        case ListOf():
            several: Schema = {"type": ["array", "null"], "items": _of(shape.item)}
            return {"anyOf": [_of(shape.item), several]} if shape.single else several
        case TableOf():
            return {"type": ["object", "null"], "additionalProperties": _of(shape.value)}
        case Section():
            return _section(shape)


def _value(shape: Value) -> Schema:
    pattern = shape.format.pattern
    # YAML reads 007 as a number where a name is meant: the gateway takes it as text.
    texts = ["string"] if pattern else ["string", "number", "boolean"]
    native = _JSON_TYPES.get(shape.format)
    types = [native, "string"] if native else texts
    if shape.nullable:
        types = [*types, "null"]
    schema: Schema = {"type": types if len(types) > 1 else types[0]}
    if pattern is not None:
        schema["pattern"] = f"^(?:{pattern.pattern})$|{_REFERENCE}"
    elif native:
        schema["pattern"] = _REFERENCE
    if native and shape.range:
        schema |= {"minimum": shape.range.low, "maximum": shape.range.high}
    return schema


def _section(shape: Section) -> Schema:
    schema: Schema = {
        "type": ["object", "null"],
        "description": shape.doc,
        "additionalProperties": False,
        "properties": {field.key: _property(field) for field in shape.fields},
    }
    required = [field.key for field in shape.fields if field.required]
    return {**schema, "type": "object", "required": required} if required else schema


def _property(field: Field) -> Schema:
    schema = _of(field.shape)
    schema["description"] = f"{field.doc} ({in_words(field.shape)})"
    if isinstance(field.shape, Section):
        schema["description"] = field.doc
    elif not field.required and is_simple(field.shape):
        schema["default"] = plain(field.shape, field.default)
    return schema
