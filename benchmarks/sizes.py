"""What an installation takes: bytes on disk, and how many packages."""

import re
import tomllib
from dataclasses import dataclass
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

ROOT = Path(__file__).parents[1]
# What every virtual environment has.
TOOLS = {"pip", "setuptools", "wheel"}


@dataclass(frozen=True, slots=True)
class Installed:
    """Bytes on disk, interpreters not counted, and the number of packages."""

    size_bytes: int
    packages: int


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
    return Installed(own + sum(map(_distribution_bytes, found.values())), 1 + len(found))


def environment(folder: Path) -> Installed:
    """Return what a virtual environment holds beside the tools that each has."""
    site = next((folder / "lib").glob("python3*/site-packages"))
    packages = {path.name.partition("-")[0].lower() for path in site.glob("*.dist-info")}
    tools = sum(_bytes(path) for path in site.iterdir() if path.name.partition("-")[0] in TOOLS)
    return Installed(_bytes(site) - tools, len(packages - TOOLS))


def node_modules(folder: Path) -> Installed:
    """Return what npm laid down."""
    manifests = folder.glob("node_modules/**/package.json")
    packages = [
        path
        for path in manifests
        if path.parents[1].name == "node_modules"
        or (path.parents[2].name == "node_modules" and path.parents[1].name.startswith("@"))
    ]
    return Installed(_bytes(folder / "node_modules"), len(packages))


def binary(path: Path) -> Installed:
    """Return what one program takes."""
    return Installed(path.stat().st_size, 1)


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
