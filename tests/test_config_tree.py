"""Trees of texts: paths, overrides, and problems that hold no key."""

import pytest

from gateway.config_tree import (
    ConfigError,
    Entry,
    Items,
    Origin,
    Problem,
    Problems,
    Scalar,
    Table,
    joined,
    parent,
)

HERE = Origin(file="config.yaml", line=3)


def scalar(text: str, **marks: bool) -> Scalar:
    return Scalar(origin=HERE, text=text, written=text, **marks)


def table(**values: Scalar | Items | Table) -> Table:
    entries = tuple(Entry(origin=HERE, key=key, value=value) for key, value in values.items())
    return Table(origin=HERE, entries=entries)


@pytest.mark.parametrize("text", ["", "~", "null", "Null", "NULL"])
def test_nothing_in_all_its_spellings(text: str) -> None:
    """YAML's words for nothing are nothing, unless they are quoted or came from a variable."""
    assert scalar(text).is_null
    assert not scalar(text, quoted=True).is_null
    assert not scalar(text, literal=True).is_null


def test_long_texts_are_cut_in_messages() -> None:
    """A message quotes sixty characters at most, as they stood in the file."""
    assert scalar("short").shown == "'short'"
    assert scalar("x" * 61).shown == f"'{'x' * 60}…'"


def test_put_replaces_and_adds() -> None:
    """A value is put where its keys lead, and mappings on the way are made."""
    new = scalar("new")

    assert table(a=scalar("old")).put(("a",), new).get("a") == new
    assert table(a=table(b=scalar("old"))).put(("a", "b"), new).get("a") == table(b=new)
    assert table().put(("a", "b"), new).get("a") == table(b=new)
    assert table(a=scalar("")).put(("a", "b"), new).get("a") == table(b=new)


def test_put_hides_no_mistake() -> None:
    """Where a text stands in place of a mapping, it stays, to be told as the problem that it is."""
    wrong = table(a=scalar("text"))

    assert wrong.put(("a", "b"), scalar("new")) == wrong


@pytest.mark.parametrize(
    ("above", "key", "path"),
    [
        ("", "server", "server"),
        ("server", "listen", "server.listen"),
        ("upstreams", 0, "upstreams[0]"),
        ("", 0, "[0]"),
        ("models", "llama3.2", 'models["llama3.2"]'),
        ("models", "gpt-4o", "models.gpt-4o"),
        ("models", "a b/c*", 'models["a b/c*"]'),
    ],
)
def test_paths(above: str, key: str | int, path: str) -> None:
    """A path reads as one would write it, and leads back up."""
    assert joined(above, key) == path
    assert parent(path) == above


def test_no_path_has_no_end() -> None:
    """Going up from whatever path ends at the root."""
    for odd in ('models["a"b"]', "[", "a..b", 'x["]"]', "x[", '"'):
        path = odd
        for _ in odd:
            path = parent(path)
        assert path == ""


def test_a_problem_is_one_line() -> None:
    """File, line, path and message, as far as there are any."""
    problem = Problem(file="config.yaml", line=3, path="server.listen", message="is wrong")

    assert str(problem) == "config.yaml:3: server.listen: is wrong"
    assert str(Problem(file="--listen", line=None, path="", message="is wrong")) == (
        "--listen: is wrong"
    )


def test_a_misplaced_key_is_masked() -> None:
    """What looks like a key is not printed, in whichever field it was put."""
    problems = Problems()

    problems.add(HERE, "auth.sk-proj-abc_123", "expected one of key, got 'sk-proj-abc_123'")

    (problem,) = problems
    assert (problem.path, problem.message) == (
        "auth.sk-********",
        "expected one of key, got 'sk-********'",
    )


def test_problems_come_in_file_order() -> None:
    """The reader goes from the top of a file to its end."""
    problems = Problems()
    for line in (7, 3, 5):
        problems.add(Origin(file="config.yaml", line=line), "", "is wrong")

    error = ConfigError(problems)

    assert [problem.line for problem in error.problems] == [3, 5, 7]
    assert str(error).splitlines()[0] == "config.yaml:3: is wrong"
