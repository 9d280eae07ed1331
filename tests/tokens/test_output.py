"""What replies cost that nobody reported."""

import pytest

from gateway.tokens import ModelTable, OutputCounter, TokenCounter
from gateway.types import Output


@pytest.mark.parametrize(
    ("output", "tokens"),
    [
        (Output(texts=("Hello world",)), 2 + 2),
        (Output(texts=("Hello world", "I see"), scale=2.0), 2 * (2 + 2 + 2)),
        (Output(tool_calls=(("f", '{"a":1}'),)), 1 + 5 + 7),
        (Output(), 0),
    ],
)
async def test_words_are_counted(counter: TokenCounter, output: Output, tokens: int) -> None:
    """Texts and calls are counted, and scaled where only a part was kept."""
    assert await OutputCounter(counter).count("gpt-4o", output) == tokens


async def test_secret_reasoning_is_learned() -> None:
    """A model that reasons in secret costs its mean at the least; one that does not costs its words."""
    outputs = OutputCounter(TokenCounter(ModelTable(), encodings=()))
    for tokens in (100, 300):
        outputs.observe("gpt-5-mini", tokens)
        outputs.observe("gpt-4o", tokens)

    assert await outputs.count("gpt-5-mini", Output(texts=("Hi",))) == 200
    assert await outputs.count("gpt-5-mini", Output(texts=("word " * 500,))) == 503
    assert await outputs.count("gpt-4o", Output(texts=("Hi",))) == 3
    assert await outputs.count("o3", Output(texts=("Hi",))) == 3
