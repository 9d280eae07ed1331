"""Where the JSON texts of a reply begin and end: one document, or a stream of events; long ones are skimmed.

Each class takes bytes in pieces of any size and comes to the same reading at every split.
"""

import re

from gateway.transcript.reading import Reading

# The longest document or event that is held whole and read.
HELD_BYTES = 64 * 1024
# What is kept of a stream of which only the end matters: its last events, up to so many bytes or one event.
LAST_EVENTS = 16
LAST_BYTES = 16 * 1024

# The longest usage object that is found in a text too long to hold.
_USAGE_BYTES = 4 * 1024
_HEAD_BYTES = 512
# Of objects one level deep: members with details.
_USAGE = re.compile(rb'"usage"\s*:\s*(\{[^{}]*(?:\{[^{}]*\}[^{}]*)*\})')
_TYPE = re.compile(rb'^event: ?([\w.]+)$|"type"\s*:\s*"([\w.]+)"', re.MULTILINE)
_LF = 10
_BLANK_LINES = re.compile(rb"\n{3,}")


class Skim:
    """Looks through a text too long to hold: keeps its last usage object and its type."""

    __slots__ = ("_head", "_tail", "_usage")

    def __init__(self) -> None:
        self._head = b""
        self._tail = b""
        self._usage = b"null"

    def feed(self, data: bytes) -> None:
        """Look through the next bytes."""
        if len(self._head) < _HEAD_BYTES:
            self._head += data[: _HEAD_BYTES - len(self._head)]
        window = self._tail + data
        if b'"usage"' in window:
            # What begins with the window has been seen whole in the one before; a text does not begin so.
            for match in _USAGE.finditer(window, 1):
                # The quotation marks of what is inside a string are escaped.
                in_string = window[: match.start()].endswith(b"\\")
                if not in_string and len(match[0]) < _USAGE_BYTES:
                    self._usage = match[1]
        self._tail = window[-_USAGE_BYTES:]

    def event(self) -> bytes:
        """Return a short event in place of the long one: its type, and its usage."""
        match = _TYPE.search(self._head)
        kind = b"" if match is None else match[1] or match[2]
        return b'event: %b\ndata: {"usage":%b}' % (kind, self._usage)

    def document(self) -> bytes:
        """Return a short document in place of the long one: its usage."""
        return b'{"usage":%b}' % self._usage


class Opaque:
    """A body without a form that we read: sound, images, plain text."""

    __slots__ = ()
    whole = True
    scale = 1.0

    def take(self, data: bytes) -> None:
        """Take the next bytes."""

    def end(self) -> None:
        """Take the end."""


class Document:
    """A body that is one JSON document."""

    __slots__ = ("_held", "_long", "_reading", "whole")
    scale = 1.0

    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self._held = b""
        self._long: Skim | None = None
        # The document is known to be whole: of one that is too long to hold it is not known.
        self.whole = False

    def take(self, data: bytes) -> None:
        """Take the next bytes."""
        if self._long is not None:
            self._long.feed(data)
            return
        self._held += data
        if len(self._held) > HELD_BYTES:
            self._long = Skim()
            self._long.feed(self._held)
            self._held = b""

    def end(self) -> None:
        """Read what came."""
        if self._long is not None:
            self._reading.read(self._long.document())
        else:
            self.whole = self._reading.read(self._held)

    def read_again(self) -> Reading:
        """Return a reading with all words, also of a document that reports what they cost."""
        reading = Reading(all_words=True)
        reading.read(self._held)
        return reading


