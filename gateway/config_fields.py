"""From a tree of texts to typed values, by the shape of the dataclasses; every problem is noted.

What must be true between fields is in `config_rules`.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from pathlib import Path

from gateway.config_shape import Choice, ListOf, Section, Shape, TableOf, Value
from gateway.config_tree import Entry, Items, Origin, Problems, Scalar, Table, Tree, joined
from gateway.config_types import BadValueError

_KINDS = {Scalar: "a single value", Items: "a list", Table: "a mapping"}


class Invalid:
    """Stands for a value that could not be read; why is noted."""


INVALID = Invalid()


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """Reads trees, noting in `problems` what is wrong and in `origins` where each path stands."""

    problems: Problems
    # What relative paths start from.
    directory: Path
    # Replaces the references in a text, or raises BadValueError.
    expand: Callable[[str], str]
    origins: dict[str, Origin] = field(default_factory=dict)

    def read(self, shape: Shape, tree: Tree, path: str) -> object:
        """Return the value of `tree`, or INVALID with at least one problem noted."""
        self.origins[path] = tree.origin
        if isinstance(tree, Scalar) and not tree.literal:
            try:
                tree = replace(tree, text=self.expand(tree.written))
            except BadValueError as error:
                return self._note(tree, path, str(error))
        if shape.nullable and _is_null(tree):
            return None
        return self._read(shape, tree, path)

    def _read(self, shape: Shape, tree: Tree, path: str) -> object:
        match shape:
            case Value():
                return self._value(shape, tree, path)
            case Choice():
                return self._choice(shape, tree, path)
            case ListOf():
                return self._list(shape, tree, path)
            case TableOf():
                return self._table(shape, tree, path)
            case Section():
                members = self.members(shape, tree, path)
                return INVALID if members is None else _build(shape, members)

    def members(self, shape: Section, tree: Tree, path: str) -> dict[str, object] | None:
        """Return a section's values by attribute, INVALID ones among them; None: no mapping."""
        self.origins[path] = tree.origin
        entries = self._entries(tree, path)
        if entries is None:
            return None
        known = {member.key: member for member in shape.fields}
        values: dict[str, object] = {}
        for entry in entries:
            member = known.get(entry.key)
            if member is None:
                hint = did_you_mean(entry.key, known)
                self._note(entry, joined(path, entry.key), f"unknown key{hint}")
                values[entry.key] = INVALID
            else:
                below = joined(path, entry.key)
                values[member.attribute] = self.read(member.shape, entry.value, below)
        for member in shape.fields:
            if member.required and member.attribute not in values:
                self._note(tree, joined(path, member.key), "missing")
                values[member.attribute] = INVALID
        return values

    def _value(self, shape: Value, tree: Tree, path: str) -> object:
        expected = f"expected {shape.format.expected}"
        if not isinstance(tree, Scalar) or tree.is_null:
            return self._note(tree, path, f"{expected}, got {_kind(tree)}")
        if not shape.format.secret:
            expected += f", got {tree.shown}"
        try:
            value = shape.format.parse(tree.text)
        except BadValueError as error:
            return self._note(tree, path, str(error) or expected)
        if shape.range and isinstance(value, int | float):
            low, high = shape.range.low, shape.range.high
            if not low <= value <= high:
                show = shape.format.show
                message = f"must be from {show(low)} to {show(high)}, got {tree.shown}"
                return self._note(tree, path, message)
        return self.directory / value if isinstance(value, Path) else value

    def _choice(self, shape: Choice, tree: Tree, path: str) -> object:
        choices = {str(choice): choice for choice in shape.choices}
        if isinstance(tree, Scalar) and tree.text in choices:
            return choices[tree.text]
        expected = f"expected one of {', '.join(choices)}"
        if not isinstance(tree, Scalar) or tree.is_null:
            return self._note(tree, path, f"{expected}, got {_kind(tree)}")
        hint = did_you_mean(tree.written, choices)
        return self._note(tree, path, f"{expected}, got {tree.shown}{hint}")

    def _list(self, shape: ListOf, tree: Tree, path: str) -> object:
        if _is_null(tree):
            return ()
        if shape.single and isinstance(tree, Scalar):
            value = self.read(shape.item, tree, path)
            return value if value is INVALID else (value,)
        if not isinstance(tree, Items):
            return self._note(tree, path, f"expected a list, got {_kind(tree)}")
        values = tuple(
            self.read(shape.item, item, joined(path, index))
            for index, item in enumerate(tree.items)
        )
        return INVALID if INVALID in values else values

    def _table(self, shape: TableOf, tree: Tree, path: str) -> object:
        entries = self._entries(tree, path)
        if entries is None:
            return INVALID
        values: dict[object, object] = {}
        for entry in entries:
            below = joined(path, entry.key)
            try:
                key = shape.key.parse(entry.key)
            except BadValueError as error:
                reason = str(error) or f"expected {shape.key.expected}"
                key = self._note(entry, below, reason)
            if key in values:
                key = self._note(entry, below, "stands here twice, in other letters")
            values[key] = self.read(shape.value, entry.value, below)
        return INVALID if INVALID in (*values, *values.values()) else values

    def _entries(self, tree: Tree, path: str) -> tuple[Entry, ...] | None:
        if isinstance(tree, Table):
            return tree.entries
        if _is_null(tree):
            return ()
        self._note(tree, path, f"expected a mapping, got {_kind(tree)}")
        return None

    def _note(self, at: Tree | Entry, path: str, message: str) -> Invalid:
        self.problems.add(at.origin, path, message)
        return INVALID


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return the end of a message that names what was probably meant, or nothing."""
    close = get_close_matches(word, list(known), n=1)
    return f"; did you mean {close[0]}?" if close else ""


def _build(shape: Section, members: dict[str, object]) -> object:
    return INVALID if INVALID in members.values() else shape.build(**members)


def _is_null(tree: Tree) -> bool:
    return isinstance(tree, Scalar) and tree.is_null


def _kind(tree: Tree) -> str:
    return "nothing" if _is_null(tree) else _KINDS[type(tree)]
