"""The encodings, built from the package's own packed files: no network, no environment variable, no cache folder.

A packed file is a zlib stream of the tokens in the order of their ranks, each after one byte that says its length.
"""

import base64
import functools
import zlib
from collections.abc import Iterable, Mapping
from importlib import resources

import tiktoken

from gateway.tokens.pieces import MAX_PIECE_CHARACTERS, cut

DEFAULT = "o200k_base"

# How tiktoken splits text before it merges bytes: as in tiktoken_ext/openai_public.py (a test compares them).
PATTERNS: Mapping[str, str] = {
    "cl100k_base": (
        r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+"
        r"|\s++$|\s*[\r\n]|\s+(?!\S)|\s"
    ),
    "o200k_base": (
        r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
        r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*"
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
        r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    ),
}


class Encoder:
    """Counts the tokens of texts in one encoding; special tokens are plain text to it."""

    def __init__(self, name: str, ranks: dict[bytes, int]) -> None:
        self.name = name
        self._encode = tiktoken.Encoding(
            name, pat_str=PATTERNS[name], mergeable_ranks=ranks, special_tokens={}
        ).encode_ordinary

    def count(self, text: str) -> tuple[int, bool]:
        """Return the tokens of `text`, and whether that is the exact number.

        It is not where a text without any word border had to be cut to keep the work bounded.
        """
        if len(text) <= MAX_PIECE_CHARACTERS:
            return len(self._encode(text)), True
        pieces, clean = cut(text)
        return sum([len(self._encode(piece)) for piece in pieces]), clean


def load(names: Iterable[str]) -> dict[str, Encoder]:
    """Build encoders by name; each takes some 0.3 s and 60 MiB, so that it is done before the first call.

    Raises KeyError for a name that is not in PATTERNS.
    """
    return {name: _encoder(name) for name in names}


@functools.cache
def _encoder(name: str) -> Encoder:
    # An encoding never changes and weighs much: counters of one process share it.
    found = ranks(name)
    encoder = Encoder(name, found)
    # The Rust part has a copy of its own; tiktoken keeps this one for decoding, which nobody asks for here.
    found.clear()
    return encoder


def ranks(name: str) -> dict[bytes, int]:
    """Return the tokens of a packed encoding with their ranks."""
    if name not in PATTERNS:
        raise KeyError(name)
    packed = resources.files("gateway.tokens").joinpath("data", f"{name}.bin").read_bytes()
    plain = zlib.decompress(packed)
    found: dict[bytes, int] = {}
    at = 0
    while at < len(plain):
        end = at + 1 + plain[at]
        found[plain[at + 1 : end]] = len(found)
        at = end
    return found


def pack(tiktoken_file: bytes) -> bytes:
    """Return the packed form of a `.tiktoken` file; raises ValueError where ranks leave gaps."""
    plain = bytearray()
    for rank, line in enumerate(tiktoken_file.splitlines()):
        token, number = line.split()
        if int(number) != rank:
            raise ValueError(f"rank {number.decode()} stands where {rank} should")
        decoded = base64.b64decode(token)
        plain.append(len(decoded))
        plain += decoded
    return zlib.compress(bytes(plain), 9)


def unpack(name: str) -> bytes:
    """Return the `.tiktoken` file that a packed encoding was made from, byte for byte."""
    return b"".join(
        base64.b64encode(token) + b" %d\n" % rank for token, rank in ranks(name).items()
    )
