"""Configurations written in a test: loaded, or the problems that they have."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from gateway.config import Config
from gateway.config_loader import load
from gateway.config_tree import ConfigError

# A file that is right, so that a test needs to write no more than what it is about.
UPSTREAM = """\
upstreams:
  - name: local
    base_url: http://127.0.0.1:8000/v1
"""


def written(folder: Path, text: str) -> Path:
    """Write a configuration file and return its path."""
    path = folder / "config.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def loaded(folder: Path, text: str, environ: Mapping[str, str] | None = None) -> Config:
    """Return the configuration that `text` makes."""
    return load(written(folder, text), environ or {}).config


def problems(folder: Path, text: str, environ: Mapping[str, str] | None = None) -> list[str]:
    """Return the problems of `text` as they are printed, the folder left out."""
    with pytest.raises(ConfigError) as raised:
        load(written(folder, text), environ or {})
    return [str(problem).replace(f"{folder}/", "") for problem in raised.value.problems]
