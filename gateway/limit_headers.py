"""Limits in OpenAI's words: the six `x-ratelimit-*` headers, and how a refusal is put.

Formats: https://platform.openai.com/docs/guides/rate-limits#rate-limits-in-headers
"""

import math
from collections.abc import Sequence
from datetime import UTC, datetime

from gateway.errors import RateLimitError
from gateway.limit_rules import Row
from gateway.prices import usd
from gateway.stores import NEVER, Decision
from gateway.types import Headers

_NAMES = {
    dimension: tuple(
        f"x-ratelimit-{what}-{dimension}".encode() for what in ("limit", "remaining", "reset")
    )
    for dimension in ("requests", "tokens")
}

# In milliseconds.
_SECOND = 1000
_MINUTE = 60_000
_MINUTES_PER_HOUR = 60

# What an SDK is willing to wait: it ignores a longer `retry-after` and would come back at once.
MAX_RETRY_MILLISECONDS = 60_000


def duration(seconds: float) -> str:
    """Write a time as OpenAI does, rounded up: `17ms`, `1s`, `1.5s`, `6m0s`, `24h0m0s`."""
    milliseconds = math.ceil(seconds * _SECOND)
    if milliseconds < _MINUTE:
        if 0 < milliseconds < _SECOND:
            return f"{milliseconds}ms"
        seconds, rest = divmod(milliseconds, _SECOND)
        return f"{milliseconds / _SECOND:g}s" if rest else f"{seconds}s"
    minutes, rest = divmod(milliseconds, _MINUTE)
    if minutes < _MINUTES_PER_HOUR:
        return f"{minutes}m{rest / _SECOND:g}s"
    hours, minutes = divmod(minutes, _MINUTES_PER_HOUR)
    return f"{hours}h{minutes}m{rest / _SECOND:g}s"


def headers(
    rates: Sequence[tuple[str, Sequence[int]]], decision: Decision, age_seconds: float = 0.0
) -> Headers:
    """Return the six headers, in each dimension from the limit with the least share left.

    `rates` says which charges belong to which dimension. `age_seconds`: how old the decision is.
    """
    found: list[tuple[bytes, bytes]] = []
    charges, used = decision.charges, decision.used
    for dimension, indexes in rates:
        tightest, most = 0, -1.0
        for index in indexes:
            share = used[index] / charges[index][0].capacity
            if share > most:
                tightest, most = index, share
        capacity = charges[tightest][0].capacity
        left = max(0, capacity - used[tightest])
        reset = duration(max(0.0, decision.reset_seconds(tightest) - age_seconds))
        limit_name, remaining_name, reset_name = _NAMES[dimension]
        found.append((limit_name, b"%d" % capacity))
        found.append((remaining_name, b"%d" % left))
        found.append((reset_name, reset.encode()))
    return tuple(found)


def tightest(one: Headers, other: Headers) -> Headers:
    """Return what two answers of `headers` tell together: in each dimension the limit with the least share left."""
    found: dict[bytes, Headers] = {}
    for told in (one, other):
        for at in range(0, len(told), 3):
            fields = told[at : at + 3]
            name = fields[0][0]
            if name not in found or _share_left(fields) < _share_left(found[name]):
                found[name] = fields
    return tuple(field for fields in found.values() for field in fields)


def _share_left(fields: Headers) -> float:
    (_, capacity), (_, left), _ = fields
    return int(left) / int(capacity)


def told_by(error: RateLimitError) -> Headers:
    """Return what `headers` said when a call was refused."""
    return tuple(
        (name.encode(), value.encode())
        for name, value in error.headers.items()
        if name.startswith("x-ratelimit-")
    )


def refusal(
    row: Row, *, model: str | None, requested: int, used: int, retry_after_seconds: float
) -> RateLimitError:
    """Return the 429 of one limit; `retry_after_seconds` is NEVER for what waiting cannot cure."""
    if row.dimension == "budget":
        return _quota(row, requested, used, retry_after_seconds)
    kind = "tokens" if row.dimension == "tokens" else "requests"
    whom = "".join(f" for {name}" for name in (model, row.subject) if name)
    limit = f"{row.unit}: Limit {row.bucket.capacity}"
    if retry_after_seconds == NEVER:
        text = (
            f"Request too large{whom} on {limit}, Requested {requested}."
            " The input or output tokens must be reduced in order to run successfully."
        )
    else:
        text = (
            f"Rate limit reached{whom} on {limit}, Used {used}, Requested {requested}."
            f" Please try again in {duration(_milliseconds(retry_after_seconds) / 1000)}."
        )
    return RateLimitError(
        text,
        code="rate_limit_exceeded",
        error_type=kind,
        headers=_retry_headers(retry_after_seconds),
    )


def _quota(row: Row, requested: int, used: int, retry_after_seconds: float) -> RateLimitError:
    """Return the refusal of a budget; its first words are OpenAI's, agents look for them."""
    renewed = datetime.fromtimestamp(row.renewed_at, UTC)
    whom = f" for {row.subject}" if row.subject else ""
    text = (
        f"You exceeded your current quota{whom}: {usd(row.bucket.capacity)} per {row.unit},"
        f" {usd(used)} used, {usd(requested)} requested."
        f" It is renewed at {renewed:%Y-%m-%dT%H:%M:%SZ}."
    )
    return RateLimitError(
        text,
        code="insufficient_quota",
        error_type="insufficient_quota",
        headers=_retry_headers(retry_after_seconds),
    )


def _milliseconds(seconds: float) -> int:
    """Round up, to a time at which the place is surely back."""
    return math.floor(seconds * 1000) + 1


def _retry_headers(seconds: float) -> dict[str, str]:
    if seconds == NEVER:
        return {"x-should-retry": "false"}
    milliseconds = _milliseconds(seconds)
    found = {
        "retry-after": str(math.ceil(milliseconds / 1000)),
        "retry-after-ms": str(milliseconds),
    }
    if milliseconds > MAX_RETRY_MILLISECONDS:
        found["x-should-retry"] = "false"
    return found
