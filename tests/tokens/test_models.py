"""The model table and what the configuration overrides."""

from decimal import Decimal

import pytest

from gateway.tokens import ModelOverride, ModelTable

TABLE = ModelTable(
    [
        ModelOverride(
            pattern="llama*",
            context_window=8192,
            max_output_tokens=2048,
            tokenizer="calibrated",
            input=Decimal(0),
            output=Decimal("0.5"),
            request=Decimal("0.001"),
        ),
        ModelOverride(pattern="fast", model="gpt-4o-mini", max_output_tokens=100),
        ModelOverride(pattern="gpt-4.1", context_window=128_000),
    ]
)


@pytest.mark.parametrize(
    ("name", "window", "most", "prices"),
    [
        ("gpt-4o", 128_000, 16_384, ("2.5", "1.25", "10")),
        ("gpt-4o-2031-01-01", 128_000, 16_384, ("2.5", "1.25", "10")),
        ("gpt-35-turbo", 16_385, 4_096, ("0.5", None, "1.5")),
        ("gpt-3.5-turbo-0613", 4_097, None, (None, None, None)),
        ("ft:gpt-4o-mini-2024-07-18:acme::x", 128_000, 16_384, ("0.3", "0.15", "1.2")),
        ("ft:gpt-5:acme::x", 272_000, 128_000, (None, None, None)),
        ("text-embedding-3-small", 8_192, None, ("0.02", None, "0")),
        ("fast", 128_000, 100, ("0.15", "0.075", "0.6")),
        ("llama3.2", 8_192, 2_048, ("0", None, "0.5")),
        ("gpt-4.1", 128_000, 32_768, ("2", "0.5", "8")),
    ],
)
def test_lookup(
    name: str, window: int, most: int | None, prices: tuple[str | None, str | None, str | None]
) -> None:
    """Snapshots and fine-tuned models are their family's, aliases their target's; the configuration overrides."""
    info = TABLE.lookup(name)

    assert info is not None
    assert (info.name, info.context_window, info.max_output_tokens) == (name, window, most)
    found = (info.input, info.cached_input, info.output)
    assert found == tuple(None if price is None else Decimal(price) for price in prices)


def test_nobody_knows_every_model() -> None:
    """Where neither table nor configuration names a model, there is nothing; asked again, still nothing."""
    assert TABLE.lookup("mistral") is None
    assert TABLE.lookup("mistral") is None
    assert TABLE.lookup("ft:mistral:a::b") is None


def test_encodings_and_windows() -> None:
    """Families say the encoding and whether the reply shares the window; a named tokenizer is the encoding."""
    table = ModelTable([ModelOverride(pattern="mine", tokenizer="cl100k_base", context_window=10)])
    gpt4, gpt4o, mine, llama = (
        table.lookup("gpt-4"),
        table.lookup("gpt-4o"),
        table.lookup("mine"),
        TABLE.lookup("llama3.2"),
    )

    assert gpt4 is not None and gpt4o is not None and mine is not None and llama is not None  # noqa: PT018
    assert (gpt4.encoding, gpt4.shared_window, gpt4.declared) == ("cl100k_base", True, False)
    assert (gpt4o.encoding, gpt4o.shared_window) == ("o200k_base", False)
    assert (mine.encoding, mine.declared) == ("cl100k_base", True)
    assert (llama.encoding, llama.declared, llama.request) == ("o200k_base", True, Decimal("0.001"))
