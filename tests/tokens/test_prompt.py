"""The layout that renderers fill."""

from gateway.tokens.prompt import Prompt


def test_adding() -> None:
    """Constants add up, texts stay apart."""
    prompt = Prompt()
    prompt.add(3)
    prompt.add(4, "a", "b")

    assert (prompt.tokens, prompt.texts, prompt.exact) == (7, ["a", "b"], True)
