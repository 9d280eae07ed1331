"""Which family a model's name belongs to."""

import pytest

from gateway.tokens.families import FAMILIES, UNKNOWN, base_name, family_of


@pytest.mark.parametrize(
    ("model", "prefix"),
    [
        ("gpt-4o-2024-08-06", "gpt-4o"),
        ("gpt-4o-mini-2024-07-18", "gpt-4o-mini"),
        ("gpt-4o-mini-search-preview-2025-03-11", "gpt-4o-mini-search-preview"),
        ("gpt-4-0613", "gpt-4"),
        ("gpt-4.1-nano", "gpt-4.1-nano"),
        ("gpt-35-turbo", "gpt-35"),
        ("gpt-5.4-mini-2026-03-17", "gpt-5.4"),
        ("ft:gpt-4o-mini-2024-07-18:acme::abc", "gpt-4o-mini"),
        ("openai/gpt-4.1", "gpt-4.1"),
        ("o1-2024-12-17", "o1"),
        ("gpt-6.1-sol", "gpt-6."),
        ("gpt-5.9", "gpt-5."),
        ("gpt-4.9", None),
        ("gpt-40", None),
        ("llama3.2", None),
        ("", None),
    ],
)
def test_the_longest_prefix_decides(model: str, prefix: str | None) -> None:
    """A family's prefix ends where a word of the name ends; what fits none is unknown."""
    assert family_of(model) is (UNKNOWN if prefix is None else FAMILIES[prefix])


@pytest.mark.parametrize(
    ("model", "base"),
    [("ft:gpt-4o:a:b:c", "gpt-4o"), ("ft:", ""), ("azure/gpt-4o", "gpt-4o"), ("gpt-4o", "gpt-4o")],
)
def test_base_names(model: str, base: str) -> None:
    """A fine-tuned model is named after the one that it was made from."""
    assert base_name(model) == base
