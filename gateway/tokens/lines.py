"""Counts requests line by line, for the command line."""

import json
from collections.abc import Iterable, Iterator

from gateway.tokens.counter import Count, Kind, TokenCounter
from gateway.tokens.values import Object, as_text


def count_lines(lines: Iterable[bytes | str], counter: TokenCounter) -> Iterator[Count | None]:
    """Yield the count of each line that is a JSON request, None for one that is not; empty lines are skipped."""
    for line in lines:
        if not line.strip():
            continue
        try:
            payload = json.loads(line)
        except (ValueError, RecursionError):
            payload = None
        if isinstance(payload, dict) and _is_countable(payload):
            model = as_text(payload.get("model"))
            yield counter.count_now(_kind(payload), payload, model)
        else:
            yield None


def _is_countable(payload: Object) -> bool:
    """Tell whether a chat has messages; what is no list of objects would count as nothing."""
    if "messages" not in payload:
        return True
    messages = payload["messages"]
    return (
        isinstance(messages, list)
        and bool(messages)
        and all(isinstance(message, dict) for message in messages)
    )


def _kind(payload: Object) -> Kind:
    """Return the endpoint that a request is meant for, by its members."""
    if "messages" in payload:
        return "chat"
    if "prompt" in payload:
        return "completions"
    is_embedding = as_text(payload.get("model")).startswith("text-embedding")
    return "embeddings" if is_embedding else "responses"
