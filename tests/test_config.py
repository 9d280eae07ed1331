"""What can be configured, and that the shipped file and the generated pages say the same."""

import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from docs import generate
from gateway.config import Config
from gateway.config_loader import effective, load
from gateway.config_shape import ListOf, Section, Shape, TableOf, Value, section_of

ROOT = Path(__file__).parent.parent
CI_KEY = "a-key-long-enough"


def sections(shape: Shape, path: str = "") -> Iterator[tuple[str, Section]]:
    """Yield every section below a shape, with its path."""
    match shape:
        case Section():
            yield path, shape
            for field in shape.fields:
                yield from sections(field.shape, f"{path}.{field.key}".lstrip("."))
        case ListOf():
            yield from sections(shape.item, path)
        case TableOf():
            yield from sections(shape.value, path)
        case _:
            return


SECTIONS = dict(sections(section_of(Config)))
FIELDS = {
    f"{path}.{field.key}".lstrip("."): field
    for path, section in SECTIONS.items()
    for field in section.fields
}


def uncommented() -> list[str]:
    """Return the lines of config.yaml with every commented key switched on."""
    lines = (ROOT / "config.yaml").read_text(encoding="utf-8").splitlines()
    # `##` and the editor's line are for readers; `#` alone is in front of a key.
    return [re.sub(r"^( *)#(?!#)", r"\1", line) for line in lines[1:]]


@pytest.fixture
def full(tmp_path: Path) -> Config:
    """Return what config.yaml says with everything switched on."""
    path = tmp_path / "config.yaml"
    path.write_text("\n".join(uncommented()), encoding="utf-8")
    return load(path, {"OPENAI_API_KEY": "sk-test", "CI_KEY": CI_KEY}).config


@pytest.mark.parametrize("path", SECTIONS)
def test_sections_are_plain_values(path: str) -> None:
    """Every section is frozen, has slots and is made by keyword."""
    section = SECTIONS[path].build

    assert isinstance(section, type)
    assert section.__dataclass_params__.frozen  # type: ignore[attr-defined]
    assert "__slots__" in section.__dict__
    assert all(field.kw_only for field in dataclasses.fields(section))


@pytest.mark.parametrize("path", FIELDS)
def test_every_key_is_described(path: str) -> None:
    """A key says what it means in a sentence."""
    assert FIELDS[path].doc.endswith(".")


@pytest.mark.parametrize("path", FIELDS)
def test_defaults_lie_in_their_range(path: str) -> None:
    """A default could be written in the file."""
    field = FIELDS[path]
    if not isinstance(field.shape, Value) or field.required or field.default is None:
        return
    shown = field.shape.format.show(field.default)

    assert field.shape.format.parse(shown) == field.default
    if field.shape.range is not None:
        assert isinstance(field.default, int | float)
        assert field.shape.range.low <= field.default <= field.shape.range.high


def test_the_shipped_file_runs_with_one_variable() -> None:
    """config.yaml as it is needs OPENAI_API_KEY and is what the environment alone gives."""
    environ = {"OPENAI_API_KEY": "sk-test"}

    assert load(ROOT / "config.yaml", environ).config == load(None, environ).config


def test_the_shipped_file_shows_the_defaults(full: Config) -> None:
    """What config.yaml shows commented is what holds without it, but for its marked examples."""
    default = Config()
    openai, _ = full.upstreams

    assert full.server == default.server
    assert full.admin == default.admin
    assert full.checks == default.checks
    assert full.logging == default.logging
    assert dataclasses.replace(openai, api_key=None) == default.upstreams[0]


@pytest.mark.parametrize("path", FIELDS)
def test_the_shipped_file_names_every_key(path: str) -> None:
    """Each key stands in config.yaml, and beside it its range."""
    field = FIELDS[path]
    lines = [line for line in uncommented() if re.search(rf"\b{field.key}:", line)]

    assert lines
    if isinstance(field.shape, Value) and field.shape.range is not None:
        show, bounds = field.shape.format.show, field.shape.range
        assert any(f"{show(bounds.low)} to {show(bounds.high)}" in line for line in lines)


def test_the_shipped_file_loads_with_everything_on(full: Config) -> None:
    """With every line uncommented config.yaml is still right, and its secrets stay masked."""
    shown = effective(full)

    assert [key.user for key in full.auth.keys] == ["alice", "ci"]
    assert list(full.models) == ["fast", "llama3.2"]
    assert CI_KEY not in shown
    assert "sk-test" not in shown


def test_the_page_is_current() -> None:
    """docs/configuration.md is what `make docs` writes."""
    page = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")

    assert generate.documentation(page) == page


def test_the_schema_is_current() -> None:
    """config.schema.json, which config.yaml names, is what `gateway schema` prints."""
    text = (ROOT / "config.schema.json").read_text(encoding="utf-8")
    first, _, _ = (ROOT / "config.yaml").read_text(encoding="utf-8").partition("\n")

    assert text == generate.schema_text()
    assert first == "# yaml-language-server: $schema=./config.schema.json"


def test_a_key_in_the_page_has_its_row() -> None:
    """The page shows each key with what it takes, its default and its meaning."""
    page = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")

    row = "| `max_body` | size, 1KiB to 1GiB | `32MiB` | The largest JSON body; 413 above. |"
    assert row in page.splitlines()
    assert (
        "| `retries` | whole number, 0 to 10 | `1` | Further attempts at this upstream. |" in page
    )
