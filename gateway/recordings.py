"""Exchanges kept in readable files: their names, their texts, and which of them answers a request. No sockets.

A request is the same as a recorded one where method, path and body are: in JSON neither the order of members nor
white space matters. Keys are not kept: no header field of a request is, and of a query that names one only the name.
"""

import base64
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from gateway.types import Headers

VERSION = 1
# How many differences are told, and how much of each value.
MAX_TOLD = 5
MAX_TOLD_CHARACTERS = 60
# Framing is made anew, and cookies are one caller's.
_NOT_KEPT = frozenset(
    {
        b"connection",
        b"content-length",
        b"keep-alive",
        b"set-cookie",
        b"trailer",
        b"transfer-encoding",
    }
)
_EVENT_END = re.compile(rb"(?<=\n\n)|(?<=\r\n\r\n)|(?<=\r\r)")
_BOUNDARY = re.compile(rb'boundary="?([^";,\s]+)', re.IGNORECASE)
# Names under which keys go in a query: Azure's, Google's, those of signed URLs.
_QUERY_KEY = re.compile(
    r"(?<=[?&])((?:api[-_]?key|key|subscription-key|(?:access[-_]?)?token|sig(?:nature)?)=)[^&]+",
    re.IGNORECASE,
)
_ABSENT = object()


