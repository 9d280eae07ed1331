"""Counts that are remembered."""

from gateway.tokens.memo import MIN_CHARACTERS, Memo


class Clerk:
    """Counts characters, and how often it was asked."""

    def __init__(self) -> None:
        self.asked = 0

    def count(self, text: str) -> tuple[int, bool]:
        """Count one text."""
        self.asked += 1
        return len(text), True


def test_a_text_is_counted_once() -> None:
    """The second time its count is remembered, in each encoding by itself."""
    memo, clerk = Memo(10_000), Clerk()
    text = "long enough to be remembered"

    for _ in range(3):
        assert memo.count("a", text, clerk.count) == (28, True)
    assert clerk.asked == 1
    memo.count("b", text, clerk.count)
    assert clerk.asked == 2


def test_short_texts_are_counted_again() -> None:
    """What is counted as fast as it is found takes no place."""
    memo, clerk = Memo(10_000), Clerk()

    for _ in range(3):
        memo.count("a", "x" * (MIN_CHARACTERS - 1), clerk.count)
    assert clerk.asked == 3


def test_memory_is_bounded() -> None:
    """With room for two the one seen longest ago is forgotten."""
    memo, clerk = Memo(800), Clerk()
    texts = ["x" * (MIN_CHARACTERS + n) for n in range(3)]

    for text in [*texts, texts[2], texts[1], texts[0]]:
        memo.count("a", text, clerk.count)
    assert clerk.asked == 4
