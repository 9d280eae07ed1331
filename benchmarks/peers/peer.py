"""What a peer is: how it is installed into a folder of its own, how it is started from there, and what it lacks."""

import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.targets import Target

INSTALL_SECONDS = 1_200


class LeftOutError(Exception):
    """A peer cannot be had on this machine; the text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """A gateway by somebody else."""

    name: str
    # Both take the folder that it is installed in. Installing raises LeftOutError.
    install: Callable[[Path], None]
    target: Callable[[Path], Target]


def run(argv: Sequence[str], folder: Path) -> None:
    """Run one step of an installation.

    Raises LeftOutError.
    """
    if shutil.which(argv[0], path=None) is None and not (folder / argv[0]).exists():
        raise LeftOutError(f"needs {argv[0]}")
    try:
        subprocess.run(
            argv, cwd=folder, check=True, capture_output=True, text=True, timeout=INSTALL_SECONDS
        )
    except subprocess.CalledProcessError as error:
        lines = [line.strip() for line in error.stderr.splitlines() if line.strip()]
        # Where it was looked for depends on the machine.
        said = re.sub(r"\s*(reading )?https?://\S+", "", " ".join(lines[-2:]))
        raise LeftOutError(said[:300]) from error
    except subprocess.TimeoutExpired as error:
        raise LeftOutError(f"not installed within {INSTALL_SECONDS} s") from error


def from_pypi(*requirements: str) -> Callable[[Path], None]:
    """Return how packages of PyPI are installed: into a virtual environment of its own."""

    def install(folder: Path) -> None:
        run([sys.executable, "-m", "venv", "."], folder)
        run(["bin/pip", "install", "--quiet", *requirements], folder)

    return install
