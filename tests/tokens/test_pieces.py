"""Cutting long texts: bounded pieces, and the same counts as without it."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.tokens.encodings import PATTERNS, load
from gateway.tokens.pieces import MAX_PIECE_CHARACTERS, cut

ENCODERS = load(PATTERNS)

# A megabyte each of what makes tokenizers slow, or panic.
UNITS = {
    "blanks": " ",
    "tabs": "\t",
    "newlines": "\n",
    "crlf": "\r\n",
    "blank newline": " \n",
    "nbsp": "\u00a0",
    "ideographic space": "\u3000",
    "zero-width space": "\u200b",
    "zero-width joiner": "\u200d",
    "byte order mark": "\ufeff",
    "letter": "a",
    "capital": "A",
    "mixed case": "aA",
    "two letters": "ab",
    "vowels": "aeiou",
    "digit": "7",
    "digits": "0123456789",
    "bang": "!",
    "quotes": '"',
    "apostrophe": "'",
    "apostrophe s": "'s",
    "backslash": "\\",
    "slash": "/",
    "underscore": "_",
    "dash": "-",
    "hash": "#",
    "brackets": "[]",
    "braces": "{}",
    "dots": ".",
    "nul": "\x00",
    "delete": "\x7f",
    "emoji": "😀",
    "family": "👨‍👩‍👧‍👦",
    "flags": "🇩🇪",
    "skin tone": "👍🏽",
    "han": "漢",
    "rare han": "𠀀",
    "kana": "あ",
    "hangul": "한",
    "jamo": "ᄀ",
    "arabic": "ع",
    "devanagari": "क्ष",
    "thai": "กำ",
    "combining mark": "\u0301",
    "letter and mark": "e\u0301",
    "zalgo": "z" + "\u0300\u0301\u0302" * 5,
    "private use": "\ue000",
    "replacement": "\ufffd",
    "lone surrogate": "\ud800",
    "fraction": "½",
}


def noise(characters: int) -> str:
    return random.Random(4).randbytes(characters).decode("latin-1")


HOSTILE = {name: unit * (1_000_000 // len(unit)) for name, unit in UNITS.items()}
HOSTILE |= {"random bytes": noise(1_000_000), "base64": "QUJDREVGR0hJSktMTU5P" * 50_000}


@pytest.mark.parametrize("name", sorted(HOSTILE))
def test_hostile_text_is_cut_into_bounded_pieces(name: str) -> None:
    """No text gives an encoder more than a piece of work at once, nor more pieces than its length needs."""
    text = HOSTILE[name]

    pieces, _ = cut(text)

    assert "".join(pieces) == text
    assert max(map(len, pieces)) <= MAX_PIECE_CHARACTERS
    assert len(pieces) <= 2 * len(text) // MAX_PIECE_CHARACTERS + 1


@pytest.mark.parametrize("name", sorted(HOSTILE))
@pytest.mark.parametrize("encoding", sorted(PATTERNS))
def test_no_hostile_text_breaks_an_encoder(name: str, encoding: str) -> None:
    """An eighth of each text is counted: many pieces, some tokens, none more than its bytes."""
    text = HOSTILE[name][:125_000]

    tokens, _ = ENCODERS[encoding].count(text)

    assert 0 < tokens <= len(text.encode("utf-8", "surrogatepass"))


def test_a_million_blanks_do_not_panic() -> None:
    """The text that panics the bare encoder is counted, as no exact number."""
    assert ENCODERS["o200k_base"].count(" " * 1_000_000) == (7813, False)


WORDS = st.text(
    st.characters(exclude_categories=["Cs"])
    | st.sampled_from("abc XYZ\n\r\t .,;'()/0123456789漢。\uff0c"),
    max_size=40,
)


@pytest.mark.parametrize("encoding", sorted(PATTERNS))
@given(words=st.lists(WORDS, max_size=30), data=st.data())
@settings(max_examples=150, deadline=None)
def test_cuts_at_borders_change_no_count(
    encoding: str, words: list[str], data: st.DataObject
) -> None:
    """Where all cuts are at borders, the pieces count as the whole does, wherever they fall."""
    text = " ".join(words) + "z"
    size = data.draw(st.integers(2, 40))
    encode = ENCODERS[encoding].count

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gateway.tokens.pieces.MAX_PIECE_CHARACTERS", size)
        patch.setattr("gateway.tokens.pieces._WINDOWS_CHARACTERS", (size // 2,))
        pieces, clean = cut(text)

    assert "".join(pieces) == text
    if clean:
        assert sum(encode(piece)[0] for piece in pieces) == encode(text)[0]


def test_prose_is_cut_at_borders() -> None:
    """Ordinary text has borders enough, so that its count stays exact; an apostrophe is none."""
    text = "The quick brown fox jumps over the lazy dog. " * 5_000

    pieces, clean = cut(text)

    assert clean
    assert len(pieces) == 14
    assert cut("don't" * 10_000)[1] is False
    assert cut("short") == (["short"], True)
