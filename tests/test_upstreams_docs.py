"""The snippets and the figures of docs/upstreams.md are those of the program."""

import re
from pathlib import Path

import pytest
import trustme

from gateway.config import Upstream
from gateway.config_loader import load
from tests.support.configs import loaded

DOCUMENT = Path(__file__).parent.parent / "docs" / "upstreams.md"
SECTIONS = re.findall(
    r"^## (.+?)\n(.*?)(?=^## |\Z)", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
)
SNIPPETS = [
    (title, snippet)
    for title, text in SECTIONS
    for snippet in re.findall(r"^```yaml\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
]


def variables(snippet: str) -> dict[str, str]:
    """Return something for each variable that a snippet refers to."""
    return dict.fromkeys(re.findall(r"\$\{(\w+)\}", snippet), "value-of-the-variable")


def test_each_upstream_has_one_snippet() -> None:
    """Every section but the table of timeouts shows what to write, once."""
    assert [title for title, _ in SNIPPETS] == [title for title, _ in SECTIONS[:-1]]


@pytest.mark.parametrize("snippet", [s for _, s in SNIPPETS], ids=[title for title, _ in SNIPPETS])
def test_a_snippet_is_a_whole_configuration(snippet: str, tmp_path: Path) -> None:
    """Copied into a file, with its variables set, it is all that the gateway needs."""
    config = loaded(tmp_path, snippet, variables(snippet))

    assert all(upstream.base_url.path for upstream in config.upstreams if upstream.kind == "openai")


@pytest.mark.parametrize("snippet", [s for _, s in SNIPPETS], ids=[title for title, _ in SNIPPETS])
def test_what_a_snippet_leaves_commented_is_right_too(snippet: str, tmp_path: Path) -> None:
    """Its commented lines, taken in, are accepted; a file that one names is there."""
    authority = tmp_path / "company.pem"
    trustme.CA().cert_pem.write_to_path(str(authority))
    whole = re.sub(r"^( *)#(?=\w)", r"\1", snippet, flags=re.MULTILINE)
    whole = whole.replace("/etc/ssl/company.pem", str(authority))

    assert loaded(tmp_path, whole, variables(whole)).upstreams


def test_the_defaults_that_are_told_hold() -> None:
    """The table of timeouts has the seconds that an upstream has without a word."""
    (upstream,) = load(None, {"OPENAI_API_KEY": "value-of-the-variable"}).config.upstreams
    told = re.findall(r"^\| `(\w+_timeout)` \| (\d+) s \|", SECTIONS[-1][1], re.MULTILINE)

    assert isinstance(upstream, Upstream)
    assert [(name, getattr(upstream, name)) for name, _ in told] == [
        (name, float(seconds)) for name, seconds in told
    ]
    assert len(told) == 3
