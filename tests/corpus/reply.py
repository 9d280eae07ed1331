"""The form of one reply, and its bytes in pieces."""

import gzip
import json
import random
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, replace

from gateway.types import Usage

JSON = b"application/json"
SSE = b"text/event-stream; charset=utf-8"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What an upstream sends, and what must be understood of it."""

    name: str
    body: bytes
    content_type: bytes | None = JSON
    content_encoding: bytes | None = None
    status: int = 200
    # What the upstream reports, None where it reports nothing.
    usage: Usage | None = None
    # What its form says: it is known to be whole.
    complete: bool = True
    choices: int = 1
    # The body without its content coding: the same on every machine, which zlib's output need not be.
    plain: bytes | None = None

    def headers(self) -> tuple[tuple[bytes, bytes], ...]:
        """Return the fields that describe the body, with an id as providers send it."""
        fields = [(b"x-request-id", b"req_" + self.name.encode())]
        if self.content_type is not None:
            fields.append((b"Content-Type", self.content_type))
        if self.content_encoding is not None:
            fields.append((b"Content-Encoding", self.content_encoding))
        return tuple(fields)


def dumps(value: object, style: int = 0) -> bytes:
    """Write JSON as different servers do: compact, with blanks, ASCII alone, indented."""
    separators = (",", ":") if style in (0, 2) else (", ", ": ")
    indent = 2 if style == 3 else None
    text = json.dumps(value, ensure_ascii=style == 2, indent=indent, separators=separators)
    return text.encode("utf-8", "surrogatepass")


def sse(events: Iterable[bytes], *, newline: bytes = b"\n", lead: bytes = b"data: ") -> bytes:
    """Write events, one for each JSON text; a text of several lines takes several lines of data."""
    lines = []
    for event in events:
        lines += [lead + line for line in event.split(b"\n")] if event[:1] in b"{[" else [event]
        lines.append(b"")
    return b"".join(line + newline for line in lines)


def gzipped(reply: Reply, *, members: int = 1, name: str = "gzip") -> Reply:
    """Compress a reply's body, in one gzip member or several."""
    step = -(-len(reply.body) // members) or 1
    parts = [reply.body[i : i + step] for i in range(0, len(reply.body), step)]
    body = b"".join(gzip.compress(part, mtime=0) for part in parts)
    return _coded(reply, body, b"gzip", name)


def flushed(reply: Reply) -> Reply:
    """Compress a stream as servers do that flush after each event."""
    deflate = zlib.compressobj(6, zlib.DEFLATED, zlib.MAX_WBITS | 16)
    parts = [
        deflate.compress(event + b"\n\n") + deflate.flush(zlib.Z_SYNC_FLUSH)
        for event in reply.body.removesuffix(b"\n\n").split(b"\n\n")
    ]
    return _coded(reply, b"".join(parts) + deflate.flush(), b"gzip", "flushed")


def deflated(reply: Reply, *, raw: bool) -> Reply:
    """Compress a reply's body as `deflate`, with the zlib header that it should have, or without."""
    deflate = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS if raw else zlib.MAX_WBITS)
    body = deflate.compress(reply.body) + deflate.flush()
    return _coded(reply, body, b"deflate", "raw-deflate" if raw else "deflate")


def _coded(reply: Reply, body: bytes, coding: bytes, name: str) -> Reply:
    return replace(
        reply,
        name=f"{reply.name}-{name}",
        body=body,
        plain=reply.body,
        content_encoding=coding,
    )


def pieces(body: bytes, seed: int) -> list[bytes]:
    """Cut a body into non-empty pieces by a seed: single bytes, a few, many, or at the ends of lines."""
    rng = random.Random(seed)
    if not body:
        return []
    way = rng.randrange(4)
    if way == 0 and len(body) <= 4096:
        return [body[i : i + 1] for i in range(len(body))]
    if way == 1:
        return [line for line in body.splitlines(keepends=True) if line]
    most = min(len(body), 200) if way == 2 else 6
    cuts = sorted({rng.randrange(len(body)) for _ in range(rng.randint(1, most))} - {0})
    return [body[a:b] for a, b in zip([0, *cuts], [*cuts, len(body)], strict=True)]
