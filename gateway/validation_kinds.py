"""The kinds of rule for single values that the tables of parameters are made of: small frozen values.

`check` judges a value whole, `check_type` only its JSON type; both return nothing, or raise Fault.
What is made of other rules stands in `validation_shapes`; which parameters there are, in `endpoints`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from re import Pattern
from typing import Generic, TypeVar

from gateway import validation_faults as faults

Judged = TypeVar("Judged")


class Rule:
    """What holds for one value."""

    __slots__ = ()

    @property
    def types(self) -> tuple[type, ...]:
        """The types that a value may have, as decoded."""
        raise NotImplementedError

    @property
    def expected(self) -> str:
        """What is expected, with its article: "an integer"."""
        raise NotImplementedError

    @property
    def plural(self) -> str:
        """What an array of them is an array of: "integers"."""
        raise NotImplementedError

    @property
    def free(self) -> frozenset[type]:
        """The types of which any value obeys, so that nobody needs to ask."""
        return frozenset()

    @property
    def typed(self) -> frozenset[type]:
        """The types of which any value has the right type, so that `check_type` need not be asked."""
        return frozenset(self.types)

    def obeyed_by(self, values: list[object]) -> bool:
        """Tell whether all of `values` are seen to obey at a glance; False: each has to be checked."""
        free = self.free
        return bool(free) and free.issuperset(map(type, values))

    def check(self, value: object) -> None:
        """Raise Fault unless `value` obeys."""
        self.check_type(value)

    def check_type(self, value: object) -> None:
        """Raise Fault unless `value` has the right JSON type."""
        if type(value) not in self.types:
            raise faults.wrong_type(self.expected, value)


@dataclass(frozen=True, slots=True)
class Law(Generic[Judged]):
    """A rule between several values: what it says, and the function that raises Fault."""

    text: str
    judge: Callable[[Judged], None]


@dataclass(frozen=True, slots=True)
class Boolean(Rule):
    """`true` or `false`."""

    types = (bool,)
    expected = "a boolean"
    plural = "booleans"
    free = frozenset({bool})


@dataclass(frozen=True, slots=True)
class Number(Rule):
    """A number in a range, its ends included."""

    minimum: float | None = None
    maximum: float | None = None

    types = (int, float)
    expected = "a decimal"
    plural = "decimals"

    def check(self, value: object) -> None:
        """Raise Fault unless it is a number in range."""
        if type(value) is not float and type(value) is not int:
            raise faults.wrong_type(self.expected, value)
        if self.maximum is not None and value > self.maximum:
            raise faults.above_maximum("decimal", value, self.maximum)
        if self.minimum is not None and value < self.minimum:
            raise faults.below_minimum("decimal", value, self.minimum)


@dataclass(frozen=True, slots=True)
class Integer(Rule):
    """A whole number in a range, its ends included; `1.0` is one, as in JSON Schema."""

    minimum: int | None = None
    maximum: int | None = None

    types = (int, float)
    expected = "an integer"
    plural = "integers"

    @property
    def free(self) -> frozenset[type]:
        """Any integer obeys where there are no bounds."""
        return frozenset({int} if self.minimum is None and self.maximum is None else ())

    @property
    def typed(self) -> frozenset[type]:
        """Any integer is a whole number; not every decimal is."""
        return frozenset({int})

    def check(self, value: object) -> None:
        """Raise Fault unless it is a whole number in range."""
        if type(value) is not int and not (type(value) is float and value.is_integer()):
            raise faults.wrong_type(self.expected, value)
        if self.maximum is not None and value > self.maximum:
            raise faults.above_maximum("integer", value, self.maximum)
        if self.minimum is not None and value < self.minimum:
            raise faults.below_minimum("integer", value, self.minimum)

    def check_type(self, value: object) -> None:
        """Raise Fault unless it is a whole number."""
        if type(value) is not int and not (type(value) is float and value.is_integer()):
            raise faults.wrong_type(self.expected, value)


@dataclass(frozen=True, slots=True)
class String(Rule):
    """Text, where need be not empty, of at most so many characters, of one form."""

    max_length: int | None = None
    pattern: Pattern[str] | None = None
    may_be_empty: bool = True

    types = (str,)
    expected = "a string"
    plural = "strings"

    @property
    def free(self) -> frozenset[type]:
        """Any text obeys where nothing is wanted of it."""
        return frozenset({str} if self == String() else ())

    def check(self, value: object) -> None:
        """Raise Fault unless it is text of that length and form."""
        if type(value) is not str:
            raise faults.wrong_type(self.expected, value)
        if not value and not self.may_be_empty:
            raise faults.empty_string()
        if self.max_length is not None and len(value) > self.max_length:
            raise faults.too_long_string(value, self.max_length)
        if self.pattern is not None and not self.pattern.fullmatch(value):
            raise faults.no_match(self.pattern.pattern)


@dataclass(frozen=True, slots=True)
class Url(Rule):
    """A URL of any scheme, `data:` among them; only its beginning is looked at."""

    types = (str,)
    expected = "a string"
    plural = "strings"

    def check(self, value: object) -> None:
        """Raise Fault unless it begins as URLs do (RFC 3986, section 3.1)."""
        if type(value) is not str:
            raise faults.wrong_type(self.expected, value)
        scheme, colon, rest = value[:64].partition(":")
        if not (colon and rest and scheme[:1].isalpha() and scheme.isascii()):
            raise faults.no_url()


@dataclass(frozen=True, slots=True)
class Enum(Rule):
    """One of some words; where it is open, any other word too, since OpenAI adds to them."""

    words: tuple[str, ...]
    is_open: bool = False

    types = (str,)
    plural = "strings"

    @property
    def expected(self) -> str:
        """What is expected: "one of 'a', 'b', or 'c'"."""
        return f"one of {faults.quoted(self.words, 'or')}"

    def check(self, value: object) -> None:
        """Raise Fault unless it is one of the words."""
        if type(value) is not str:
            raise faults.wrong_type(self.expected, value)
        if value not in self.words and not self.is_open:
            raise faults.unsupported(value, self.words)
