"""Counts that are remembered."""

from gateway.tokens.memo import MIN_CHARACTERS, MIN_TEXTS, Memo


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


def test_a_chat_that_goes_on_costs_its_new_texts() -> None:
    """An answer and a question more, or another last question: what was counted before is not looked at again."""
    memo, clerk = Memo(100_000), Clerk()
    texts = ["Hello", *(f"turn {turn} of a chat that grows" for turn in range(MIN_TEXTS))]
    characters = sum(map(len, texts))

    assert memo.total("a", texts, clerk.count, 10_000) == (characters, True)
    asked = clerk.asked
    assert memo.total("a", [*texts, "Yes", "Why?"], clerk.count, 7) == (characters + 7, True)
    assert memo.total("a", [*texts[:-1], "Or?"], clerk.count, 3) == (characters - 24, True)
    assert memo.total("a", texts, clerk.count, 0) == (characters, True)
    assert clerk.asked == asked + 3


def test_a_chat_with_too_much_to_count_is_left() -> None:
    """What is not remembered is measured; what is does not matter."""
    memo, clerk = Memo(100_000), Clerk()
    texts = ["x" * 100, "y" * 100]

    assert memo.total("a", texts, clerk.count, 199) is None
    assert clerk.asked == 0
    memo.count("a", texts[0], clerk.count)
    assert memo.total("a", texts, clerk.count, 100) == (200, True)