class EventStream:
    """A body of server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html)."""

    __slots__ = (
        "_kept",
        "_long",
        "_partial",
        "_read_all",
        "_read_bytes",
        "_reading",
        "_rest",
        "_seen_bytes",
        "done",
        "whole",
    )

    def __init__(self, reading: Reading, *, read_all: bool) -> None:
        """Make one that reads all events as they come, or only the last ones after the end."""
        self._reading = reading
        self._read_all = read_all
        self._kept: list[bytes] = []
        # The event that has not ended, or of a long one the last byte.
        self._rest = b""
        self._long: Skim | None = None
        # Something passed unread.
        self._partial = False
        self._seen_bytes = 0
        self._read_bytes = 0
        # [DONE] came.
        self.done = False
        # The last event ended as events do.
        self.whole = False

    @property
    def scale(self) -> float:
        """How many times as many bytes came as were read."""
        if not self._partial or self._read_bytes == 0:
            return 1.0
        return max(1.0, self._seen_bytes / self._read_bytes)

    def take(self, data: bytes) -> None:
        """Take the next bytes."""
        self._seen_bytes += len(data)
        text = self._rest + data
        held = b""
        if b"\r" in text:
            # A line feed that is still to come would belong to it.
            held = b"\r" if text.endswith(b"\r") else b""
            text = text.removesuffix(b"\r").replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        if self._long is not None:
            event, border, text = text.partition(b"\n\n")
            if not border:
                self._rest = self._skim(self._long, event) + held
                return
            self._long.feed(event)
            self._note(self._long.event())
            self._long = None
        events, border, rest = text.lstrip(b"\n").rpartition(b"\n\n")
        if border:
            self._note(events.rstrip(b"\n"))
        if len(rest) > HELD_BYTES + 1:
            self._long = Skim()
            rest = self._skim(self._long, rest)
        self._rest = rest + held

    def _skim(self, skim: Skim, text: bytes) -> bytes:
        """Look through the next part of a long event but for its last byte, which may belong to its end."""
        self._partial = True
        skim.feed(text[:-1])
        return text[-1:]

    def _note(self, events: bytes) -> None:
        """Take in whole events with blank lines between them."""
        if not self._read_all:
            self._keep_last(events)
        elif not self._read_at_once(events):
            for event in events.split(b"\n\n"):
                if short := self._short(event):
                    self._read(short)

    def _keep_last(self, events: bytes) -> None:
        pieces = events.rsplit(b"\n\n", LAST_EVENTS)
        if any(not piece or piece[0] == _LF or piece[-1] == _LF for piece in pieces):
            # More than one blank line: all pieces must be events.
            pieces = _BLANK_LINES.sub(b"\n\n", events).rsplit(b"\n\n", LAST_EVENTS)
        # Of more pieces than are kept the first is all that came before.
        kept = self._kept + [self._short(event) for event in pieces]
        while len(kept) > LAST_EVENTS or (len(kept) > 1 and sum(map(len, kept)) > LAST_BYTES):
            del kept[0]
            self._partial = True
        self._kept = kept

    def _short(self, event: bytes) -> bytes:
        """Return an event, or what stands for one too long to be held."""
        event = event.strip(b"\n")
        if len(event) <= HELD_BYTES:
            return event
        self._partial = True
        skim = Skim()
        skim.feed(event)
        return skim.event()

    def _read_at_once(self, events: bytes) -> bool:
        """Read events that are a line of data each, as nearly all are; return whether they were."""
        plain = events.removesuffix(b"\n\ndata: [DONE]")
        if len(events) > HELD_BYTES:
            return False
        lines = plain.split(b"\n")
        texts = [line[5:] for line in lines[::2] if line.startswith(b"data:")]
        # Each a line of data, with an empty one behind it.
        if any(lines[1::2]) or len(texts) * 2 != len(lines) + 1:
            return False
        if not self._reading.read_all(b"[%b]" % b",".join(texts)):
            return False
        self.done = self.done or len(plain) < len(events)
        self._read_bytes += len(events) + 2
        return True

    def end(self) -> None:
        """Read what came last."""
        if self._rest.endswith(b"\r"):
            self.take(b"\n")
        last = self._rest.strip(b"\n")
        self.whole = not last and self._long is None
        if self._long is not None:
            self._long.feed(last)
            last = self._long.event()
        events = [*self._kept, last] if last else self._kept
        if not self._read_at_once(b"\n\n".join(events)):
            for event in events:
                self._read(event)

    def _read(self, event: bytes) -> None:
        self._read_bytes += len(event) + 2
        kind = None
        data = []
        for line in event.removeprefix(b"\xef\xbb\xbf").split(b"\n"):
            name, _, value = line.partition(b":")
            if name == b"data":
                data.append(value.removeprefix(b" "))
            elif name == b"event":
                kind = value.removeprefix(b" ").decode("utf-8", "replace")
        text = b"\n".join(data)
        if text.strip() == b"[DONE]":
            self.done = True
        elif text:
            self._reading.read(text, kind)
