"""The snippets of docs/migration.md are what the program makes of them, and takes."""

from pathlib import Path

import yaml

from tests.support.configs import UPSTREAM, loaded
from tests.support.litellm import imported
from tests.test_architecture import ROOT
from tests.test_documentation import blocks

PAGE = (ROOT / "docs" / "migration.md").read_text(encoding="utf-8")
THEIRS, OURS, KEYS, LIMITS = blocks(PAGE, "yaml")


def test_the_example_becomes_what_is_shown(tmp_path: Path) -> None:
    """LiteLLM's file of the page becomes the configuration beside it, and nothing of it is lost."""
    sections, notes = imported(tmp_path, THEIRS)

    assert sections == yaml.safe_load(OURS)
    assert [note.partition(" ")[2] for note in notes] == [
        "general_settings.master_key: differs: a key like others, of the user `master`;"
        " keys have 16 characters or more"
    ]


def test_the_keys_and_limits_are_taken(tmp_path: Path) -> None:
    """The list of keys and the rules are such as the gateway takes."""
    (tmp_path / "client-keys.yaml").write_text(KEYS)

    config = loaded(tmp_path, f"{UPSTREAM}auth: {{keys_files: [client-keys.yaml]}}\n{LIMITS}")

    assert [key.user for key in config.auth.keys] == ["alice"]
    assert config.limits[0].match.user == "alice"