class BadRecordingError(Exception):
    """A file is no recording; the text says which and why, on one line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A request as far as recordings compare it."""

    method: str
    # Path and query as the upstream is asked.
    target: str
    # The decoded JSON; None: there is none, and `digest` alone tells it from others.
    payload: object
    digest: str

    @classmethod
    def of(cls, method: str, target: str, headers: Headers, body: bytes) -> "Asked":
        """Return what is compared of a request."""
        target = _QUERY_KEY.sub(r"\1-", target)
        try:
            payload = json.loads(body) if body else None
            alike = json.dumps(payload, sort_keys=True, separators=(",", ":")).encode()
        except (ValueError, RecursionError):
            payload, alike = None, b""
        if payload is None:
            alike = _without_boundary(headers, body)
        parts = (method.encode(), target.encode("utf-8", "surrogateescape"), alike)
        digest = sha256(b"\0".join(sha256(part).digest() for part in parts)).hexdigest()
        return cls(method=method, target=target, payload=payload, digest=digest)

    @property
    def stem(self) -> str:
        """What the names of its files begin with."""
        words = re.sub(r"[^a-z0-9]+", "-", self.target.partition("?")[0].lower()).strip("-")
        return f"{words[:60]}-{self.digest[:12]}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """One exchange."""

    asked: Asked
    status: int
    headers: Headers
    # The reply's body, of an event stream event by event.
    pieces: tuple[bytes, ...]
    name: str = ""

    def content(self) -> bytes:
        """Return what the file holds. Raises RecursionError for a body that is nested too deeply."""
        request: dict[str, object] = {"method": self.asked.method, "target": self.asked.target}
        if self.asked.payload is not None:
            request["body"] = self.asked.payload
        reply: dict[str, object] = {
            "status": self.status,
            "headers": [
                [name.decode("latin-1"), value.decode("latin-1")] for name, value in self.headers
            ],
        }
        try:
            texts = [piece.decode() for piece in self.pieces]
        except UnicodeDecodeError:
            reply["base64"] = base64.b64encode(b"".join(self.pieces)).decode()
        else:
            reply |= {"events": texts} if len(texts) > 1 else {"body": "".join(texts)}
        content = {
            "recording": VERSION,
            "digest": self.asked.digest,
            "request": request,
            "reply": reply,
        }
        text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
        # Half of a surrogate pair has no UTF-8; its backslash is JSON's own way to write it.
        return text.encode("utf-8", "backslashreplace")


def reply_recorded(asked: Asked, status: int, headers: Headers, body: bytes) -> Recording:
    """Return the recording of an exchange that is whole."""
    kept = tuple(pair for pair in headers if pair[0].lower() not in _NOT_KEPT)
    kind = next((value for name, value in kept if name.lower() == b"content-type"), b"")
    pieces: tuple[bytes, ...] = (body,)
    if kind.startswith(b"text/event-stream"):
        pieces = tuple(piece for piece in _EVENT_END.split(body) if piece)
    return Recording(asked=asked, status=status, headers=kept, pieces=pieces)


def read_recording(path: Path) -> Recording:
    """Read one file. Raises BadRecordingError, OSError."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        request, reply = content["request"], content["reply"]
        asked = Asked(
            method=request["method"],
            target=request["target"],
            payload=request.get("body"),
            digest=content["digest"],
        )
        if asked.payload is not None:
            # A body that was edited by hand counts as it stands.
            asked = Asked.of(asked.method, asked.target, (), json.dumps(asked.payload).encode())
        return Recording(
            asked=asked,
            status=int(reply["status"]),
            headers=tuple(
                (name.encode("latin-1"), value.encode("latin-1"))
                for name, value in reply["headers"]
            ),
            pieces=tuple(_pieces(reply)),
            name=path.name,
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BadRecordingError(f"{path} is no recording: {error}") from None


@dataclass(slots=True)
class Shelf:
    """The recordings of a folder, handed out in the order in which they were made."""

    folder: str
    _by_digest: dict[str, list[Recording]] = field(default_factory=dict)
    _taken: dict[str, int] = field(default_factory=dict)

    @classmethod
    def read(cls, folder: Path) -> "Shelf":
        """Read a folder's recordings. Raises BadRecordingError, OSError."""
        shelf = cls(str(folder))
        for path in sorted(folder.glob("*.json"), key=_order):
            if not path.stat().st_size:
                continue  # a name that was taken by a gateway that was killed before it wrote
            recording = read_recording(path)
            shelf._by_digest.setdefault(recording.asked.digest, []).append(recording)
        return shelf

    def take(self, asked: Asked) -> Recording | None:
        """Return the recording for the n-th time that this is asked: the n-th, then the last; None: there is none."""
        found = self._by_digest.get(asked.digest)
        if not found:
            return None
        turn = self._taken.get(asked.digest, 0)
        self._taken[asked.digest] = turn + 1
        return found[min(turn, len(found) - 1)]

    def told_missing(self, asked: Asked) -> str:
        """Return what to tell of a request that nothing was recorded for: the nearest recording, and what differs."""
        begin = f"No recording in {self.folder} answers this {asked.method} {asked.target}."
        known = [recordings[0] for recordings in self._by_digest.values()]
        alike = [
            one
            for one in known
            if (one.asked.method, one.asked.target) == (asked.method, asked.target)
        ]
        if not alike:
            targets = sorted({f"{one.asked.method} {one.asked.target}" for one in known})
            there = ", ".join(targets[:MAX_TOLD]) or "nothing"
            return f"{begin} Recorded is: {there}."
        told = {one.name: _told(one.asked.payload, asked.payload) for one in alike}
        name = min(told, key=lambda one: (len(told[one]), one))
        what = "; ".join(told[name][:MAX_TOLD]) or "its body"
        more = len(told[name]) - MAX_TOLD
        return f"{begin} The nearest is {name}, which differs in {what}" + (
            f"; and {more} more." if more > 0 else "."
        )


def differences(recorded: object, asked: object, path: str = "") -> Iterator[str]:
    """Yield each place at which two JSON values differ, with both values."""
    if isinstance(recorded, Mapping) and isinstance(asked, Mapping):
        for key in sorted({*recorded, *asked}):
            below = f"{path}.{key}" if path else str(key)
            yield from differences(recorded.get(key, _ABSENT), asked.get(key, _ABSENT), below)
    elif isinstance(recorded, list) and isinstance(asked, list):
        for index in range(max(len(recorded), len(asked))):
            yield from differences(_at(recorded, index), _at(asked, index), f"{path}[{index}]")
    elif recorded is _ABSENT or asked is _ABSENT or recorded != asked:
        yield f"{path or 'its body'} (recorded {_shown(recorded)}, asked {_shown(asked)})"


def _told(recorded: object, asked: object) -> list[str]:
    try:
        return list(differences(recorded, asked))
    except RecursionError:
        return ["its body, which is nested too deeply to compare"]


def _at(values: Sequence[object], index: int) -> object:
    return values[index] if index < len(values) else _ABSENT


def _shown(value: object) -> str:
    if value is _ABSENT:
        return "nothing"
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= MAX_TOLD_CHARACTERS else f"{text[:MAX_TOLD_CHARACTERS]}…"


def _pieces(reply: Mapping[str, object]) -> Iterator[bytes]:
    match reply:
        case {"base64": str(text)}:
            yield base64.b64decode(text)
        case {"events": list(events)}:
            for event in events:
                yield str(event).encode()
        case {"body": str(text)}:
            yield text.encode()
        case _:
            raise ValueError("its reply has no body, events or base64")


def _without_boundary(headers: Headers, body: bytes) -> bytes:
    """Return a form without the delimiter that each client draws anew (RFC 2046, 5.1.1)."""
    for name, value in headers:
        if name.lower() == b"content-type" and (found := _BOUNDARY.search(value)):
            return body.replace(found[1], b"boundary")
    return body


def _order(path: Path) -> tuple[str, int, str]:
    """Sort the files of one request by their number."""
    stem, _, number = path.stem.rpartition("-")
    return (stem, int(number), "") if number.isascii() and number.isdigit() else (path.stem, 0, "")
