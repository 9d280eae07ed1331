"""A large family of replies: well-formed ones of every framing, and what is odd about others, each by its name.

The truth about a reply is known from how it is built, so that it need not be asked of a parser.
"""

import itertools
from dataclasses import dataclass, field

from hypothesis import strategies as st

from tests.support.raw_upstream import Say, Then

# What is odd -> the status line's start, its rest, or a line of the head that takes the place of a good one.
VERSIONS = {
    "HTTP/2.0": b"HTTP/2.0",
    "HTTP/0.9": b"HTTP/0.9",
    "HTTP/1.2": b"HTTP/1.2",
    "RTSP": b"RTSP/1.0",
    "protocol in lower case": b"http/1.1",
    "empty line before the reply": b"\r\nHTTP/1.1",
    "bare LF before the reply": b"\nHTTP/1.1",
}
STATUSES = {
    "status 099": b"099 Odd",
    "status 600": b"600 Odd",
    "status of two digits": b"20 Odd",
    "status of four digits": b"2000 Odd",
    "two blanks before the status": b" 200 Odd",
    "NUL in the reason": b"200 O\x00d",
    "escape in the reason": b"200 \x1b[2J",
    "bare CR in the reason": b"200 O\rd",
    "switching protocols": b"101 Switching Protocols",
}
FIELDS = {
    "bare LF after a field": b"A: b\nB: c\r\n",
    "folded field": b"A: b\r\n c\r\n",
    "blank before the first field": b" A: b\r\n",
    "blank before a colon": b"A : b\r\n",
    "no colon": b"A\r\n",
    "empty name": b": b\r\n",
    "odd character in a name": b"A(: b\r\n",
    "NUL in a value": b"A: b\x00c\r\n",
    "control character in a value": b"A: b\x01c\r\n",
    "bare CR in a value": b"A: b\rc\r\n",
    "too many fields": b"A: b\r\n" * 300,
    "head too long": b"A: %b\r\n" % (b"b" * 70_000),
}
FRAMINGS = {
    "length and chunked": b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
    "chunked and length": b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
    "two equal lengths": b"Content-Length: 5\r\nContent-Length: 5\r\n",
    "two lengths": b"Content-Length: 5\r\nContent-Length: 6\r\n",
    "list of lengths": b"Content-Length: 5, 5\r\n",
    "signed length": b"Content-Length: +5\r\n",
    "negative length": b"Content-Length: -5\r\n",
    "length with underscore": b"Content-Length: 0_5\r\n",
    "length in hex": b"Content-Length: 0x5\r\n",
    "empty length": b"Content-Length: \r\n",
    "huge length": b"Content-Length: 99999999999999999999999\r\n",
    "coding gzip": b"Transfer-Encoding: gzip\r\n",
    "coding identity": b"Transfer-Encoding: identity\r\n",
    "coding gzip, chunked": b"Transfer-Encoding: gzip, chunked\r\n",
    "coding chunked, gzip": b"Transfer-Encoding: chunked, gzip\r\n",
    "chunked twice": b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
    "unknown coding": b"Transfer-Encoding: xchunked\r\n",
}
CHUNKS = {
    "chunk size 0x": b"0x5\r\nhello\r\n",
    "signed chunk size": b"+5\r\nhello\r\n",
    "negative chunk size": b"-5\r\nhello\r\n",
    "chunk size with underscore": b"0_5\r\nhello\r\n",
    "blank after a chunk size": b"5 \r\nhello\r\n",
    "blank before a chunk size": b" 5\r\nhello\r\n",
    "empty chunk size": b"\r\nhello\r\n",
    "huge chunk size": b"FFFFFFFFFFFFFFFFF\r\nhello\r\n",
    "bare LF after a chunk size": b"5\nhello\r\n",
    "bare LF after a chunk": b"5\r\nhello\n",
    "no line end after a chunk": b"5\r\nhello",
    "chunk longer than its size": b"5\r\nhello!\r\n",
    "blank before an extension": b"5 ;a=b\r\nhello\r\n",
    "empty extension": b"5;\r\nhello\r\n",
    "NUL in an extension": b"5;a=\x00\r\nhello\r\n",
    "bare LF after an extension": b"5;a\nhello\r\n",
    "open quote in an extension": b'5;a="\r\nhello\r\n',
}
TRAILERS = {
    "bare LF after a trailer": b"A: b\n",
    "blank before a trailer's colon": b"A : b\r\n",
    "NUL in a trailer": b"A: \x00\r\n",
    "folded trailer": b"A: b\r\n c\r\n",
    "length in a trailer": b"Content-Length: 5\r\n",
    "trailer too long": b"A: %b\r\n" % (b"b" * 140_000),
}
INTERIMS = {
    "many interim replies": b"HTTP/1.1 102 Processing\r\n\r\n" * 20,
    "interim reply with a length": b"HTTP/1.1 103 Hints\r\nContent-Length: 5\r\n\r\n",
    "interim reply with a body": b"HTTP/1.1 103 Hints\r\nContent-Length: 5\r\n\r\nhello",
    "interim reply that closes": b"HTTP/1.1 103 Hints\r\nConnection: close\r\n\r\n",
}
SURPLUS = {
    "empty line after the reply": b"\r\n",
    "junk after the reply": b"junk",
    "another reply after the reply": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nother",
}
ODDITIES = (
    *VERSIONS,
    *STATUSES,
    *FIELDS,
    *FRAMINGS,
    *CHUNKS,
    *TRAILERS,
    *INTERIMS,
    *SURPLUS,
    "bare LF after the status line",
    "bare LF ends the head",
)

