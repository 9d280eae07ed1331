"""Configuration as it was written: a tree of texts that know their place; what is wrong there.

No YAML (see `config_loader`) and no meaning (see `config_fields`).
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_SHOWN_CHARACTERS = 60
_KEY_LIKE = re.compile(r"\bsk-[\w-]+")
_LAST_STEP = re.compile(r"""(\.?[^.\[\]"]+|\["[^"]*"\]|\[[0-9]+\])$""")


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where something was written: a file and line, or the name of a variable or a flag."""

    file: str
    line: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Scalar:
    """One value as text."""

    origin: Origin
    text: str
    # As it stands in the file, before substitution: what a message may quote.
    written: str
    # Quoted text is never null.
    quoted: bool = False
    # A variable's or a flag's own text holds no references to others.
    literal: bool = False

    @property
    def is_null(self) -> bool:
        """Whether nothing is given."""
        return not self.quoted and not self.literal and self.text in _NULLS

    @property
    def shown(self) -> str:
        """The text as it was written, short enough for a message."""
        cut = self.written[:_SHOWN_CHARACTERS]
        return repr(cut if cut == self.written else f"{cut}…")


@dataclass(frozen=True, slots=True, kw_only=True)
class Items:
    """A list."""

    origin: Origin
    items: tuple["Tree", ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A key and its value; `origin` is the key's."""

    origin: Origin
    key: str
    value: "Tree"


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A mapping, in file order, without duplicate keys."""

    origin: Origin
    entries: tuple[Entry, ...] = ()

    def get(self, key: str) -> "Tree | None":
        """Return the value of `key`, or None."""
        return next((entry.value for entry in self.entries if entry.key == key), None)

    def put(self, keys: tuple[str, ...], value: "Tree") -> "Table":
        """Return a copy in which the value at a path of keys is `value`.

        Unchanged where something else than a mapping is in the way: that is a problem of its own.
        """
        key, *rest = keys
        if rest:
            inner = self.get(key)
            if inner is None or (isinstance(inner, Scalar) and inner.is_null):
                inner = Table(origin=value.origin)
            if not isinstance(inner, Table):
                return self
            value = inner.put(tuple(rest), value)
        others = tuple(entry for entry in self.entries if entry.key != key)
        return replace(self, entries=(*others, Entry(origin=value.origin, key=key, value=value)))


Tree: TypeAlias = Scalar | Items | Table


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing that is wrong: where it stands, its path in the configuration, and what it is."""

    file: str
    line: int | None
    path: str
    message: str

    def __str__(self) -> str:
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        return ": ".join(part for part in (place, self.path, self.message) if part)


class ConfigError(Exception):
    """A configuration that cannot be used, with every problem that was found."""

    def __init__(self, problems: Iterable[Problem], files: Sequence[Path] = ()) -> None:
        """`files`: all that were read on the way: mending one of them may mend it all."""
        self.files = tuple(files)
        self.problems = tuple(
            sorted(problems, key=lambda problem: (problem.file, problem.line or 0))
        )
        super().__init__("\n".join(str(problem) for problem in self.problems))


class Problems:
    """Collects what is wrong, so that all of it is told at once."""

    def __init__(self) -> None:
        self._found: list[Problem] = []

    def __len__(self) -> int:
        return len(self._found)

    def __iter__(self) -> Iterator[Problem]:
        return iter(self._found)

    def add(self, origin: Origin, path: str, message: str) -> None:
        """Note one problem; what looks like a key is masked, wherever it was put by mistake."""
        path, message = (_KEY_LIKE.sub("sk-********", text) for text in (path, message))
        problem = Problem(file=origin.file, line=origin.line, path=path, message=message)
        self._found.append(problem)


def joined(path: str, key: str | int) -> str:
    """Return the path of a key or an index below `path`: `models["llama3.2"].targets[0]`."""
    if isinstance(key, int):
        return f"{path}[{key}]"
    if not key.replace("_", "").replace("-", "").isalnum():
        return f'{path}["{key}"]'
    return f"{path}.{key}" if path else key


def parent(path: str) -> str:
    """Return the path above `path`: empty, the root's, where there is none."""
    above = _LAST_STEP.sub("", path)
    return above if above != path else ""
