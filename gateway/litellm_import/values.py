"""LiteLLM's settings as they stand in its file: taken key by key, and what nobody takes is told.

What they mean is not decided here. References and secrets are turned into ours.
"""

import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from gateway.config_tree import Entry, Items, Origin, Problems, Scalar, Table, Tree, joined
from gateway.config_types import BadValueError

# YAML 1.1, which LiteLLM reads.
_TRUE = frozenset({"true", "yes", "on"})
_FALSE = frozenset({"false", "no", "off"})
_REFERENCE = re.compile(r"os\.environ/(?P<name>.*)", re.DOTALL)
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# Given where a server wants no key at all.
_PLACEHOLDERS = frozenset(
    {"", "-", "anything", "dummy", "empty", "fake", "fake-key", "n/a", "na", "no-key", "none"}
    | {"not-needed", "not_needed", "null", "placeholder", "xxx"}
)


class Section:
    """One mapping of LiteLLM's file; `left` tells of what was not taken."""

    def __init__(self, tree: Tree | None, path: str, notes: Problems) -> None:
        """`tree`: None where the file has no such mapping."""
        self.path = path
        self._notes = notes
        self._origin = tree.origin if tree is not None else None
        self._origins: dict[str, Origin] = {}
        self._values: dict[str, Tree] = {}
        if isinstance(tree, Table):
            for entry in _merged(tree):
                self._origins[entry.key] = entry.origin
                self._values[entry.key] = entry.value
        elif tree is not None and not _is_null(tree):
            notes.add(tree.origin, path, "not carried over: expected a mapping")

    def __iter__(self) -> Iterator[str]:
        """Yield the keys that were not taken yet; they may be taken on the way."""
        return iter(list(self._values))

    def has(self, key: str) -> bool:
        """Return whether `key` is there and says something."""
        value = self._values.get(key)
        return value is not None and not _is_null(value)

    def fill(self, other: "Section") -> None:
        """Take over from another mapping what this one does not say; the other keeps it too."""
        for key, value in other._values.items():
            if not self.has(key):
                self._values[key] = value
                self._origins[key] = other._origins[key]

    def tell(self, key: str, message: str) -> None:
        """Note something of `key`, which was taken or not."""
        self._notes.add(self._origins[key], joined(self.path, key), message)

    def complain(self, message: str) -> None:
        """Note something of the whole, which has to be there."""
        if self._origin is not None:
            self._notes.add(self._origin, self.path, message)

    def take(self, key: str) -> Tree | None:
        """Return the value of `key`; None where there is none, or null."""
        value = self._values.pop(key, None)
        return None if value is None or _is_null(value) else value

    def drop(self, *keys: str) -> None:
        """Take what needs no word."""
        for key in keys:
            self._values.pop(key, None)

    def text(self, key: str) -> str | None:
        """Return a value's text as it stands there."""
        tree = self.take(key)
        if tree is None or isinstance(tree, Scalar):
            return None if tree is None else tree.text
        self.tell(key, "not carried over: expected a single value")
        return None

    def value(self, key: str) -> str | None:
        """Return a value's text as our configuration writes it."""
        text = self.text(key)
        if text is None:
            return None
        ours = translated(text)
        if ours is None:
            self.tell(key, "not carried over: no variable can have such a name")
        return ours

    def checked(self, key: str, parse: Callable[[str], object]) -> str | None:
        """Return a value as ours if `parse` takes it; its BadValueError is told."""
        ours = self.value(key)
        try:
            if ours is not None:
                parse(ours)
        except BadValueError as error:
            self.tell(key, f"not carried over: {str(error) or 'it is empty, or cannot be printed'}")
            return None
        return ours

    def number(self, key: str, low: float, high: float) -> float | None:
        """Return a number within a range; one that only the environment knows is told."""
        text = self.text(key)
        if text is None:
            return None
        if _REFERENCE.fullmatch(text):
            self.tell(key, "not carried over: a number that stands in the environment")
            return None
        try:
            number = float(text)
        except ValueError:
            number = math.nan
        if not low <= number <= high:
            self.tell(key, f"not carried over: expected a number from {low:g} to {high:g}")
            return None
        return number

    def whole(self, key: str, low: int, high: int) -> int | None:
        """Return a whole number within a range; a fraction is cut off."""
        number = self.number(key, low, high)
        return None if number is None else int(number)

    def flag(self, key: str) -> bool:
        """Return whether `key` is set to true."""
        text = self.text(key)
        if text is None or text.lower() in _TRUE | _FALSE:
            return text is not None and text.lower() in _TRUE
        self.tell(key, "not carried over: expected true or false")
        return False

    def is_mapping(self, key: str) -> bool:
        """Return whether `key` holds a mapping."""
        return isinstance(self._values.get(key), Table)

    def section(self, key: str) -> "Section":
        """Return the mapping below `key`, empty where there is none."""
        return Section(self.take(key), joined(self.path, key), self._notes)

    def sections(self, key: str) -> Iterator["Section"]:
        """Yield the mappings of a list."""
        for index, item in enumerate(self._items(key)):
            yield Section(item, joined(joined(self.path, key), index), self._notes)

    def texts(self, key: str) -> list[str]:
        """Return the texts of a list, or of its only item."""
        items = self._items(key)
        found = [item.text for item in items if isinstance(item, Scalar)]
        if len(found) < len(items):
            self.tell(key, "carried over in part: expected a list of names")
        return found

    def left(self, reasons: Mapping[str, str], otherwise: str) -> None:
        """Tell of each key that nobody took, and why."""
        for key in self:
            if self.take(key) is not None:
                self.tell(key, f"not carried over: {reasons.get(key, otherwise)}")

    def _items(self, key: str) -> tuple[Tree, ...]:
        tree = self.take(key)
        if tree is None:
            return ()
        return tree.items if isinstance(tree, Items) else (tree,)


