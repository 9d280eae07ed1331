"""What a rule says when it is broken, in OpenAI's words and with OpenAI's codes."""

from collections.abc import Iterable, Sequence

from gateway.errors import shown

# A number of thousands of digits is legal JSON; a message repeats so many.
_SHOWN_DIGITS = 40

_TYPE_WORDS = {
    bool: "a boolean",
    int: "an integer",
    float: "a decimal number",
    str: "a string",
    list: "an array",
    dict: "an object",
}


class Fault(Exception):  # noqa: N818  (nobody but `validation.check` sees one)
    """What is wrong with a value; on its way out it gathers the path to it.

    In `text`, `{param}` stands for that path.
    """

    def __init__(self, code: str | None, text: str, *path: str | int) -> None:
        super().__init__(text)
        self.code = code
        self.text = text
        self.path = list(path)

    @property
    def param(self) -> str:
        """The path as OpenAI writes it: `messages[2].content`."""
        steps = (
            f"[{step}]" if isinstance(step, int) else f".{shown(step)[1:-1]}" for step in self.path
        )
        return "".join(steps).removeprefix(".")

    @property
    def message(self) -> str:
        """The text with the path in its place."""
        return self.text.replace("{param}", self.param, 1)


def wrong_type(expected: str, value: object) -> Fault:
    """Return the fault of a value that is no `expected`, a word with its article."""
    came = _TYPE_WORDS.get(type(value), "null")
    return Fault(
        "invalid_type",
        f"Invalid type for '{{param}}': expected {expected}, but got {came} instead.",
    )


def missing(name: str) -> Fault:
    """Return the fault of an object that lacks the member `name`."""
    return Fault("missing_required_parameter", "Missing required parameter: '{param}'.", name)


def unsupported(value: str, supported: Iterable[str]) -> Fault:
    """Return the fault of a word that is none of those supported."""
    return Fault(
        "invalid_value",
        f"Invalid value: {shown(value)}. Supported values are: {quoted(supported, 'and')}.",
    )


def above_maximum(kind: str, value: float, maximum: float) -> Fault:
    """Return the fault of a number that is too large; `kind` is "integer" or "decimal"."""
    return Fault(
        f"{kind}_above_max_value",
        f"Invalid '{{param}}': {kind} above maximum value. "
        f"Expected a value <= {maximum}, but got {str(value)[:_SHOWN_DIGITS]} instead.",
    )


def below_minimum(kind: str, value: float, minimum: float) -> Fault:
    """Return the fault of a number that is too small; `kind` is "integer" or "decimal"."""
    return Fault(
        f"{kind}_below_min_value",
        f"Invalid '{{param}}': {kind} below minimum value. "
        f"Expected a value >= {minimum}, but got {str(value)[:_SHOWN_DIGITS]} instead.",
    )


def too_long_string(value: str, maximum: int) -> Fault:
    """Return the fault of a text of too many characters."""
    return Fault(
        "string_above_max_length",
        "Invalid '{param}': string too long. Expected a string with maximum length "
        f"{maximum}, but got a string with length {len(value)} instead.",
    )


def empty_string() -> Fault:
    """Return the fault of a text that must not be empty."""
    return Fault(
        "empty_string",
        "Invalid '{param}': empty string. "
        "Expected a string with minimum length 1, but got an empty string instead.",
    )


def no_match(pattern: str) -> Fault:
    """Return the fault of a text of the wrong form."""
    return Fault(
        "invalid_value",
        "Invalid '{param}': string does not match pattern. "
        f"Expected a string that matches the pattern '{pattern}'.",
    )


def no_url() -> Fault:
    """Return the fault of a text that is no URL."""
    return Fault(
        "invalid_value",
        "Invalid '{param}'. Expected a valid URL, but got a value with an invalid format.",
    )


def too_long_array(value: Sequence[object], maximum: int) -> Fault:
    """Return the fault of an array of too many items."""
    return Fault(
        "array_above_max_length",
        "Invalid '{param}': array too long. Expected an array with maximum length "
        f"{maximum}, but got an array with length {len(value)} instead.",
    )


def empty_array() -> Fault:
    """Return the fault of an array that must not be empty."""
    return Fault(
        "empty_array",
        "Invalid '{param}': empty array. "
        "Expected an array with minimum length 1, but got an empty array instead.",
    )


def too_many_properties(count: int, maximum: int) -> Fault:
    """Return the fault of an object of too many members."""
    return Fault(
        "object_above_max_properties",
        "Invalid '{param}': too many properties. Expected an object with at most "
        f"{maximum} properties, but got an object with {count} properties instead.",
    )


def too_long_name(name: str, maximum: int) -> Fault:
    """Return the fault of an object's member whose name has too many characters."""
    return Fault(
        "property_name_above_max_length",
        f"Invalid property name in '{{param}}': {shown(name)} is too long. Expected a string "
        f"with maximum length {maximum}, but got a string with length {len(name)} instead.",
    )


def quoted(words: Iterable[str], joint: str) -> str:
    """Return "'a'", "'a' or 'b'", "'a', 'b', or 'c'"."""
    return joined([f"'{word}'" for word in words], joint)


def joined(words: Sequence[str], joint: str) -> str:
    """Return "a", "a or b", "a, b, or c"."""
    if len(words) <= 2:
        return f" {joint} ".join(words)
    return f"{', '.join(words[:-1])}, {joint} {words[-1]}"
