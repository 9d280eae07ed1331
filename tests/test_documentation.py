"""What the documents say is so: their links lead somewhere, their commands exist, the README's snippets run."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

import pytest

from tests.test_architecture import PACKAGE, ROOT

DOCUMENTS = sorted(
    path
    for folder in (".", "docs", "docs/decisions", "benchmarks", "dashboards", "examples")
    for path in (ROOT / folder).glob("*.md")
)
README = (ROOT / "README.md").read_text(encoding="utf-8")
DEFAULT_URL = "http://127.0.0.1:4000/v1"

every_document = pytest.mark.parametrize(
    "path", DOCUMENTS, ids=[path.relative_to(ROOT).as_posix() for path in DOCUMENTS]
)


def blocks(text: str, language: str) -> list[str]:
    """Return a document's code blocks in one language."""
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def anchors(path: Path) -> set[str]:
    """Return the anchors that a page's headings have, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading).lower().replace(" ", "-") for heading in headings}


@every_document
def test_links_lead_somewhere(path: Path) -> None:
    """A relative link names a file of the repository, and an anchor in it a heading."""
    for target in re.findall(r"\]\(([^)\s]+)\)", path.read_text(encoding="utf-8")):
        if not re.match(r"[a-z]+:", target):
            name, _, anchor = target.partition("#")
            linked = path.parent / name if name else path
            assert linked.exists(), target
            assert not anchor or anchor in anchors(linked), target


@every_document
def test_commands_exist(path: Path) -> None:
    """Each `make` target and each `gateway` command that a document names is there."""
    text = path.read_text(encoding="utf-8")
    targets = re.findall(r"^([a-z-]+):.*##", (ROOT / "Makefile").read_text(), re.MULTILINE)
    commands = set(re.findall(r"(?:^|`|[$] )(?:\.venv/bin/)?gateway ([a-z-]+)", text, re.MULTILINE))

    assert set(re.findall(r"(?:^|`)make ([a-z-]+)", text, re.MULTILINE)) <= set(targets)
    for command in commands:
        asked = subprocess.run(
            [sys.executable, "-m", "gateway", command, "--help"], capture_output=True, check=False
        )
        assert asked.returncode == 0, command


def test_every_module_stands_in_the_layout() -> None:
    """docs/architecture.md says of each module, or of the folder that holds it, what lives there."""
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    named = set(re.findall(r"^\| (`.+?) \|", page, re.MULTILINE))
    named = {name for cell in named for name in re.findall(r"`([^`]+)`", cell)}
    there = {
        f"{path.name}/" if path.is_dir() else path.name
        for path in PACKAGE.iterdir()
        if path.name not in ("__init__.py", "__pycache__")
    }

    assert {name for name in there if not any(fnmatch(name, one) for one in named)} == set()
    assert {one for one in named if not any(fnmatch(name, one) for name in there)} == set()


def test_every_decision_is_listed() -> None:
    """docs/architecture.md lists the decision records, numbered without a gap."""
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    records = sorted(path.name for path in (ROOT / "docs" / "decisions").glob("*.md"))

    assert re.findall(r"^\| \[\d+\]\(decisions/([^)]+)\)", page, re.MULTILINE) == records
    assert [int(name[:4]) for name in records] == list(range(1, len(records) + 1))


@pytest.fixture(scope="module")
def demo() -> Iterator[str]:
    """Run `gateway demo` on a free port; return its base URL."""
    with subprocess.Popen(
        [sys.executable, "-m", "gateway", "demo", "--listen", "127.0.0.1:0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        lines = process.stdout or ()
        try:
            yield next(found[0] for line in lines if (found := re.findall(r"http://\S+/v1", line)))
        finally:
            process.terminate()


def test_the_readme_s_curl_line_runs(demo: str) -> None:
    """The README's curl line gets an answer from the demo."""
    (command,) = (block for block in blocks(README, "bash") if block.startswith("curl "))

    done = subprocess.run(
        ["bash", "-c", command.replace(DEFAULT_URL, demo)],
        capture_output=True,
        check=True,
        timeout=60,
    )

    reply = json.loads(done.stdout)
    assert reply["choices"][0]["message"]["content"] == "Say this is a test"


def test_the_readme_s_sdk_snippet_runs(demo: str) -> None:
    """The README's SDK snippet prints the demo's answer."""
    (snippet,) = blocks(README, "python")

    done = subprocess.run(
        [sys.executable, "-c", snippet.replace(DEFAULT_URL, demo)],
        capture_output=True,
        check=True,
        timeout=60,
    )

    assert done.stdout == b"Say this is a test"
