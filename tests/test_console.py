"""What the command line says: answers, complaints, and how it refuses."""

import pytest

from gateway.config_tree import ConfigError
from gateway.console import complain, flushed, refuse, say


def test_answers_and_complaints_go_apart(capsys: pytest.CaptureFixture[str]) -> None:
    """Answers go to standard output, complaints with their exit code to standard error."""
    say("an answer", "another")

    assert complain(2, "a complaint") == 2
    assert flushed()
    assert capsys.readouterr() == ("an answer\nanother\n", "a complaint\n")


def test_a_complaint_steers_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """Control characters in a complaint, which may quote a file, are written out; other scripts are left alone."""
    complain(1, "clé: \x1b[2J", "clé")

    assert capsys.readouterr().err == "cl\\xe9: \\x1b[2J\nclé\n"


def test_a_refusal_names_its_source() -> None:
    """Wrong usage is a ConfigError of one line."""
    with pytest.raises(ConfigError) as raised:
        refuse("--user", "expected a name")

    assert str(raised.value) == "--user: expected a name"
