"""Writes docs/configuration.md and config.schema.json from the configuration's dataclasses: `make docs`.

It has docs/validation.md and docs/metrics.md written too.
"""

import json
from collections.abc import Iterator
from pathlib import Path

from docs import generate_metrics, generate_validation
from gateway.config import Config
from gateway.config_schema import config_schema, in_words, is_simple
from gateway.config_shape import Field, ListOf, Section, Shape, TableOf, plain, section_of

ROOT = Path(__file__).parent.parent

MARK = "<!-- From here on generated from gateway/config.py: `make docs` writes it. -->"


def documentation(current: str) -> str:
    """Return docs/configuration.md with all below its mark written anew."""
    parts = [current.partition(MARK)[0] + MARK + "\n"]
    for field in section_of(Config).fields:
        parts.extend(_described(field.key, field.doc, field.shape))
    return "\n".join(parts)


def schema_text() -> str:
    """Return config.schema.json, as `gateway schema` prints it."""
    return json.dumps(config_schema(), indent=2, ensure_ascii=False) + "\n"


def _described(path: str, doc: str, shape: Shape) -> Iterator[str]:
    match shape:
        case ListOf():
            yield from _described(f"{path}[]", doc, shape.item)
        case TableOf():
            yield from _described(f"{path}.<{shape.key.name}>", doc, shape.value)
        case Section():
            yield from _section(path, doc, shape)
        case _:
            return


def _section(path: str, doc: str, shape: Section) -> Iterator[str]:
    rows = [_row(field) for field in shape.fields if _is_row(field)]
    table = ["| key | takes | default | meaning |", "|---|---|---|---|", *rows]
    yield f"## `{path}`\n\n{doc}\n\n" + "\n".join(table) + "\n"
    for field in shape.fields:
        if not _is_row(field):
            yield from _described(f"{path}.{field.key}", field.doc, field.shape)


def _is_row(field: Field) -> bool:
    return is_simple(field.shape)


def _row(field: Field) -> str:
    cells = (f"`{field.key}`", in_words(field.shape), _default(field), field.doc)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _default(field: Field) -> str:
    if field.required:
        return "required"
    value = plain(field.shape, field.default)
    if isinstance(value, list):
        return f"`[{', '.join(str(item) for item in value)}]`"
    return f"`{value}`" if isinstance(value, str) else f"`{json.dumps(value)}`"


if __name__ == "__main__":
    page = ROOT / "docs" / "configuration.md"
    page.write_text(documentation(page.read_text(encoding="utf-8")), encoding="utf-8")
    (ROOT / "config.schema.json").write_text(schema_text(), encoding="utf-8")
    page = ROOT / "docs" / "validation.md"
    page.write_text(generate_validation.documentation(page.read_text("utf-8")), encoding="utf-8")
    page = ROOT / "docs" / "metrics.md"
    page.write_text(generate_metrics.documentation(page.read_text("utf-8")), encoding="utf-8")
