"""Who may call, as it is configured."""

from pathlib import Path

import pytest

from gateway.config_access import Auth, Key
from gateway.config_types import Secret


@pytest.mark.parametrize(
    ("auth", "mode"),
    [
        (Auth(), "none"),
        (Auth(keys=(Key(user="a"),)), "keys"),
        (Auth(keys_files=(Path("keys.yaml"),)), "keys"),
        (Auth(mode="open", keys=(Key(user="a"),)), "open"),
        (Auth(mode="none"), "none"),
    ],
)
def test_keys_decide_the_mode_that_is_not_set(auth: Auth, mode: str) -> None:
    """With keys, or files that will hold some, a key is asked for; a set mode stands."""
    assert auth.effective_mode == mode


def test_a_key_and_its_digest_are_one() -> None:
    """The digest is the SHA-256 of the key, computed or given."""
    digest = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"

    assert Key(user="a", key=Secret("test")).digest == digest
    assert Key(user="a", sha256=digest).digest == digest
