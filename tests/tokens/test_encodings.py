"""The packed encodings against tiktoken's own source, and their counts against tiktoken's."""

import base64
import hashlib

import pytest
from tiktoken_ext import openai_public  # type: ignore[import-untyped]

from gateway.tokens.encodings import PATTERNS, Encoder, load, pack, ranks, unpack

CONSTRUCTORS = {
    "cl100k_base": openai_public.cl100k_base,
    "o200k_base": openai_public.o200k_base,
}


@pytest.fixture
def expected_hashes(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Let tiktoken's constructors say which file they want instead of downloading it."""
    hashes: dict[str, str] = {}

    def note(url: str, expected_hash: str) -> dict[bytes, int]:
        hashes[url.rpartition("/")[2].removesuffix(".tiktoken")] = expected_hash
        return {}

    monkeypatch.setattr(openai_public, "load_tiktoken_bpe", note)
    return hashes


@pytest.mark.parametrize("name", sorted(PATTERNS))
def test_packed_files_are_openais(name: str, expected_hashes: dict[str, str]) -> None:
    """What was packed is OpenAI's file byte for byte, and the pattern is that of tiktoken."""
    constructed = CONSTRUCTORS[name]()

    assert hashlib.sha256(unpack(name)).hexdigest() == expected_hashes[name]
    assert PATTERNS[name] == constructed["pat_str"]


def test_packing_is_undone_by_unpacking() -> None:
    """A packed file gives its tokens back in the order of their ranks."""
    packed = pack(unpack("cl100k_base"))

    assert len(packed) < 500_000
    assert list(ranks("cl100k_base").items())[:2] == [(b"!", 0), (b'"', 1)]


def test_packing_refuses_gaps() -> None:
    """A file whose ranks are not its lines' numbers is no encoding that we can keep."""
    line = base64.b64encode(b"a") + b" 1\n"

    with pytest.raises(ValueError, match="rank 1 stands where 0 should"):
        pack(line)


def test_unknown_encodings_are_refused() -> None:
    """Only the encodings of the package can be loaded."""
    with pytest.raises(KeyError):
        load(["p50k_base"])


@pytest.mark.parametrize(
    ("name", "text", "tokens"),
    [
        ("o200k_base", "hello world", 2),
        ("cl100k_base", "hello world", 2),
        ("o200k_base", "<|endoftext|>", 7),
        ("cl100k_base", "<|endoftext|>", 7),
        ("o200k_base", "\ud800", 1),
        ("o200k_base", "", 0),
    ],
)
def test_counts(encoders: dict[str, Encoder], name: str, text: str, tokens: int) -> None:
    """Words are counted as tiktoken counts them, special tokens as plain text, lone surrogates as one sign."""
    assert encoders[name].count(text) == (tokens, True)
