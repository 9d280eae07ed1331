"""What replies cost that nobody reported."""

import pytest

from gateway.tokens import ModelTable, OutputCounter, TokenCounter
from gateway.tokens.output import COMPARED_OF
from gateway.types import Output, Usage


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


def test_one_reply_in_sixteen_is_compared(counter: TokenCounter) -> None:
    """The first reply is counted beside its report, and then each sixteenth; the rest are not read for it."""
    outputs = OutputCounter(counter)
    asked: list[None] = []

    def said() -> Output:
        asked.append(None)
        return Output(texts=("Hello world",))

    errors = [outputs.error("gpt-4o", said, Usage(output_tokens=5)) for _ in range(COMPARED_OF + 1)]

    assert errors == [0.2] + [None] * 15 + [0.2]
    assert len(asked) == 2


@pytest.mark.parametrize(
    ("output", "reported"),
    [
        (Output(texts=("Hello world",), scale=1.5), Usage(output_tokens=4)),
        (Output(texts=("Hello world",)), Usage(output_tokens=4, reasoning_tokens=2)),
        (Output(texts=("Hello world",)), Usage(output_tokens=4, audio_output_tokens=2)),
        (Output(texts=("word " * 2000,)), Usage(output_tokens=2000)),
        (Output(), Usage(output_tokens=4)),
    ],
    ids=["a part", "hidden", "spoken", "long", "nothing"],
)
def test_only_what_is_known_whole_is_compared(
    counter: TokenCounter, output: Output, reported: Usage
) -> None:
    """Where a part of what a reply cost was not read, its count says nothing about counting."""
    assert OutputCounter(counter).error("gpt-4o", lambda: output, reported) is None
