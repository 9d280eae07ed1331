"""Whether a prompt fits its model's window, and OpenAI's own words where it does not.

The sentences are those of the service's 400 `context_length_exceeded`, as quoted in public bug reports.
"""

from gateway.errors import InvalidRequestError
from gateway.tokens.counter import Count, Kind
from gateway.tokens.models import ModelInfo

# What a legacy completion may say where the request does not tell.
DEFAULT_COMPLETION_TOKENS = 16


def room(info: ModelInfo, max_output_tokens: int | None) -> int | None:
    """Return how many tokens a prompt may have, None where that is not known."""
    if info.context_window is None:
        return None
    return info.context_window - (max_output_tokens or 0 if info.shared_window else 0)


def fits(
    count: Count,
    info: ModelInfo,
    max_output_tokens: int | None = None,
    *,
    kind: Kind = "chat",
    functions_tokens: int = 0,
) -> InvalidRequestError | None:
    """Return the refusal of a prompt that cannot fit, None where it fits or nothing is certain.

    A count is certain enough where it is exact, or where the configuration gives both window and tokenizer.
    `functions_tokens` are those of `count` that stand for tool definitions; the words name them apart.
    """
    if count.certainty != "exact" and not info.declared:
        return None
    if kind == "completions" and max_output_tokens is None:
        max_output_tokens = DEFAULT_COMPLETION_TOKENS
    prompt_tokens = count.longest - count.margin
    limit = room(info, max_output_tokens)
    window = info.context_window
    if limit is None or window is None or prompt_tokens <= limit:
        return None
    completion_tokens = (max_output_tokens or 0) if info.shared_window else 0
    if kind in ("completions", "embeddings"):
        return _refusal(_prompt_words(window, prompt_tokens, completion_tokens), None)
    functions_tokens = min(functions_tokens, prompt_tokens)
    if completion_tokens:
        words = _requested_words(window, prompt_tokens, functions_tokens, completion_tokens)
    else:
        words = _messages_words(info, window, prompt_tokens, functions_tokens)
    return _refusal(words, "input" if kind == "responses" else "messages")


def _refusal(message: str, param: str | None) -> InvalidRequestError:
    return InvalidRequestError(message, code="context_length_exceeded", param=param)


def _prompt_words(window: int, prompt: int, completion: int) -> str:
    return (
        f"This model's maximum context length is {window} tokens, however you requested "
        f"{prompt + completion} tokens ({prompt} in your prompt; {completion} for the completion). "
        "Please reduce your prompt; or completion length."
    )


def _requested_words(window: int, prompt: int, functions: int, completion: int) -> str:
    if functions:
        parts = (
            f"{prompt - functions} in the messages, {functions} in the functions, "
            f"and {completion} in the completion"
        )
        what = "messages, functions, or completion"
    else:
        parts = f"{prompt} in the messages, {completion} in the completion"
        what = "messages or completion"
    return (
        f"This model's maximum context length is {window} tokens. However, you requested "
        f"{prompt + completion} tokens ({parts}). Please reduce the length of the {what}."
    )


def _messages_words(info: ModelInfo, window: int, prompt: int, functions: int) -> str:
    if info.family.limits_input:
        return (
            f"Input tokens exceed the configured limit of {window} tokens. Your messages resulted "
            f"in {prompt} tokens. Please reduce the length of the messages."
        )
    parts = f" ({prompt - functions} in the messages, {functions} in the functions)"
    return (
        f"This model's maximum context length is {window} tokens. However, your messages resulted "
        f"in {prompt} tokens{parts if functions else ''}. Please reduce the length of the "
        f"messages{' or functions' if functions else ''}."
    )
