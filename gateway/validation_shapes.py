"""The kinds of rule that are made of other rules: arrays, objects, maps and choices between rules.

As those of `validation_kinds`: `check` judges a value whole, `check_type` its JSON type and that of
an array's items. A fault leaves with the path to the value that it is about.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import chain, repeat
from operator import contains
from types import NoneType

from gateway import validation_faults as faults
from gateway.validation_faults import Fault
from gateway.validation_kinds import Law, Rule

# Fewer than this are checked as fast as they are looked at together.
_FEW_OBJECTS = 6

Check = Callable[[object], None]
# What is known of a member that has no rule: any value of any type will do.
UNKNOWN: tuple[frozenset[type], Check]
UNKNOWN = (frozenset({NoneType, bool, int, float, str, list, dict}), lambda _: None)


@dataclass(frozen=True, slots=True)
class Array(Rule):
    """Items that each obey a rule, and laws between them."""

    of: Rule
    max_length: int | None = None
    may_be_empty: bool = True
    laws: tuple[Law[list[object]], ...] = ()
    # With fewer items they are checked one by one.
    _few: int = field(init=False, repr=False, compare=False)

    types = (list,)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_few", 0 if self.of.free else _FEW_OBJECTS)

    @property
    def expected(self) -> str:
        """What is expected: "an array of integers"."""
        return f"an array of {self.of.plural}"

    @property
    def plural(self) -> str:
        """What an array of them is an array of."""
        return f"arrays of {self.of.plural}"

    @property
    def typed(self) -> frozenset[type]:
        """None: the items have their types too."""
        return frozenset()

    def check(self, value: object) -> None:
        """Raise Fault unless it is an array of the right length whose items obey."""
        if type(value) is not list:
            raise faults.wrong_type(self.expected, value)
        if not value and not self.may_be_empty:
            raise faults.empty_array()
        if self.max_length is not None and len(value) > self.max_length:
            raise faults.too_long_array(value, self.max_length)
        if len(value) < self._few or not self.of.obeyed_by(value):
            _check_items(self.of.check, value)
        for law in self.laws:
            law.judge(value)

    def check_type(self, value: object) -> None:
        """Raise Fault unless it is an array of items of the right type."""
        if type(value) is not list:
            raise faults.wrong_type(self.expected, value)
        _check_items(self.of.check_type, value)


def _check_items(check: Check, items: list[object]) -> None:
    index = 0
    try:
        for index, item in enumerate(items):  # noqa: B007  (read where it breaks off)
            check(item)
    except Fault as fault:
        fault.path.insert(0, index)
        raise


@dataclass(frozen=True, slots=True)
class Object(Rule):
    """Members that each obey a rule where they are neither missing nor null; others are free."""

    members: Mapping[str, Rule]
    required: tuple[str, ...] = ()
    # Required ones that may be null.
    nullable: tuple[str, ...] = ()
    laws: tuple[Law[dict[str, object]], ...] = ()
    # By name: the types of which any value obeys, and what judges the others.
    _checks: dict[str, tuple[frozenset[type], Check]] = field(init=False, repr=False, compare=False)

    types = (dict,)
    expected = "an object"
    plural = "objects"

    def __post_init__(self) -> None:
        checks = {n: (rule.free | {NoneType}, rule.check) for n, rule in self.members.items()}
        object.__setattr__(self, "_checks", checks)

    def obeyed_by(self, values: list[object]) -> bool:
        """Tell whether all are objects, and any value obeys of the types that are found in them, whatever its name."""
        objects = [value for value in values if type(value) is dict]
        if len(objects) < len(values):
            return False
        for name in self.required:
            if not all(map(contains, objects, repeat(name))):
                return False
        kinds = set(map(type, chain.from_iterable(map(dict.values, objects))))
        if self.required and NoneType in kinds:
            return False
        for name in set(chain.from_iterable(objects)):
            if not kinds <= self._checks.get(name, UNKNOWN)[0]:
                return False
        return not self.laws or self._lawful(objects)

    def _lawful(self, objects: list[dict[str, object]]) -> bool:
        try:
            for law in self.laws:
                for value in objects:
                    law.judge(value)
        except Fault:
            return False
        return True

    def check(self, value: object) -> None:
        """Raise Fault unless it is an object with what is required, whose members obey."""
        if type(value) is not dict:
            raise faults.wrong_type(self.expected, value)
        for name in self.required:
            if value.get(name) is None:
                self._refuse_absence(value, name)
        look_up = self._checks.get
        name = ""
        try:
            for name, member in value.items():
                free, check = look_up(name, UNKNOWN)
                if type(member) not in free:
                    check(member)
        except Fault as fault:
            fault.path.insert(0, name)
            raise
        for law in self.laws:
            law.judge(value)

    def _refuse_absence(self, value: Mapping[str, object], name: str) -> None:
        if name not in value:
            raise faults.missing(name)
        if name not in self.nullable:
            fault = faults.wrong_type(self.members[name].expected, None)
            fault.path.append(name)
            raise fault


@dataclass(frozen=True, slots=True)
class Map(Rule):
    """Names of the client's own choosing, each with a value that obeys one rule."""

    values: Rule
    max_properties: int | None = None
    max_name_length: int | None = None
    expected: str = "an object"
    law: Law[str] | None = None

    types = (dict,)
    plural = "objects"

    def check(self, value: object) -> None:
        """Raise Fault unless it is an object with few enough members, names and values that obey."""
        if type(value) is not dict:
            raise faults.wrong_type(self.expected, value)
        if self.max_properties is not None and len(value) > self.max_properties:
            raise faults.too_many_properties(len(value), self.max_properties)
        for name, member in value.items():
            if self.max_name_length is not None and len(name) > self.max_name_length:
                raise faults.too_long_name(name, self.max_name_length)
            if self.law is not None:
                self.law.judge(name)
            try:
                self.values.check(member)
            except Fault as fault:
                fault.path.insert(0, name)
                raise

    def check_type(self, value: object) -> None:
        """Raise Fault unless it is an object, or the array of pairs that some engines take."""
        if type(value) is not list:
            Rule.check_type(self, value)


