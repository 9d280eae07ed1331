"""The shape of a configuration, read off its dataclasses; reader, schema and docs walk it.

Nothing here knows a key by name.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass, replace
from pathlib import Path
from types import NoneType, UnionType
from typing import (
    Annotated,
    Literal,
    TypeAlias,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

from gateway.config_types import BadValueError, Doc, Format, OneOrMore, Range

_INTEGER = re.compile(r"-?[0-9]{1,15}")
_NUMBER = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,15})?")
# YAML 1.2's spellings: on, off, yes and no are words.
_BOOLEANS = dict.fromkeys(("true", "True", "TRUE"), True) | dict.fromkeys(
    ("false", "False", "FALSE"), False
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """One text."""

    format: Format
    range: Range | None = None
    nullable: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """One of several words or numbers."""

    choices: tuple[str | int, ...]
    nullable: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ListOf:
    """A list of equal shapes, read to a tuple."""

    item: "Shape"
    # Whether a single item may stand without the list around it.
    single: bool = False
    nullable: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TableOf:
    """A mapping from names of the user's choice to equal shapes."""

    key: Format
    value: "Shape"
    nullable: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """A key of a section; `attribute` is its name in the dataclass."""

    key: str
    attribute: str
    doc: str
    shape: "Shape"
    # MISSING where the key is required.
    default: object

    @property
    def required(self) -> bool:
        """Whether the key must be given."""
        return self.default is MISSING


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A mapping with fixed keys, read to a dataclass."""

    build: Callable[..., object]
    doc: str
    fields: tuple[Field, ...]
    nullable: bool = False


Shape: TypeAlias = Value | Choice | ListOf | TableOf | Section


def shape_of(hint: object) -> Shape:
    """Return the shape that a field's type stands for."""
    marks: list[object] = []
    if get_origin(hint) is Annotated:
        hint, *marks = get_args(hint)
    bounds = next((mark for mark in marks if isinstance(mark, Range)), None)
    for mark in marks:
        if isinstance(mark, Format):
            return Value(format=mark, range=bounds)
    shape = _optional(hint) or _composite(hint)
    if isinstance(shape, ListOf) and any(isinstance(mark, OneOrMore) for mark in marks):
        return replace(shape, single=True)
    return replace(shape, range=bounds) if bounds and isinstance(shape, Value) else shape


def section_of(section: type) -> Section:
    """Return the shape of a dataclass."""
    return Section(
        build=section,
        doc=(section.__doc__ or "").strip(),
        fields=tuple(_fields(section)),
    )


def plain(shape: Shape, value: object) -> object:
    """Return a value in the terms that a configuration file has: mappings, lists, texts, numbers.

    Secrets are masked.
    """
    match shape, value:
        case Value(format=form), _ if value is not None:
            return value if form in _NATIVE else form.show(value)
        case ListOf(item=item), tuple():
            return [plain(item, one) for one in value]
        case TableOf(key=key, value=inner), Mapping():
            return {key.show(name): plain(inner, one) for name, one in value.items()}
        case Section(fields=members), _ if value is not None:
            return {
                member.key: plain(member.shape, getattr(value, member.attribute))
                for member in members
            }
    return value


def _optional(hint: object) -> Shape | None:
    if get_origin(hint) not in (Union, UnionType):
        return None
    (inner,) = (arg for arg in get_args(hint) if arg is not NoneType)
    return replace(shape_of(inner), nullable=True)


def _composite(hint: object) -> Shape:
    arguments = get_args(hint)
    origin = get_origin(hint)
    if origin is Literal:
        return Choice(choices=arguments)
    if origin is tuple:
        return ListOf(item=shape_of(arguments[0]))
    if origin is Mapping:
        key = shape_of(arguments[0])
        if not isinstance(key, Value):
            raise TypeError(f"{hint} is no type for a configuration's mapping")
        return TableOf(key=key.format, value=shape_of(arguments[1]))
    if isinstance(hint, type) and is_dataclass(hint):
        return section_of(hint)
    if isinstance(hint, type) and hint in _FORMATS:
        return Value(format=_FORMATS[hint])
    raise TypeError(f"{hint} is no type for a configuration's field")


def _fields(section: type) -> list[Field]:
    hints = get_type_hints(section, include_extras=True)
    found = []
    for field in fields(section):
        hint = hints[field.name]
        shape = shape_of(hint)
        docs = [mark.text for mark in get_args(hint) if isinstance(mark, Doc)]
        default: object = field.default
        if field.default_factory is not MISSING:
            default = field.default_factory()
        doc = docs[0] if docs else shape.doc if isinstance(shape, Section) else ""
        # A key such as `for` is a keyword of Python: its field has an underscore at its end.
        key = field.name.removesuffix("_")
        found.append(Field(key=key, attribute=field.name, doc=doc, shape=shape, default=default))
    return found


def _parse_integer(text: str) -> int:
    if not _INTEGER.fullmatch(text):
        raise BadValueError
    return int(text)


def _parse_number(text: str) -> float:
    if not _NUMBER.fullmatch(text):
        raise BadValueError
    return float(text)


def _show_number(value: float) -> str:
    return f"{value:.15g}"


def _parse_boolean(text: str) -> bool:
    if text not in _BOOLEANS:
        raise BadValueError
    return _BOOLEANS[text]


def _show_boolean(value: bool) -> str:
    return str(value).lower()


def _parse_path(text: str) -> Path:
    if not text or not text.isprintable():
        raise BadValueError
    return Path(text)


INTEGER = Format("whole number", "a whole number", _INTEGER, _parse_integer)
NUMBER = Format("number", "a number", _NUMBER, _parse_number, _show_number)
BOOLEAN = Format("true or false", "true or false", None, _parse_boolean, _show_boolean)
PATH = Format("path", "a file's path", None, _parse_path)
_FORMATS: dict[type, Format] = {int: INTEGER, float: NUMBER, bool: BOOLEAN, Path: PATH}
_NATIVE = (INTEGER, NUMBER, BOOLEAN)
