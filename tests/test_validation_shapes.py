"""What the rules made of rules take, and the paths that their faults have."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.validation_faults import Fault
from gateway.validation_kinds import Enum, Integer, Law, Rule, String
from gateway.validation_shapes import Array, Either, Map, Object, Variants

POINT = Object({"x": Integer(0), "y": Integer(0), "tag": String()}, required=("x",))


def _not_empty(value: dict[str, object]) -> None:
    if "" in value.values():
        raise Fault("empty", "Empty.", "x")


NOT_EMPTY = Law("not empty", _not_empty)
SHAPE = Variants("type", {"point": POINT, "any": Object({})}, elsewhere=frozenset({"line"}))


def fault_of(rule: Rule, value: object, *, by_type: bool = False) -> tuple[str | None, str] | None:
    """Return code and path of the refusal of `value`, None where it is taken."""
    try:
        (rule.check_type if by_type else rule.check)(value)
    except Fault as fault:
        return fault.code, fault.param
    return None


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ([], None),
        ([1, 2, 3], None),
        ([1, -1], ("integer_below_min_value", "[1]")),
        ([1, "x"], ("invalid_type", "[1]")),
        ([1, 2, 3, 4], ("array_above_max_length", "")),
        ({}, ("invalid_type", "")),
    ],
)
def test_arrays(value: object, expected: object) -> None:
    """The path of an item has its place."""
    assert fault_of(Array(Integer(0), max_length=3), value) == expected


def test_an_array_may_have_to_hold_something() -> None:
    """Where it must, an empty one has a code of its own."""
    assert fault_of(Array(String(), may_be_empty=False), []) == ("empty_array", "")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"x": 1}, None),
        ({"x": 1, "y": None, "z": object()}, None),
        ({"y": 1}, ("missing_required_parameter", "x")),
        ({"x": None}, ("invalid_type", "x")),
        ({"x": 1, "y": -1}, ("integer_below_min_value", "y")),
        ([], ("invalid_type", "")),
    ],
)
def test_objects(value: object, expected: object) -> None:
    """Unknown members and null pass; what is required must be there and not null."""
    assert fault_of(POINT, value) == expected


def test_a_required_member_may_be_nullable() -> None:
    """Then it must be there all the same."""
    rule = Object({"x": Integer()}, required=("x",), nullable=("x",))
    assert fault_of(rule, {"x": None}) is None
    assert fault_of(rule, {}) == ("missing_required_parameter", "x")


def test_laws_come_last() -> None:
    """A law between members sees only an object whose members obey."""

    def forbid(value: dict[str, object]) -> None:
        raise Fault(None, "no", "x")

    rule = Object({"x": Integer()}, laws=(Law("none", forbid),))
    assert fault_of(rule, {"x": "a"}) == ("invalid_type", "x")
    assert fault_of(rule, {"x": 1}) == (None, "x")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"a": "x"}, None),
        ({"a": "x", "b": "y", "c": "z"}, ("object_above_max_properties", "")),
        ({"abcd": "x"}, ("property_name_above_max_length", "")),
        ({"a": None}, ("invalid_type", "a")),
        ({"a": "long"}, ("string_above_max_length", "a")),
        ([], ("invalid_type", "")),
    ],
)
def test_maps(value: object, expected: object) -> None:
    """Names and values of the client's own have bounds."""
    assert fault_of(Map(String(3), max_properties=2, max_name_length=3), value) == expected


TEXTS_OR_TOKENS = Either((String(), Array(String()), Array(Integer()), Array(Array(Integer()))))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("x", None),
        ([], None),
        (["x"], None),
        ([1], None),
        ([[1], [2]], None),
        (["x", 1], ("invalid_type", "[1]")),
        ([1, "x"], ("invalid_type", "[1]")),
        ([[1], ["x"]], ("invalid_type", "[1][0]")),
        ([{}], ("invalid_type", "[0]")),
        (1, ("invalid_type", "")),
    ],
)
def test_choices(value: object, expected: object) -> None:
    """The value's type chooses the rule, and the first item's among arrays."""
    assert fault_of(TEXTS_OR_TOKENS, value) == expected


