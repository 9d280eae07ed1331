"""How log lines look and where they go: JSON or text on stderr, written by a thread so that nobody waits for a pipe.

Nothing of a prompt, an answer or a key is ever logged: callers pass fields by name, and control characters are escaped.
"""

import contextlib
import json
import logging
import queue
import sys
from logging.handlers import QueueHandler, QueueListener
from time import gmtime  # noqa: TID251 - how a stamp is written, not what time it is
from typing import TextIO

# Lines that wait for a slow stderr; above that they are dropped rather than held.
MAX_WAITING_LINES = 10_000


class JsonFormatter(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line: dict[str, object] = {
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S") + f".{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "message": record.getMessage(),
        }
        line.update(getattr(record, "fields", {}))
        return json.dumps(line, default=str)


class TextFormatter(logging.Formatter):
    """A line for people."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        fields = " ".join(
            f"{name}={_plain(value)}"
            for name, value in getattr(record, "fields", {}).items()
            if value is not None
        )
        line = f"{self.formatTime(record, '%H:%M:%S')} {record.levelname.lower():7} {record.getMessage()}"
        return f"{_escaped(line)} {fields}".rstrip()


def _plain(value: object) -> str:
    text = _escaped(str(value))
    return f'"{text}"' if " " in text or not text else text


def _escaped(text: str) -> str:
    return text if text.isprintable() else text.encode("unicode_escape").decode("ascii")


class _DroppingQueueHandler(QueueHandler):
    """Hands lines to the writing thread; a line that finds the queue full is dropped."""

    def enqueue(self, record: logging.LogRecord) -> None:
        """Take a line without waiting."""
        with contextlib.suppress(queue.Full):
            self.queue.put_nowait(record)

    def prepare(self, record: logging.LogRecord) -> logging.LogRecord:
        """Leave the record as it is: it stays within this process, and is formatted by the thread."""
        return record


class _QuietStreamHandler(logging.StreamHandler[TextIO]):
    """Writes lines; a full disk or a closed stderr costs lines, never the process."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """Drop the line."""


def start(level: str, style: str, stream: TextIO | None = None) -> QueueListener:
    """Send the package's log to `stream` (default: stderr) and return what stops it again.

    `style`: json, text, or auto (text on a terminal).
    """
    target = stream if stream is not None else sys.stderr
    if style == "auto":
        style = "text" if target is not None and target.isatty() else "json"
    handler = _QuietStreamHandler(target)
    formatter = TextFormatter() if style == "text" else JsonFormatter()
    formatter.converter = gmtime
    handler.setFormatter(formatter)
    waiting: queue.Queue[logging.LogRecord] = queue.Queue(MAX_WAITING_LINES)
    listener = QueueListener(waiting, handler)
    root = logging.getLogger("gateway")
    root.handlers[:] = [_DroppingQueueHandler(waiting)]
    root.setLevel(level.upper())
    root.propagate = False
    listener.start()
    return listener
