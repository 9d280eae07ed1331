"""What the command line says, and to whom: answers to standard output, complaints to standard error.

Nothing of what is said is decided here.
"""

import contextlib
import os
import sys
from typing import NoReturn

from gateway.config_tree import ConfigError, Problem
from gateway.errors import StartError

FINE, FAILED, WRONG = 0, 1, 2


def say(*lines: str) -> None:
    """Write to standard output; a reader that left is no news to anybody."""
    if sys.stdout is None:
        raise StartError("standard output is closed")
    try:
        sys.stdout.writelines(f"{line}\n" for line in lines)
        sys.stdout.flush()
    except BrokenPipeError:
        raise SystemExit(FAILED) from None
    except OSError as error:
        raise StartError(f"cannot write to standard output: {error.strerror}") from None


def complain(code: int, *lines: str) -> int:
    """Write to standard error, as far as there is one, and return `code`."""
    if sys.stderr is not None:
        with contextlib.suppress(OSError):
            sys.stderr.writelines(f"{_harmless(line)}\n" for line in lines)
            sys.stderr.flush()
    return code


def refuse(source: str, message: str) -> NoReturn:
    """Raise the ConfigError for wrong usage."""
    raise ConfigError([Problem(file=source, line=None, path="", message=message)])


def flushed() -> bool:
    """Tell whether nothing is left to write: Python flushes once more when it ends."""
    if sys.stdout is None:
        return True
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return False
    return True


def _harmless(line: str) -> str:
    """Return a line in which nothing steers a terminal: a file's own words may be in it."""
    return line if line.isprintable() else line.encode("unicode_escape").decode("ascii")