def test_a_choice_tells_all_that_it_takes() -> None:
    """The words for a choice are those of OpenAI's messages."""
    assert TEXTS_OR_TOKENS.expected == (
        "one of a string, array of strings, array of integers, or array of arrays of integers"
    )
    assert Either((Enum(("a", "b")), SHAPE)).expected == "one of one of 'a' or 'b' or object"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"type": "point", "x": 1}, None),
        ({"type": "point"}, ("missing_required_parameter", "x")),
        ({"type": "cube"}, None),
        ({"type": "line"}, ("invalid_value", "type")),
        ({}, ("missing_required_parameter", "type")),
        ({"type": None}, ("invalid_type", "type")),
        ({"type": ["point"]}, ("invalid_type", "type")),
        ("point", ("invalid_type", "")),
    ],
)
def test_variants(value: object, expected: object) -> None:
    """The tag chooses the rule; a new one passes, one that belongs elsewhere does not."""
    assert fault_of(SHAPE, value) == expected


def test_closed_variants_take_no_new_tag() -> None:
    """A set that decides what else must be there can't be added to from outside."""
    assert fault_of(Variants("type", {"a": POINT}, is_open=False), {"type": "b"}) == (
        "invalid_value",
        "type",
    )


def test_paths_go_all_the_way() -> None:
    """A fault deep inside has the path from the top."""
    rule = Object({"shapes": Array(SHAPE)})
    assert fault_of(rule, {"shapes": [{"type": "any"}, {"type": "point", "x": -1}]}) == (
        "integer_below_min_value",
        "shapes[1].x",
    )


@pytest.mark.parametrize(
    ("rule", "value", "expected"),
    [
        (POINT, {}, None),
        (SHAPE, {}, None),
        (Array(Integer(0)), [-1], None),
        (Array(Integer(0)), ["x"], ("invalid_type", "[0]")),
        (Array(POINT, max_length=1), [{}, {}], None),
        (TEXTS_OR_TOKENS, ["x", 1], None),
        (Map(String(3)), {"a": 1}, None),
        (Map(String(3)), [["a", 1]], None),
        (Map(String(3)), "x", ("invalid_type", "")),
        (POINT, "x", ("invalid_type", "")),
    ],
)
def test_a_type_is_no_content(rule: Rule, value: object, expected: object) -> None:
    """Judged by type alone, only an array's items are looked at, and these by their type."""
    assert fault_of(rule, value, by_type=True) == expected


members: st.SearchStrategy[object] = (
    st.none() | st.integers(0, 1) | st.text("ab", max_size=1) | st.just([])
)
shapes = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(("point", "any", "line", "new", 7)),
        "x": members,
        "tag": members,
        "other": members,
    },
)


@given(st.lists(shapes | st.integers(), max_size=9))
def test_what_obeys_at_a_glance_obeys(values: list[object]) -> None:
    """Many objects looked at together are judged as each by itself."""
    free = Object({"x": String(), "tag": String()}, required=("x",), laws=(NOT_EMPTY,))
    for rule in (free, Variants("type", {"point": free, "any": Object({})})):
        each = [fault_of(rule, value) for value in values]
        assert not (rule.obeyed_by(values) and any(each))
        first = next((index for index, fault in enumerate(each) if fault), None)
        code, path = fault_of(Array(rule), values) or (None, "")
        assert (first is None, code) == (path == "", None if first is None else each[first][0])  # type: ignore[index]
        assert first is None or path.startswith(f"[{first}]")


def test_plain_objects_obey_at_a_glance() -> None:
    """Texts under known names, anything under others."""
    rule = Object({"x": String()}, required=("x",))
    assert rule.obeyed_by([{"x": "a"}, {"x": "b", "y": "c"}])
    assert not rule.obeyed_by([{"x": "a"}, {"x": 1}])
    assert not rule.obeyed_by([{"x": "a"}, {}])
    assert not rule.obeyed_by([{"x": "a"}, {"x": None}])
