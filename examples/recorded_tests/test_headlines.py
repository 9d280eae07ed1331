"""The app's tests: real replies, with no key, no network and no bill."""

import pytest
from headlines import headline

ARTICLE = (
    "On Tuesday the city council voted to keep the old tram line in service until 2031, "
    "after residents of three districts had collected 12,000 signatures."
)


@pytest.fixture(scope="module")
def written() -> str:
    """Have one headline written for all tests."""
    return headline(ARTICLE)


def test_a_headline_is_short(written: str) -> None:
    """It fits above an article."""
    assert 3 <= len(written.split()) <= 8


def test_a_headline_tells_what_happened(written: str) -> None:
    """It names what the article is about."""
    assert "tram" in written.lower()