@dataclass(slots=True)
class Secrets:
    """Which variable stands for which secret that was written in the clear."""

    # Variables that mean something already.
    taken: set[str] = field(default_factory=set)
    _variables: dict[str, str] = field(default_factory=dict)

    def reference(
        self, section: Section, key: str, wanted: str, *, least_characters: int = 0
    ) -> str | None:
        """Return a reference to the secret of `key`; None: there is none, or a placeholder.

        `wanted` is the variable for one that stands in the clear; it never goes into what is written, and one
        of fewer than `least_characters` is not to be used again.
        """
        text = section.text(key)
        if text is None or text.strip().lower() in _PLACEHOLDERS:
            return None
        if _REFERENCE.fullmatch(text):
            ours = translated(text)
            if ours is None:
                section.tell(key, "not carried over: no variable can have such a name")
            return ours
        variable = self._variables.get(text) or self._free(wanted)
        self._variables[text] = variable
        fit = "it" if len(text) >= least_characters else "a new one: it is too short here"
        section.tell(key, f"stands in the clear and was not copied: set {variable} to {fit}")
        return f"${{{variable}}}"

    def _free(self, wanted: str) -> str:
        base = re.sub(r"[^A-Z0-9]+", "_", wanted.upper()).strip("_")
        base = base if _VARIABLE.fullmatch(base) else f"KEY_{base}".rstrip("_")
        name, number = base, 1
        while name in self.taken:
            number += 1
            name = f"{base}_{number}"
        self.taken.add(name)
        return name


def translated(text: str) -> str | None:
    """Return a text with LiteLLM's reference turned into ours; None: its name is no variable's."""
    reference = _REFERENCE.fullmatch(text)
    if reference is None:
        return text.replace("$", "$$")
    name = reference["name"]
    return f"${{{name}}}" if _VARIABLE.fullmatch(name) else None


def usd(amount: float, times: int = 1) -> str:
    """Return an amount of money as our configuration writes it, to a millionth of a dollar."""
    exact = (Decimal(repr(amount)) * times).quantize(Decimal("0.000001"))
    return f"{exact:f}".rstrip("0").rstrip(".")


def referenced(tree: Tree) -> Iterator[str]:
    """Yield the variables that a tree refers to."""
    match tree:
        case Scalar():
            reference = _REFERENCE.fullmatch(tree.text)
            if reference is not None:
                yield reference["name"]
        case Items():
            for item in tree.items:
                yield from referenced(item)
        case Table():
            for entry in tree.entries:
                yield from referenced(entry.value)


def _is_null(tree: Tree) -> bool:
    return isinstance(tree, Scalar) and tree.is_null


def _merged(table: Table) -> list[Entry]:
    """Return a mapping's entries, those that YAML's `<<` takes from others after its own."""
    own = [entry for entry in table.entries if entry.key != "<<"]
    known = {entry.key for entry in own}
    others = table.get("<<")
    for other in others.items if isinstance(others, Items) else (others,):
        for entry in _merged(other) if isinstance(other, Table) else ():
            if entry.key not in known:
                known.add(entry.key)
                own.append(entry)
    return own
