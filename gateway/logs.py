"""How log lines look and where they go: JSON or text on stderr, written in batches by a thread of their own.

Nobody on the event loop waits for a pipe or a disk. Nothing of a prompt, an answer or a key is ever logged: callers
pass fields by name, and control characters are escaped.
"""

import contextlib
import json
import logging
import sys
from collections.abc import Callable, Mapping
from typing import Protocol, TextIO

import msgspec

from gateway.batching import Batches
from gateway.clock import Clock, utc_stamp

# Lines that wait for a slow stderr; above that they are dropped rather than held.
MAX_WAITING_LINES = 10_000
# How long lines are gathered: waking the thread for each would cost more than the line.
BATCH_SECONDS = 0.05
# Warnings and errors a second: an upstream that is away must not fill a disk.
MAX_WARNINGS = 10

# Whose records are taken; the exporter of spans tells of its failures by the second.
_LOGGERS = ("gateway", "opentelemetry")

# Made once. What lies beyond ASCII, controls among it, is spelled out by the slower of the two.
_encode_quickly = msgspec.json.Encoder(enc_hook=str).encode
_encode = json.JSONEncoder(default=str).encode

Fields = Mapping[str, object]
# A stamp, a level, a message and fields to a line.
Render = Callable[[str, str, str, Fields], str]


class Told(Protocol):
    """A call that ended."""

    @property
    def time(self) -> float:
        """When, in seconds since 1970."""

    def fields(self) -> Fields:
        """Return what is told of it."""


# A line as it will be written, or what is put into words by the thread.
Line = str | tuple[Render, Told]


class Log:
    """The package's log: a handler for `logging`, and the access lines, which are many, beside it."""

    def __init__(self, level: str, style: str, clock: Clock, stream: TextIO | None = None) -> None:
        """Begin. `style`: json, text, or auto (text on a terminal). `stream`: stderr by default."""
        self._stream = stream if stream is not None else sys.stderr
        self.clock = clock
        self._lines = Batches("log", BATCH_SECONDS, MAX_WAITING_LINES, self._written)
        self.configure(level, style)
        for name in _LOGGERS:
            logger = logging.getLogger(name)
            logger.handlers[:] = [_Handler(self)]
            logger.propagate = False

    def configure(self, level: str, style: str) -> None:
        """Log from `level` on (debug, info, warning or error) in another style."""
        if style == "auto":
            terminal = self._stream is not None and self._stream.isatty()
            style = "text" if terminal else "json"
        self._render: Render = _text if style == "text" else _json
        logging.getLogger("gateway").setLevel(level.upper())

    def access(self, call: Told) -> None:
        """Write the line of a call that ended."""
        self._lines.put((self._render, call))

    def write(self, level: str, message: str, fields: Fields) -> None:
        """Write a line."""
        self._lines.put(self._render(utc_stamp(self.clock.time()), level, message, fields))

    def _written(self, lines: list[Line]) -> bool:
        """Write lines; what a full disk refuses is lost, nothing else."""
        if lines and self._stream is not None:
            with contextlib.suppress(OSError, ValueError):
                self._stream.write("".join([f"{_worded(line)}\n" for line in lines]))
                self._stream.flush()
        return False

    def stop(self) -> None:
        """Write what is left, and end."""
        for name in _LOGGERS:
            logging.getLogger(name).handlers.clear()
        self._lines.stop()


def _worded(line: Line) -> str:
    if isinstance(line, str):
        return line
    render, call = line
    return render(utc_stamp(call.time), "info", "call", call.fields())


class _Handler(logging.Handler):
    """Hands the records of `logging` to the log."""

    def __init__(self, log: Log) -> None:
        super().__init__()
        self._log = log
        self._second = 0
        self._warnings = 0
        self._unsaid = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record; of warnings and errors no more than some a second, with a count of the rest."""
        fields: Fields = getattr(record, "fields", {})
        if record.levelno >= logging.WARNING:
            second = int(self._log.clock.monotonic())
            if second != self._second:
                self._second, self._warnings = second, 0
            self._warnings += 1
            if self._warnings > MAX_WARNINGS:
                self._unsaid += 1
                return
            if self._unsaid:
                fields = {**fields, "lines_not_logged": self._unsaid}
                self._unsaid = 0
        self._log.write(record.levelname.lower(), record.getMessage(), fields)


def _json(stamp: str, level: str, message: str, fields: Fields) -> str:
    """Return one JSON object."""
    entry = {"time": stamp, "level": level, "message": message, **fields}
    try:
        line = msgspec.json.format(_encode_quickly(entry), indent=0).decode()
    except (UnicodeEncodeError, OverflowError):
        return _encode(entry)
    # JSON spells out all other controls.
    return line if line.isascii() and "\x7f" not in line else _encode(entry)


def _text(stamp: str, level: str, message: str, fields: Fields) -> str:
    """Return a line for people: what is not known is left out."""
    told = " ".join(
        f"{name}={_plain(value)}" for name, value in fields.items() if value is not None
    )
    return f"{stamp[11:19]} {level:7} {_escaped(message)} {told}".rstrip()


def _plain(value: object) -> str:
    text = _escaped(str(value))
    if text and not any(sign in text for sign in ' "='):
        return text
    return '"' + text.replace('"', '\\"') + '"'


def _escaped(text: str) -> str:
    return text if text.isprintable() else text.encode("unicode_escape").decode("ascii")
