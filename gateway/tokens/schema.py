"""JSON Schemas as OpenAI's models read them: TypeScript for tools, a thinned JSON for response formats.

Both walk what a client sent, so both stop at a bound: of nodes, since references can multiply, and of depth.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from gateway.tokens.values import Object, as_list, as_object, as_text, compact

MAX_NODES = 20_000
MAX_DEPTH = 100

_NAMES = {
    "string": "string",
    "number": "number",
    "integer": "number",
    "boolean": "boolean",
    "null": "null",
    "object": "object",
    "array": "any[]",
}
# What the models are not shown of a response format's schema: rules that sampling is bound to anyway.
_HIDDEN = frozenset(
    {
        "additionalProperties",
        "default",
        "exclusiveMaximum",
        "exclusiveMinimum",
        "maxItems",
        "maxLength",
        "maxProperties",
        "maximum",
        "minItems",
        "minLength",
        "minProperties",
        "minimum",
        "multipleOf",
        "required",
        "uniqueItems",
    }
)
# Their values are no schemas; below the second kind stand names of the client's own.
_PLAIN = frozenset(("enum", "const", "examples"))
_NAMED = frozenset(("properties", "$defs", "definitions", "patternProperties"))
# Members that no recorded request shows: how they are written is a guess.
_GUESSED_IN_TYPES = frozenset(("const", "allOf", "not", "if", "format", "pattern", "prefixItems"))
_GUESSED_IN_JSON = frozenset(("allOf", "not", "if", "format", "pattern", "prefixItems", "examples"))


def comment(text: object) -> str:
    """Return a description as comment lines, its empty lines dropped."""
    lines = (line.strip() for line in as_text(text).split("\n"))
    return "".join([f"// {line}\n" for line in lines if line])


@dataclass(slots=True)
class TypeWriter:
    """Writes the types of one function's parameters; `exact` turns false at what is a guess."""

    root: Object
    exact: bool = True
    nodes: int = MAX_NODES

    def arguments(self) -> str:
        """Return what stands between a function's parentheses."""
        if not as_object(self.root.get("properties")):
            return ""
        return f"_: {_head(self.root)}{self._object(self.root, 0)}"

    def _type(self, schema: Object, depth: int) -> str:
        self.nodes -= 1
        if self.nodes < 0 or depth > MAX_DEPTH:
            self.exact = False
            return "any"
        if not _GUESSED_IN_TYPES.isdisjoint(schema):
            self.exact = False
        if options := self._options(schema):
            return " | ".join([self._type(option, depth + 1) for option in options])
        if isinstance(choices := schema.get("enum"), list):
            return " | ".join([compact(choice) for choice in choices])
        kind = as_text(schema.get("type"))
        if kind == "object" and as_object(schema.get("properties")):
            return self._object(schema, depth)
        if kind == "array" and "items" in schema:
            return self._array(self._resolved(schema["items"]), depth)
        return _NAMES.get(kind, "any")

    def _options(self, schema: Object) -> list[Object]:
        """Return the schemas of which a value may follow any; none where it has just one."""
        options = schema.get("anyOf", schema.get("oneOf"))
        if isinstance(options, list):
            self.exact = False
            return [self._resolved(option) for option in options]
        if isinstance(kinds := schema.get("type"), list):
            return [{**schema, "type": kind} for kind in kinds if isinstance(kind, str)]
        return []

    def _array(self, items: Object, depth: int) -> str:
        item = self._type(items, depth + 1)
        if "enum" in items or self._options(items):
            # Whether a union stands in brackets here is not known.
            self.exact = False
        return f"Array<\n{_head(items)}{item}\n>" if item.startswith("{\n") else f"{item}[]"

    def _object(self, schema: Object, depth: int) -> str:
        needed = {name for name in as_list(schema.get("required")) if isinstance(name, str)}
        fields = [
            (name if name in needed else f"{name}?", self._resolved(value))
            for name, value in as_object(schema.get("properties")).items()
        ]
        if not any(self._needs_lines(value) for _, value in fields):
            inline = [f"{name}: {self._type(value, depth + 1)}" for name, value in fields]
            return "{ " + ", ".join(inline) + " }"
        return "{\n" + "".join([self._line(*field, depth + 1) for field in fields]) + "}"

    def _needs_lines(self, schema: Object) -> bool:
        return bool(_head(schema)) or "default" in schema or _is_spread(self._options(schema))

    def _line(self, name: str, schema: Object, depth: int) -> str:
        default = f" // default: {compact(schema['default'])}" if "default" in schema else ""
        options = self._options(schema)
        if _is_spread(options):
            lines = [f"{_head(option)}| {self._type(option, depth + 1)}\n" for option in options]
            return f"{_head(schema)}{name}:\n{''.join(lines)},{default}\n"
        return f"{_head(schema)}{name}: {self._type(schema, depth)},{default}\n"

    def _resolved(self, value: object) -> Object:
        """Return a schema with its reference followed; what stands beside the reference stays."""
        schema = as_object(value)
        for _ in range(MAX_DEPTH):
            reference = schema.get("$ref")
            if not isinstance(reference, str):
                break
            beside = {name: member for name, member in schema.items() if name != "$ref"}
            schema = {**self._target(reference), **beside}
        return schema

    def _target(self, reference: str) -> Object:
        found: object = self.root
        for step in reference.removeprefix("#").strip("/").split("/"):
            found = as_object(found).get(step) if step else found
        return as_object(found)


def _head(schema: Object) -> str:
    return comment(schema.get("title")) + comment(schema.get("description"))


def _is_spread(options: list[Object]) -> bool:
    """Tell whether the options of a union stand on lines of their own."""
    return any(_head(option) or "properties" in option for option in options)


def thinned(schema: object, depth: int = 0) -> tuple[object, bool]:
    """Return a schema without what the models are not shown, and whether that is certain."""
    if depth > MAX_DEPTH:
        return schema, False
    if isinstance(schema, list):
        items = [thinned(item, depth + 1) for item in schema]
        return [item for item, _ in items], all(certain for _, certain in items)
    if not isinstance(schema, Mapping):
        return schema, True
    exact = _GUESSED_IN_JSON.isdisjoint(schema)
    shown: dict[str, object] = {}
    for name, value in schema.items():
        if name in _HIDDEN:
            continue
        if name in _PLAIN:
            shown[name] = value
            continue
        if name in _NAMED and isinstance(value, Mapping):
            members = {key: thinned(member, depth + 1) for key, member in value.items()}
            shown[name] = {key: member for key, (member, _) in members.items()}
            certain = all(certain for _, certain in members.values())
        else:
            shown[name], certain = thinned(value, depth + 1)
        exact = exact and certain
    return shown, exact
