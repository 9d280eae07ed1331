"""LiteLLM's settings taken key by key: what is wrong or left is told, references and secrets become ours."""

from pathlib import Path

import pytest

from gateway.config_loader import document
from gateway.config_tree import Problems
from gateway.litellm_import.values import Secrets, Section, referenced, translated, usd


@pytest.fixture
def notes() -> Problems:
    """Return what is told."""
    return Problems()


def section(folder: Path, notes: Problems, text: str) -> Section:
    """Return a mapping as it stands in a file."""
    path = folder / "litellm.yaml"
    path.write_text(text)
    return Section(document(path), "s", notes)


def told(notes: Problems) -> list[str]:
    """Return the notes without their file."""
    return [f"{note.path}: {note.message}" for note in notes]


def test_references_are_translated() -> None:
    """LiteLLM's reference becomes ours; a dollar sign of its own stands for itself."""
    assert translated("os.environ/AZURE_API_KEY") == "${AZURE_API_KEY}"
    assert translated("not os.environ/X") == "not os.environ/X"
    assert translated("5$") == "5$$"
    assert translated("os.environ/A-B") is None


def test_what_is_left_is_told(tmp_path: Path, notes: Problems) -> None:
    """A key that nobody took is told with its reason, null and what was dropped are not."""
    s = section(tmp_path, notes, "a: 1\nb: 2\nc: 3\nd: null\ne: 5")

    assert s.text("a") == "1"
    s.drop("e")
    s.left({"b": "no room"}, "unknown")

    assert told(notes) == ["s.b: not carried over: no room", "s.c: not carried over: unknown"]


@pytest.mark.parametrize(
    ("text", "number", "why"),
    [
        ("30", 30, None),
        ("0.5", 0.5, None),
        ("101", None, "expected a number from 0 to 100"),
        ("many", None, "expected a number from 0 to 100"),
        (".nan", None, "expected a number from 0 to 100"),
        ("os.environ/N", None, "a number that stands in the environment"),
        ("[1]", None, "expected a single value"),
    ],
)
def test_numbers(
    tmp_path: Path, notes: Problems, text: str, number: float | None, why: str | None
) -> None:
    """A number is taken within its range; anything else is told and left out."""
    assert section(tmp_path, notes, f"n: {text}").number("n", 0, 100) == number
    assert told(notes) == ([] if why is None else [f"s.n: not carried over: {why}"])


def test_flags_are_yaml_1_1(tmp_path: Path, notes: Problems) -> None:
    """`True`, `yes` and `on` are true, as LiteLLM's own reader has it; a flag that is missing is false."""
    s = section(tmp_path, notes, "a: True\nb: yes\nc: on\nd: off\ne: perhaps")

    assert [s.flag(key) for key in "abcdef"] == [True, True, True, False, False, False]
    assert told(notes) == ["s.e: not carried over: expected true or false"]


def test_lists_and_their_only_item(tmp_path: Path, notes: Problems) -> None:
    """A list may be written as its only item; what is no name in it is told."""
    s = section(tmp_path, notes, "a: x\nb: [x, {y: 1}]\nc: [{d: 1}, 2]")

    assert s.texts("a") == ["x"]
    assert s.texts("b") == ["x"]
    assert [list(inner) for inner in s.sections("c")] == [["d"], []]
    assert told(notes) == [
        "s.b: carried over in part: expected a list of names",
        "s.c[1]: not carried over: expected a mapping",
    ]


def test_a_secret_becomes_a_variable(tmp_path: Path, notes: Problems) -> None:
    """One in the clear is told and stands for one variable wherever it comes; a placeholder is no secret."""
    secrets = Secrets(taken={"OPENAI_API_KEY"})
    s = section(
        tmp_path, notes, "a: hush\nb: hush\nc: other\nd: none\ne: os.environ/E\nf: os.environ/1 2"
    )

    assert [secrets.reference(s, key, "openai-api-key") for key in "abcdefg"] == [
        "${OPENAI_API_KEY_2}",
        "${OPENAI_API_KEY_2}",
        "${OPENAI_API_KEY_3}",
        None,
        "${E}",
        None,
        None,
    ]
    assert told(notes)[0] == (
        "s.a: stands in the clear and was not copied: set OPENAI_API_KEY_2 to it"
    )
    assert told(notes)[3:] == ["s.f: not carried over: no variable can have such a name"]


def test_what_a_file_refers_to(tmp_path: Path) -> None:
    """Every variable that a file names is found, wherever it stands."""
    path = tmp_path / "litellm.yaml"
    path.write_text("a: os.environ/A\nb: [os.environ/B, {c: os.environ/C}]")

    assert list(referenced(document(path))) == ["A", "B", "C"]


def test_money_is_exact() -> None:
    """Prices for a token become prices for a million without a rounding of their own."""
    assert usd(0.00003, 1_000_000) == "30"
    assert usd(6e-07, 1_000_000) == "0.6"
    assert usd(100.0) == "100"
    assert usd(0.0) == "0"
