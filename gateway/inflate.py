"""Content codings undone piece by piece, with a bound on how much a few bytes may become. No I/O.

For reading beside bytes that pass untouched: what cannot be read is told by `failed`, never raised.
"""

import zlib
from collections.abc import Iterator

from gateway.types import Headers

# How much may come out: this much for nothing, and so many times what went in. A stream of near-equal events
# shrinks to a hundredth; deflate can reach a thousandth, which is a bomb.
SLACK_BYTES = 256 * 1024
MAX_RATIO = 128

# zlib copies what is left of its input after each step.
_INPUT_BYTES = 16 * 1024
_OUTPUT_BYTES = 32 * 1024

_GZIP = zlib.MAX_WBITS | 16
_ZLIB = zlib.MAX_WBITS
_RAW = -zlib.MAX_WBITS


class Inflater:
    """Undoes one content coding: gzip, deflate (with a zlib header or without) or identity (RFC 9110, 8.4.1)."""

    __slots__ = ("_coding", "_decoder", "_head", "_left_bytes", "ended", "failed")

    def __init__(self, coding: bytes) -> None:
        self._coding = coding.strip().lower().removeprefix(b"x-") or b"identity"
        self._decoder: zlib._Decompress | None = None
        self._head = b""
        self._left_bytes = SLACK_BYTES
        # Nothing more can be read: the coding is unknown, its bytes are broken, or too much came out.
        self.failed = self._coding not in (b"gzip", b"deflate", b"identity")
        # What came so far is whole by the coding's own mark.
        self.ended = self._coding == b"identity"

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield what `data` adds, in pieces of at most 32 KiB; nothing once it failed."""
        if self._coding == b"identity":
            for start in range(0, len(data), _OUTPUT_BYTES):
                yield data[start : start + _OUTPUT_BYTES]
            return
        for start in range(0, len(data), _INPUT_BYTES):
            if not self.failed:
                yield from self._inflate(data[start : start + _INPUT_BYTES])

    def _inflate(self, data: bytes) -> Iterator[bytes]:
        self._left_bytes += MAX_RATIO * len(data)
        data = self._begin(data)
        more = True
        while self._decoder is not None and more:
            decoder = self._decoder
            try:
                out = decoder.decompress(data, _OUTPUT_BYTES)
            except zlib.error:
                self.failed = True
                return
            self._left_bytes -= len(out)
            if self._left_bytes < 0:
                self.failed = True
                return
            if out:
                yield out
            if decoder.eof:
                self._decoder = None
                self.ended = True
                data = self._begin(decoder.unused_data)
            else:
                data = decoder.unconsumed_tail
                more = bool(data) or len(out) == _OUTPUT_BYTES

    def _begin(self, data: bytes) -> bytes:
        """Return what is to be inflated; there is a decoder for it unless nothing has begun."""
        if self._decoder is not None:
            return data
        if self._coding == b"gzip":
            # One member may follow another (RFC 1952, 2.2); zeros between or after them are padding.
            data = data.lstrip(b"\0") if self.ended else data
            if data:
                self._decoder = zlib.decompressobj(_GZIP)
                self.ended = False
            return data
        data = self._head + data
        if self.ended or len(data) < 2:
            self._head = data[:2]
            return b""
        self._decoder = zlib.decompressobj(_ZLIB if _has_zlib_header(data) else _RAW)
        return data


def _has_zlib_header(data: bytes) -> bool:
    # RFC 1950, 2.2: the method is 8, and the first two bytes are a multiple of 31.
    return data[0] & 0x0F == 8 and (data[0] << 8 | data[1]) % 31 == 0


def content_coding(headers: Headers) -> bytes:
    """Return the content coding that a message's fields name, empty for none."""
    return next((value for name, value in headers if name.lower() == b"content-encoding"), b"")
