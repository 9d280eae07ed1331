"""What is installed is the package and nothing else."""

import re
import zipfile
from pathlib import Path

import pytest

from tests.test_architecture import PACKAGE, ROOT


def test_the_wheel_holds_the_package_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is installed is the package, its metadata and licence, and nothing that lies about in the tree."""
    build = pytest.importorskip("hatchling.build", reason="hatchling is in requirements/dev.txt")
    monkeypatch.chdir(ROOT)
    wheel = tmp_path / build.build_wheel(str(tmp_path))

    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    metadata = {name for name in names if re.match(r"gateway-[^/]+\.dist-info/", name)}
    package = {
        path.relative_to(ROOT).as_posix()
        for path in PACKAGE.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert names - metadata == package
    assert {name.partition("/")[2] for name in metadata} == {
        "METADATA",
        "RECORD",
        "WHEEL",
        "entry_points.txt",
        "licenses/LICENSE",
    }