@dataclass(frozen=True, slots=True)
class Either(Rule):
    """One of several rules, chosen by the value's type; of arrays, by their first item's."""

    choices: tuple[Rule, ...]
    free: frozenset[type] = field(init=False, repr=False, compare=False)
    _of_type: dict[type, list[Rule]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        of_type: dict[type, list[Rule]] = {}
        for choice in self.choices:
            for kind in choice.types:
                of_type.setdefault(kind, []).append(choice)
        object.__setattr__(self, "_of_type", of_type)
        object.__setattr__(self, "free", frozenset().union(*(c.free for c in self.choices)))

    @property
    def types(self) -> tuple[type, ...]:
        """The types of all choices."""
        return tuple(self._of_type)

    @property
    def expected(self) -> str:
        """What is expected: "one of a string or array of objects"."""
        first, *others = [choice.expected for choice in self.choices]
        bare = [other.removeprefix("an ").removeprefix("a ") for other in others]
        return f"one of {faults.joined([first, *bare], 'or')}"

    @property
    def plural(self) -> str:
        """What an array of them is an array of: "strings or objects"."""
        return faults.joined([choice.plural for choice in self.choices], "or")

    def check(self, value: object) -> None:
        """Raise Fault unless it obeys the choice of its type."""
        fitting = self._of_type.get(type(value))
        if fitting is None:
            raise faults.wrong_type(self.expected, value)
        if len(fitting) > 1 and isinstance(value, list) and value:
            fitting = sorted(fitting, key=lambda choice: not _takes_item(choice, value[0]))
        fitting[0].check(value)


def _takes_item(choice: Rule, item: object) -> bool:
    return isinstance(choice, Array) and type(item) in choice.of.types


@dataclass(frozen=True, slots=True)
class Variants(Rule):
    """Objects that one member, its tag, tells apart.

    Where it is open, tags that nobody has published yet pass with whatever members they have;
    `elsewhere` are published ones that belong in another place.
    """

    tag: str
    cases: Mapping[str, Rule]
    is_open: bool = True
    elsewhere: frozenset[str] = frozenset()
    # What holds without a tag; None: it must have one.
    untagged: Rule | None = None
    _checks: dict[str, Check] = field(init=False, repr=False, compare=False)

    types = (dict,)
    expected = "an object"
    plural = "objects"

    def __post_init__(self) -> None:
        checks = {tag: case.check for tag, case in self.cases.items()}
        object.__setattr__(self, "_checks", checks)

    def obeyed_by(self, values: list[object]) -> bool:
        """Tell whether all are objects of published cases, and each case is obeyed by those of its tag."""
        by_tag: dict[str, list[object]] = {}
        for value in values:
            tag = value.get(self.tag) if type(value) is dict else None
            if type(tag) is not str or tag not in self.cases:
                return False
            by_tag.setdefault(tag, []).append(value)
        for tag, tagged in by_tag.items():  # noqa: SIM110  (a generator costs as much again)
            if not self.cases[tag].obeyed_by(tagged):
                return False
        return True

    def check(self, value: object) -> None:
        """Raise Fault unless it obeys the case that its tag names."""
        if type(value) is not dict:
            raise faults.wrong_type(self.expected, value)
        tag = value.get(self.tag)
        if type(tag) is str:
            check = self._checks.get(tag)
            if check is not None:
                check(value)
            elif not self.is_open or tag in self.elsewhere:
                fault = faults.unsupported(tag, self.cases)
                fault.path.append(self.tag)
                raise fault
        elif tag is None and self.untagged is not None:
            self.untagged.check(value)
        elif self.tag not in value:
            raise faults.missing(self.tag)
        else:
            fault = faults.wrong_type(f"one of {faults.quoted(self.cases, 'or')}", tag)
            fault.path.append(self.tag)
            raise fault
