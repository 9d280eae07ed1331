"""One counter for all tests of this folder: its encodings take a second to load."""

import pytest

from gateway.tokens import ModelTable, TokenCounter
from gateway.tokens.encodings import PATTERNS, Encoder, load


@pytest.fixture(scope="session")
def encoders() -> dict[str, Encoder]:
    """Return every encoder."""
    return load(PATTERNS)


@pytest.fixture(scope="session")
def counter() -> TokenCounter:
    """Return a counter without overrides; what it learns is shared by the tests that use it."""
    return TokenCounter(ModelTable())
