"""Refusals of prompts that cannot fit, in the service's own words."""

import pytest

from gateway.tokens import Certainty, Count, Kind, ModelInfo, ModelOverride, ModelTable, fits, room

TABLE = ModelTable(
    [
        ModelOverride(pattern="mine", context_window=100, tokenizer="calibrated"),
        ModelOverride(pattern="half", context_window=100),
        ModelOverride(pattern="unknown", max_output_tokens=5),
    ]
)


def info(model: str) -> ModelInfo:
    found = TABLE.lookup(model)
    assert found is not None
    return found


def counted(tokens: int, certainty: Certainty = "exact", margin: int = 0) -> Count:
    return Count(
        tokens=tokens, longest=tokens, certainty=certainty, encoding="o200k_base", margin=margin
    )


REFUSALS: list[tuple[str, Kind, int, int | None, int, str]] = [
    (
        "gpt-3.5-turbo-0613",
        "chat",
        12,
        4100,
        0,
        "This model's maximum context length is 4097 tokens. However, you requested 4112 tokens (12 in the messages, "
        "4100 in the completion). Please reduce the length of the messages or completion.",
    ),
    (
        "gpt-4",
        "chat",
        5359,
        4096,
        2933,
        "This model's maximum context length is 8192 tokens. However, you requested 9455 tokens (2426 in the messages, "
        "2933 in the functions, and 4096 in the completion). Please reduce the length of the messages, functions, or "
        "completion.",
    ),
    (
        "gpt-4o",
        "chat",
        204308,
        None,
        0,
        "This model's maximum context length is 128000 tokens. However, your messages resulted in 204308 tokens. "
        "Please reduce the length of the messages.",
    ),
    (
        "gpt-4o",
        "chat",
        128001,
        10,
        1,
        "This model's maximum context length is 128000 tokens. However, your messages resulted in 128001 tokens "
        "(128000 in the messages, 1 in the functions). Please reduce the length of the messages or functions.",
    ),
    (
        "gpt-5",
        "chat",
        289650,
        None,
        0,
        "Input tokens exceed the configured limit of 272000 tokens. Your messages resulted in 289650 tokens. Please "
        "reduce the length of the messages.",
    ),
    (
        "gpt-3.5-turbo-instruct",
        "completions",
        1090,
        3072,
        0,
        "This model's maximum context length is 4097 tokens, however you requested 4162 tokens (1090 in your prompt; "
        "3072 for the completion). Please reduce your prompt; or completion length.",
    ),
    (
        "text-embedding-3-small",
        "embeddings",
        8238,
        None,
        0,
        "This model's maximum context length is 8192 tokens, however you requested 8238 tokens (8238 in your prompt; "
        "0 for the completion). Please reduce your prompt; or completion length.",
    ),
]


@pytest.mark.parametrize(("model", "kind", "tokens", "most", "functions", "words"), REFUSALS)
def test_refusals(
    model: str, kind: Kind, tokens: int, most: int | None, functions: int, words: str
) -> None:
    """A prompt above its window is refused with OpenAI's sentence, code and param, and the true numbers."""
    refusal = fits(counted(tokens), info(model), most, kind=kind, functions_tokens=functions)

    assert refusal is not None
    assert refusal.message == words
    assert (refusal.status, refusal.code) == (400, "context_length_exceeded")
    assert refusal.param == ("messages" if kind == "chat" else None)


@pytest.mark.parametrize(
    ("model", "kind", "tokens", "most"),
    [
        ("gpt-4", "chat", 4192, 4000),
        ("gpt-4", "chat", 8192, None),
        ("gpt-4o", "chat", 128000, 16384),
        ("gpt-3.5-turbo-instruct", "completions", 4081, None),
        ("unknown", "chat", 10**9, None),
    ],
)
def test_what_fits_passes(model: str, kind: Kind, tokens: int, most: int | None) -> None:
    """The window's last token may be used; without a window nothing is refused."""
    assert fits(counted(tokens), info(model), most, kind=kind) is None


def test_an_estimate_refuses_nothing() -> None:
    """Only an exact count refuses, or a configuration that gives both window and tokenizer."""
    guess = counted(10**9, "estimate")

    assert fits(guess, info("gpt-4o")) is None
    assert fits(guess, info("half")) is None
    assert fits(guess, info("mine")) is not None


def test_the_margin_is_the_clients() -> None:
    """What calibration is not sure of does not refuse."""
    assert fits(counted(110, "estimate", margin=10), info("mine")) is None
    assert fits(counted(111, "estimate", margin=10), info("mine")) is not None


@pytest.mark.parametrize(
    ("model", "most", "tokens"),
    [("gpt-4", 1000, 7192), ("gpt-4", None, 8192), ("gpt-4o", 1000, 128000), ("unknown", 1, None)],
)
def test_room(model: str, most: int | None, tokens: int | None) -> None:
    """A prompt may have the window, less the reply where they share it."""
    assert room(info(model), most) == tokens
