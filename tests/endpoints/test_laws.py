"""The rules between parameters, beyond what the golden cases show."""

from collections.abc import Callable
from typing import Any

import pytest

from gateway.endpoints import laws
from gateway.validation_faults import Fault


def param_of(law: Callable[[Any], None], value: object) -> str | None:
    """Return the path of the fault, None where the law holds."""
    try:
        law(value)
    except Fault as fault:
        return fault.param
    return None


@pytest.mark.parametrize(
    ("law", "value", "param"),
    [
        (laws.stream_options_need_stream, {"stream_options": {}, "stream": True}, None),
        (laws.stream_options_need_stream, {"stream_options": None}, None),
        (laws.stream_options_need_stream, {"stream_options": {}, "stream": None}, "stream_options"),
        (laws.top_logprobs_need_logprobs, {"top_logprobs": 0, "logprobs": True}, None),
        (laws.top_logprobs_need_logprobs, {"top_logprobs": 0}, "top_logprobs"),
        (laws.one_token_limit, {"max_tokens": 1, "max_completion_tokens": None}, None),
        (laws.one_token_limit, {"max_tokens": 1, "max_completion_tokens": 1}, "max_tokens"),
        (laws.best_of_covers_n, {"best_of": 2, "n": 2}, None),
        (laws.best_of_covers_n, {"best_of": 0}, None),
        (laws.best_of_covers_n, {"best_of": 2, "n": 3}, "best_of"),
        (laws.one_conversation, {"conversation": "c"}, None),
        (laws.assistant_says_something, {"content": ""}, None),
        (laws.assistant_says_something, {"content": None}, "content"),
        (laws.file_has_content, {"file_url": "https://x"}, None),
        (laws.file_has_content, {"filename": "x"}, "file_id"),
        (laws.token_ids, "50256", None),
        (laws.token_ids, "٣", ""),
        (laws.untagged_item, {"id": "x"}, None),
        (laws.untagged_item, {"role": "user"}, "content"),
        (laws.untagged_item, {}, "type"),
    ],
)
def test_each_law(law: Callable[[Any], None], value: object, param: str | None) -> None:
    """A law holds, or names the parameter that breaks it."""
    assert param_of(law, value) == param


def calls(*ids: str) -> dict[str, object]:
    return {"role": "assistant", "tool_calls": [{"id": name} for name in ids]}


def answer(name: str) -> dict[str, object]:
    return {"role": "tool", "tool_call_id": name}


USER: dict[str, object] = {"role": "user"}


@pytest.mark.parametrize(
    ("messages", "param"),
    [
        ([USER, calls("a", "b"), answer("b"), answer("a"), calls("c"), answer("c"), USER], None),
        ([calls("a"), answer("a"), answer("a")], None),
        ([answer("a")], "[0].role"),
        ([calls("a"), answer("a"), USER, answer("a")], "[3].role"),
        ([calls("a"), answer("b")], "[1].tool_call_id"),
        ([calls("a"), calls("b"), answer("b")], "[1].role"),
        ([calls("a", "b"), answer("a"), USER], "[2].role"),
        ([calls("a")], ""),
        ([{"role": "assistant", "tool_calls": None}, USER], None),
        ([{"role": "user", "tool_calls": [{"id": "a"}]}, USER], None),
    ],
)
def test_tool_messages_answer_calls(messages: list[object], param: str | None) -> None:
    """After calls come answers to each of them, in any order, and to nothing else."""
    assert param_of(laws.tool_messages_answer_calls, messages) == param


def test_only_some_unanswered_calls_are_named() -> None:
    """A message stays short, however many calls wait."""
    with pytest.raises(Fault) as caught:
        laws.tool_messages_answer_calls([calls(*(f"call_{i}" * 20 for i in range(1000)))])
    assert len(caught.value.message) < 600
