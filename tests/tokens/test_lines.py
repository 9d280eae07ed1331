"""Requests counted line by line."""

import pytest

from gateway.tokens import TokenCounter, count_lines

LINES: list[bytes | str] = [
    b'{"model":"gpt-4o","messages":[{"role":"user","content":"Hi"}]}\n',
    b"\n",
    '{"model":"gpt-3.5-turbo-instruct","prompt":"Say this is a test"}',
    '{"model":"text-embedding-3-small","input":"one two three"}',
    '{"model":"gpt-4.1","input":"Hi"}',
    b"\xff\xfe{",
    "[]",
    "[" * 100_000,
    "{}",
]


def test_lines(counter: TokenCounter) -> None:
    """Each request has its count by the endpoint that it is meant for, each other line has none."""
    counts = list(count_lines(LINES, counter))

    assert [None if c is None else (c.tokens, c.certainty, c.encoding) for c in counts] == [
        (8, "exact", "o200k_base"),
        (5, "exact", "cl100k_base"),
        (3, "exact", "cl100k_base"),
        (8, "estimate", "o200k_base"),
        None,
        None,
        None,
        (3, "estimate", "o200k_base"),
    ]


@pytest.mark.parametrize("messages", ["null", "[]", '"Hi"', "{}", "[1]", '[{"role":"user"},[]]'])
def test_a_chat_without_messages_is_none(counter: TokenCounter, messages: str) -> None:
    """What OpenAI would refuse gets no number that looks like a bill."""
    line = f'{{"model":"gpt-4o","messages":{messages}}}'

    assert list(count_lines([line], counter)) == [None]
