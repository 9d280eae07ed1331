"""Requests of the endpoints beside chat."""

import pytest

from gateway.tokens.families import family_of
from gateway.tokens.requests import RENDERERS

CLASSIC, MODERN = family_of("davinci-002"), family_of("gpt-4.1")


@pytest.mark.parametrize(
    ("kind", "payload", "tokens", "texts", "exact"),
    [
        ("completions", {"prompt": "a"}, 0, ["a"], True),
        ("completions", {"prompt": ["a", "b"]}, 0, ["a", "b"], True),
        ("completions", {"prompt": [5, 6, 7]}, 3, [], True),
        ("completions", {"prompt": [[5, 6], [7]]}, 3, [], True),
        ("completions", {"prompt": "a", "suffix": "b"}, 0, ["a", "b"], False),
        ("completions", {}, 0, [], False),
        ("embeddings", {"input": ["a", "b"]}, 0, ["a", "b"], True),
        ("embeddings", {"input": {"a": 1}}, 0, [], False),
    ],
)
def test_plain_inputs(
    kind: str, payload: dict[str, object], tokens: int, texts: list[str], exact: bool
) -> None:
    """Texts are counted, token ids count themselves."""
    prompt = RENDERERS[kind](payload, CLASSIC)

    assert (prompt.tokens, prompt.texts, prompt.exact) == (tokens, texts, exact)


def test_responses_are_read_as_chats() -> None:
    """Instructions, items and flat tools count as the chat that says the same, as an estimate."""
    response = {
        "instructions": "Be terse.",
        "input": [
            {"role": "user", "content": [{"type": "input_text", "text": "Weather?"}]},
            {"type": "reasoning", "summary": [{"type": "summary_text", "text": "Hm"}]},
            {"type": "function_call", "call_id": "1", "name": "f", "arguments": '{"a": 1}'},
            {"type": "function_call_output", "call_id": "1", "output": "sunny"},
        ],
        "tools": [{"type": "function", "name": "f"}],
        "text": {"format": {"type": "json_schema", "name": "n", "schema": {}}},
    }
    function = {"name": "f", "arguments": '{"a": 1}'}
    chat = {
        "messages": [
            {"role": "system", "content": "Be terse."},
            {"role": "user", "content": "Weather?"},
            {"role": "assistant", "content": "Hm"},
            {"role": "assistant", "tool_calls": [{"id": "1", "function": function}]},
            {"role": "tool", "tool_call_id": "1", "content": "sunny"},
        ],
        "tools": [{"type": "function", "function": {"name": "f"}}],
        "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {}}},
    }

    response_prompt = RENDERERS["responses"](response, MODERN)
    chat_prompt = RENDERERS["chat"](chat, MODERN)
    assert response_prompt.texts == chat_prompt.texts
    assert response_prompt.tokens == chat_prompt.tokens
    assert (response_prompt.exact, chat_prompt.exact) == (False, True)


def test_a_text_is_a_users_message() -> None:
    """A response to one text is a chat of one message."""
    prompt = RENDERERS["responses"]({"input": "Hi"}, MODERN)

    assert (prompt.tokens, prompt.texts) == (3 + 4, ["Hi"])
