"""The rules between parameters: each function takes what it judges, and raises Fault.

OpenAI's own words, and its codes, which for most of these is none.
"""

from gateway.errors import shown
from gateway.validation_faults import Fault, missing


def stream_options_need_stream(body: dict[str, object]) -> None:
    """Want a stream where `stream_options` says how."""
    if body.get("stream_options") is not None and body.get("stream") is not True:
        raise Fault(
            None,
            "The 'stream_options' parameter is only allowed when 'stream' is enabled.",
            "stream_options",
        )


def top_logprobs_need_logprobs(body: dict[str, object]) -> None:
    """Want log probabilities where `top_logprobs` says how many."""
    if body.get("top_logprobs") is not None and body.get("logprobs") is not True:
        raise Fault(
            None,
            "The 'top_logprobs' parameter is only allowed when 'logprobs' is enabled.",
            "top_logprobs",
        )


def one_token_limit(body: dict[str, object]) -> None:
    """Want one limit: `max_tokens` is the former name of `max_completion_tokens`."""
    if body.get("max_tokens") is not None and body.get("max_completion_tokens") is not None:
        raise Fault(
            "invalid_parameter_combination",
            "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported.",
            "max_tokens",
        )


def best_of_covers_n(body: dict[str, object]) -> None:
    """Want at least as many completions made as are returned."""
    best_of, n = body.get("best_of"), body.get("n")
    if isinstance(best_of, int | float) and isinstance(n, int | float) and best_of < n:
        raise Fault(
            "invalid_value",
            "Invalid '{param}': expected a value >= 'n', the number of completions to return.",
            "best_of",
        )


def one_conversation(body: dict[str, object]) -> None:
    """Let a response go on from one place only."""
    if body.get("conversation") is not None and body.get("previous_response_id") is not None:
        raise Fault(
            "mutually_exclusive_parameters",
            "Mutually exclusive parameters: 'previous_response_id' and 'conversation'. "
            "Ensure you are only providing one of these parameters.",
            "previous_response_id",
        )


def assistant_says_something(message: dict[str, object]) -> None:
    """Want text, a refusal, a sound or a call of an assistant."""
    for name in ("content", "tool_calls", "function_call", "refusal", "audio"):
        if message.get(name) is not None:
            return
    raise Fault(None, "Invalid value for 'content': expected a string, got null.", "content")


def file_has_content(file: dict[str, object]) -> None:
    """Want a file uploaded before, or along, or told in a way as yet unknown."""
    if not file.keys() - {"filename"}:
        raise missing("file_id")


def token_ids(name: str) -> None:
    """Want the number of a token as a name in `logit_bias`."""
    if not (name.isascii() and name.isdigit()):
        raise Fault(
            "invalid_value",
            f"Invalid key in '{{param}}': {shown(name)}. "
            "You should only be submitting non-negative integers.",
        )


def untagged_item(item: dict[str, object]) -> None:
    """Want an item without a type to be a message, or the id of another item."""
    if item.get("role") is None and item.get("id") is None:
        raise missing("type")
    if item.get("role") is not None and item.get("content") is None:
        raise missing("content")


def tool_messages_answer_calls(messages: list[object]) -> None:
    """Want tool messages after an assistant's calls, one for each of them.

    https://platform.openai.com/docs/guides/function-calling
    """
    calls: dict[object, bool] = {}  # by id, of the assistant's message above: whether answered
    for index, message in enumerate(messages):
        if not isinstance(message, dict):
            continue
        if message["role"] == "tool":
            _answer(calls, message["tool_call_id"], index)
        elif calls or "tool_calls" in message:
            _all_answered(calls, index, "role")
            calls = {}
            if message["role"] == "assistant":
                calls = {call.get("id"): False for call in message.get("tool_calls") or ()}
    _all_answered(calls)


def _answer(calls: dict[object, bool], call_id: object, index: int) -> None:
    if not calls:
        raise Fault(
            None,
            "Invalid parameter: messages with role 'tool' must be a response to a preceeding "
            "message with 'tool_calls'.",
            index,
            "role",
        )
    if call_id not in calls:
        raise Fault(
            None,
            f"Invalid parameter: 'tool_call_id' of {shown(str(call_id))} not found in "
            "'tool_calls' of previous message.",
            index,
            "tool_call_id",
        )
    calls[call_id] = True


def _all_answered(calls: dict[object, bool], *where: str | int) -> None:
    unanswered = [shown(str(call))[1:-1] for call, answered in calls.items() if not answered]
    if unanswered:
        raise Fault(
            None,
            "An assistant message with 'tool_calls' must be followed by tool messages responding "
            "to each 'tool_call_id'. The following tool_call_ids did not have response messages: "
            + ", ".join(unanswered[:5]),
            *where,
        )