_STATUSES = (
    b"200 OK",
    b"201 ",
    b"404 Not Found",
    b"429 \xc3\xa9",
    b"500 Error",
    b"599",
    b"204 No Content",
    b"304 -",
)
_FIELDS = (
    b"Content-Type: text/event-stream\r\n",
    b"x-request-id: \t req_1 \t\r\n",
    b"X-Twice: 1\r\nx-Twice: 2\r\n",
    b"X-Empty:\r\n",
    b"X-Text: caf\xc3\xa9 \xff\r\n",
    b"Connection: close\r\n",
    b"Connection: keep-alive\r\nKeep-Alive: timeout=5\r\n",
    b"Set-Cookie: a=b\r\n",
    b"Location: /elsewhere\r\n",
    b"Content-Encoding: gzip\r\n",
    b"Upgrade: h2c\r\n",
)
_INTERIMS = (b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
_EXTENSIONS = (b"", b"", b";a", b";a=b", b';a="b c"')
_TRAILERS = (b"", b"", b"A: b\r\n", b"A: b\r\nC: d\r\n")


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """A reply as an upstream sends it, and the truth about it where nothing is odd."""

    method: str
    saying: Say = field(repr=False)
    raw: bytes
    oddities: frozenset[str]
    # "whole" or "cut", and the body, of which a cut one is the beginning.
    outcome: str
    body: bytes


@dataclass(frozen=True, slots=True)
class _Parts:
    """What a reply is built of."""

    head: bytes
    body: bytes
    content: bytes
    ends_with_connection: bool
    # Those that found a place in it.
    oddities: frozenset[str]


@st.composite
def scripts(draw: st.DrawFn) -> Script:
    """Draw a reply, cut into pieces anywhere, that ends in order or by a reset, whole or at any byte."""
    odd = frozenset(draw(st.lists(st.sampled_from(ODDITIES), max_size=2)))
    method = draw(st.sampled_from(("POST", "POST", "GET", "HEAD")))
    parts = draw(_replies(method, odd))
    raw = parts.head + parts.body
    surplus = b"".join(SURPLUS[name] for name in odd if name in SURPLUS)
    stop = draw(st.one_of(st.none(), st.integers(min_value=0, max_value=len(raw))))
    then: Then = draw(st.sampled_from(("end", "cut")))
    sent = raw + surplus if stop is None else raw[:stop]
    edges = sorted({0, len(sent), *draw(st.lists(st.integers(0, len(sent)), max_size=6))})
    pieces = tuple(sent[start:end] for start, end in itertools.pairwise(edges))
    whole = len(sent) >= len(raw)
    content = parts.content
    if parts.ends_with_connection:
        whole = len(sent) >= len(parts.head) and then == "end"
        content = sent[len(parts.head) :]
    return Script(
        method=method,
        saying=Say(pieces, then),
        raw=sent,
        oddities=parts.oddities,
        outcome="whole" if whole else "cut",
        body=content,
    )


@st.composite
def _replies(draw: st.DrawFn, method: str, odd: frozenset[str]) -> _Parts:
    version = draw(st.sampled_from((b"HTTP/1.1", b"HTTP/1.1", b"HTTP/1.1", b"HTTP/1.0")))
    status = draw(st.sampled_from(_STATUSES))
    framings = (
        ["length", "chunked", "connection"] if version == b"HTTP/1.1" else ["length", "connection"]
    )
    framing = draw(st.sampled_from(framings))
    chunks = draw(st.lists(st.binary(max_size=40), max_size=4))
    content = b"".join(chunks)
    bodiless = method == "HEAD" or status[:3] in (b"204", b"304")
    line = b"Transfer-Encoding: chunked\r\n" if framing == "chunked" else b""
    if framing == "length":
        line = b"Content-Length: %d\r\n" % len(content)
    body = content
    if bodiless:
        body = content = b""
    elif framing == "chunked":
        body = draw(_chunked(chunks, odd))
    if bodiless or framing != "chunked":
        odd = odd - CHUNKS.keys() - TRAILERS.keys()
    return _Parts(
        head=draw(_heads(version, status, line, odd)),
        body=body,
        content=content,
        ends_with_connection=framing == "connection" and not bodiless,
        oddities=odd,
    )


@st.composite
def _heads(
    draw: st.DrawFn, version: bytes, status: bytes, framing: bytes, odd: frozenset[str]
) -> bytes:
    interims = draw(st.lists(st.sampled_from(_INTERIMS), max_size=2))
    interims += [INTERIMS[name] for name in sorted(odd) if name in INTERIMS]
    fields = draw(st.lists(st.sampled_from(_FIELDS), max_size=4, unique=True))
    fields += [FIELDS[name] for name in sorted(odd) if name in FIELDS]
    for name in sorted(odd):
        version = VERSIONS.get(name, version)
        status = STATUSES.get(name, status)
        framing = FRAMINGS.get(name, framing)
    line_end = b"\n" if "bare LF after the status line" in odd else b"\r\n"
    head_end = b"\n" if "bare LF ends the head" in odd else b"\r\n"
    start = b"%b %b%b" % (version, status, line_end)
    return (
        b"".join(interims) + start + b"".join(draw(st.permutations([*fields, framing]))) + head_end
    )


@st.composite
def _chunked(draw: st.DrawFn, chunks: list[bytes], odd: frozenset[str]) -> bytes:
    lines = []
    for chunk in chunks:
        if chunk:
            size = draw(st.sampled_from((b"%x", b"%X", b"000%x"))) % len(chunk)
            lines.append(size + draw(st.sampled_from(_EXTENSIONS)) + b"\r\n" + chunk + b"\r\n")
    for name in sorted(odd & CHUNKS.keys()):
        lines.insert(draw(st.integers(0, len(lines))), CHUNKS[name])
    trailer = draw(st.sampled_from(_TRAILERS))
    trailer += b"".join(TRAILERS[name] for name in sorted(odd) if name in TRAILERS)
    last = draw(st.sampled_from((b"0", b"000", b"0;a=b")))
    return b"".join(lines) + last + b"\r\n" + trailer + b"\r\n"


def smallest(oddity: str) -> bytes:
    """Return a reply with a body of "hello" and no more about it than one oddity."""
    in_chunks = oddity in CHUNKS or oddity in TRAILERS
    plain = b"Transfer-Encoding: chunked\r\n" if in_chunks else b"Content-Length: 5\r\n"
    chunk = CHUNKS.get(oddity, b"5\r\nhello\r\n")
    start = (
        VERSIONS.get(oddity, b"HTTP/1.1"),
        b" ",
        STATUSES.get(oddity, b"200 OK"),
        b"\n" if oddity == "bare LF after the status line" else b"\r\n",
    )
    head = (FIELDS.get(oddity, b""), FRAMINGS.get(oddity, plain))
    return b"".join(
        (
            INTERIMS.get(oddity, b""),
            *start,
            *head,
            b"\n" if oddity == "bare LF ends the head" else b"\r\n",
            chunk + b"0\r\n" + TRAILERS.get(oddity, b"") + b"\r\n" if in_chunks else b"hello",
            SURPLUS.get(oddity, b""),
        )
    )
