"""The command line's `import-litellm`: where it writes, and what it never overwrites."""

from pathlib import Path

import pytest

from gateway.__main__ import main
from tests.support.litellm import MODEL, usable

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Write a configuration of LiteLLM's, one thing of which does not fit."""
    path = tmp_path / "litellm.yaml"
    path.write_text(MODEL + "litellm_settings: {drop_params: true}\n")
    return path


def test_it_writes_to_standard_output(capsys: Capture, source: Path, tmp_path: Path) -> None:
    """The configuration goes to standard output, what does not fit to standard error; that is no failure."""
    assert main(["import-litellm", str(source)]) == 0

    written, told = capsys.readouterr()
    assert list(usable(tmp_path, written).models) == ["fast"]
    assert told == (
        f"{source}:4: litellm_settings.drop_params: not carried over: bodies go up as the client sent them:"
        " what an upstream refuses, the client must not send\n"
    )


def test_it_writes_a_new_file(capsys: Capture, source: Path, tmp_path: Path) -> None:
    """With -o it writes the same to a file, and nothing to standard output."""
    assert main(["import-litellm", str(source)]) == 0
    written = capsys.readouterr().out

    assert main(["import-litellm", str(source), "-o", str(tmp_path / "new.yaml")]) == 0
    assert capsys.readouterr().out == ""
    assert (tmp_path / "new.yaml").read_text() == written


def test_it_overwrites_nothing(capsys: Capture, source: Path, tmp_path: Path) -> None:
    """A file that is there stays as it is."""
    there = tmp_path / "there.yaml"
    there.write_text("mine")

    assert main(["import-litellm", str(source), "-o", str(there)]) == 2
    assert capsys.readouterr().err == f"{there}: nothing was written: File exists\n"
    assert there.read_text() == "mine"


def test_what_is_no_configuration_is_wrong_usage(capsys: Capture, tmp_path: Path) -> None:
    """A file that is missing, or from which nothing can be made, ends with 2 and writes nothing."""
    empty = tmp_path / "empty.yaml"
    empty.touch()

    assert main(["import-litellm", str(empty)]) == 2
    assert capsys.readouterr() == ("", f"{empty}: no model can be carried over\n")
    assert main(["import-litellm", "/nowhere.yaml"]) == 2
    assert capsys.readouterr().err == ("/nowhere.yaml: cannot read it: No such file or directory\n")
