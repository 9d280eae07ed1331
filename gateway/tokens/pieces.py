"""Long texts cut into pieces that an encoder takes in bounded time, where cutting changes no count.

An encoder first splits text by a pattern, then merges bytes inside each match: what it does to a match of a
megabyte (blanks, one letter, emoji) is slow at best. No match of either encoding goes over the borders found here.
"""

import re

MAX_PIECE_CHARACTERS = 16 * 1024
# How far back from the end of a piece a border is looked for: first near, then further.
_WINDOWS_CHARACTERS = (256, 4096, MAX_PIECE_CHARACTERS // 2)

# After a letter or digit, before white space or a sign that never joins what stands before it (an apostrophe does,
# and so do combining marks): ASCII, then the ideographic and full-width commas, stops and brackets. And between a
# digit and a letter.
_BORDER = re.compile(
    r"(?<=[^\W_])(?=[\s!-&(-/:-@\[-`{-~\u3001\u3002\u3008-\u3011\uff01-\uff06\uff08-\uff0f\uff1a\uff1b\uff1f])"
    r"|(?<=[0-9])(?=[A-Za-z])|(?<=[A-Za-z])(?=[0-9])"
)


def cut(text: str) -> tuple[list[str], bool]:
    """Return `text` in pieces of at most MAX_PIECE_CHARACTERS, and whether each cut is at a border."""
    if len(text) <= MAX_PIECE_CHARACTERS:
        return [text], True
    pieces: list[str] = []
    clean = True
    start = 0
    while len(text) - start > MAX_PIECE_CHARACTERS:
        end = start + MAX_PIECE_CHARACTERS
        border = _last_border(text, end)
        clean = clean and border is not None
        end = end if border is None else border
        pieces.append(text[start:end])
        start = end
    pieces.append(text[start:])
    return pieces, clean


def _last_border(text: str, end: int) -> int | None:
    for window in _WINDOWS_CHARACTERS:
        last = None
        for match in _BORDER.finditer(text, end - window, end):
            last = match.start()
        if last is not None:
            return last
    return None
