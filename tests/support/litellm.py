"""LiteLLM's configurations written in a test: what they become, and what is told of them."""

import re
from pathlib import Path

import yaml

from gateway.config import Config
from gateway.config_loader import load
from gateway.litellm_import import convert

# One model that can be carried over, for a test that is about something else.
MODEL = """\
model_list:
  - model_name: fast
    litellm_params: {model: openai/gpt-4o-mini, api_key: os.environ/OPENAI_API_KEY}
"""


def imported(folder: Path, text: str) -> tuple[dict[str, object], list[str]]:
    """Return the sections that `text` becomes, and the notes without the file's name.

    Whatever comes out is a configuration that the gateway takes once its variables are set.
    """
    source = folder / "litellm.yaml"
    source.write_text(text, encoding="utf-8")
    found = convert(source)
    usable(folder, found.text)
    sections = yaml.safe_load(found.text)
    assert isinstance(sections, dict)
    return sections, [str(note).removeprefix(f"{source}:") for note in found.notes]


def usable(folder: Path, text: str) -> Config:
    """Return what the gateway makes of a configuration, its variables set to something."""
    path = folder / "config.yaml"
    path.write_text(text, encoding="utf-8")
    names = re.findall(r"\$\{(\w+)[}:]", text)
    values = {
        name: "redis://localhost" if name == "REDIS_URL" else "http://upstream.example:8000"
        for name in names
    }
    return load(path, values).config
