"""What an installation takes: bytes on disk, and how many packages."""

import contextlib
import json
import re
import subprocess
import tomllib
from dataclasses import dataclass
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

ROOT = Path(__file__).parents[1]
# What every virtual environment has.
TOOLS = {"pip", "setuptools", "wheel"}


@dataclass(frozen=True, slots=True)
class Installed:
    """Bytes on disk, interpreters not counted, the number of packages, and the version of the first."""

    size_bytes: int
    packages: int
    version: str


def gateway() -> Installed:
    """Return what the gateway takes with all that it needs to run."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    found: dict[str, Distribution] = {}
    names = [_name(text) for text in project["dependencies"]]
    while names:
        name = names.pop()
        if name in found:
            continue
        try:
            found[name] = distribution(name)
        except PackageNotFoundError:
            # Not for this Python or system.
            continue
        needed = found[name].requires or []
        names += [_name(text) for text in needed if "extra ==" not in text]
    own = _bytes(ROOT / "gateway")
    whole = own + sum(map(_distribution_bytes, found.values()))
    return Installed(whole, 1 + len(found), commit(ROOT))


def environment(folder: Path, package: str) -> Installed:
    """Return what a virtual environment holds beside the tools that each has."""
    site = next((folder / "lib").glob("python3*/site-packages"))
    named = (path.name.removesuffix(".dist-info") for path in site.glob("*.dist-info"))
    packages = dict(name.lower().split("-", 1) for name in named)
    tools = sum(_bytes(path) for path in site.iterdir() if path.name.partition("-")[0] in TOOLS)
    version = packages[package.replace("-", "_")]
    return Installed(_bytes(site) - tools, len(packages.keys() - TOOLS), version)


def node_modules(folder: Path, package: str) -> Installed:
    """Return what npm laid down."""
    manifests = folder.glob("node_modules/**/package.json")
    packages = [
        path
        for path in manifests
        if path.parents[1].name == "node_modules"
        or (path.parents[2].name == "node_modules" and path.parents[1].name.startswith("@"))
    ]
    manifest = json.loads((folder / "node_modules" / package / "package.json").read_text())
    return Installed(_bytes(folder / "node_modules"), len(packages), manifest["version"])


def binary(path: Path, source: Path) -> Installed:
    """Return what one program takes."""
    return Installed(path.stat().st_size, 1, commit(source))


def commit(source: Path) -> str:
    """Return what Git calls the state of a checkout; nothing where that cannot be told."""
    asked = ["git", "-C", str(source), "describe", "--always", "--tags", "--dirty"]
    with contextlib.suppress(OSError, subprocess.CalledProcessError):
        return subprocess.run(asked, check=True, capture_output=True, text=True).stdout.strip()
    return ""


def _name(requirement: str) -> str:
    found = re.match(r"[\w.-]+", requirement)
    return re.sub(r"[-_.]+", "-", found.group().lower()) if found else requirement


def _distribution_bytes(found: Distribution) -> int:
    paths = (Path(str(file.locate())) for file in found.files or ())
    return sum(path.stat().st_size for path in paths if path.is_file())


def _bytes(folder: Path) -> int:
    if folder.is_file():
        return folder.stat().st_size
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file())
