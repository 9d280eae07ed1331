"""What each kind of rule for single values takes."""

import re

import pytest

from gateway.validation_faults import Fault
from gateway.validation_kinds import Boolean, Enum, Integer, Number, Rule, String, Url


def code_of(rule: Rule, value: object) -> str | None:
    """Return the code of the refusal of `value`, "" where it is taken."""
    try:
        rule.check(value)
    except Fault as fault:
        return fault.code
    return ""


@pytest.mark.parametrize(
    ("rule", "value", "code"),
    [
        (Boolean(), True, ""),
        (Boolean(), 1, "invalid_type"),
        (Boolean(), "true", "invalid_type"),
        (Number(0, 2), 0, ""),
        (Number(0, 2), 2.0, ""),
        (Number(0, 2), 2.0001, "decimal_above_max_value"),
        (Number(0, 2), -1, "decimal_below_min_value"),
        (Number(0, 2), True, "invalid_type"),
        (Number(), 10**400, ""),
        (Integer(1, 5), 5, ""),
        (Integer(1, 5), 5.0, ""),
        (Integer(1, 5), 4.5, "invalid_type"),
        (Integer(1, 5), 6, "integer_above_max_value"),
        (Integer(1, 5), 0, "integer_below_min_value"),
        (Integer(), False, "invalid_type"),
        (String(), "", ""),
        (String(), 1, "invalid_type"),
        (String(may_be_empty=False), "", "empty_string"),
        (String(3), "äöü", ""),
        (String(3), "abcd", "string_above_max_length"),
        (String(pattern=re.compile("^[a-z]+$")), "ab", ""),
        (String(pattern=re.compile("^[a-z]+$")), "ab\n", "invalid_value"),
        (Url(), "https://x", ""),
        (Url(), "data:image/png;base64,AA==", ""),
        (Url(), "x", "invalid_value"),
        (Url(), "https:", "invalid_value"),
        (Url(), "4:x", "invalid_value"),
        (Url(), None, "invalid_type"),
        (Enum(("a", "b")), "a", ""),
        (Enum(("a", "b")), "c", "invalid_value"),
        (Enum(("a", "b"), is_open=True), "c", ""),
        (Enum(("a", "b"), is_open=True), 1, "invalid_type"),
    ],
)
def test_each_kind_draws_its_line(rule: Rule, value: object, code: str) -> None:
    """A value on the line is taken, one beyond it has the code that says why."""
    assert code_of(rule, value) == code


@pytest.mark.parametrize(
    ("rule", "value"),
    [
        (Number(0, 2), 99),
        (Integer(1, 5), 0),
        (String(3), "abcd"),
        (Enum(("a",)), "c"),
        (Url(), "x"),
    ],
)
def test_a_type_is_no_range(rule: Rule, value: object) -> None:
    """Judged by type alone, a value may lie anywhere."""
    rule.check_type(value)
    with pytest.raises(Fault) as caught:
        rule.check_type([value])
    assert caught.value.code == "invalid_type"


def test_values_of_a_free_type_are_all_taken() -> None:
    """Only a rule that wants nothing but the type says that nobody needs to ask."""
    assert String().free == {str}
    assert String(5).free == frozenset()
    assert Integer().free == {int}
    assert Integer(0).free == frozenset()
    assert Boolean().free == {bool}
    assert Number().free == frozenset()
