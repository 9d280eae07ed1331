"""What is kept of a call that ended, for the lines that are written of it: values as they are, put into words later.

An entry holds nothing of a prompt, an answer or a key, and none of a call's bytes.
"""

from collections.abc import Mapping
from hashlib import sha256
from typing import NamedTuple

from gateway.clock import utc_stamp
from gateway.prices import NANODOLLARS_PER_USD
from gateway.types import Target, Usage, User

# Of a path that somebody made up, so much is told.
MAX_PATH = 256
# Hexadecimal digits of an end user's digest: enough to tell them apart, nothing to find them by.
DIGEST_DIGITS = 16


class Entry(NamedTuple):
    """One call that ended. The event loop makes it; whoever writes asks for its fields, in a thread."""

    # Seconds since 1970 at which it ended.
    time: float
    request_id: str
    status: int
    code: str | None = None
    user: User | None = None
    # The client's word for its own user: told as a digest alone.
    end_user: str | None = None
    method: str | None = None
    # As sent, with its query, which is not told: keys stand in some.
    target: str | None = None
    endpoint: str | None = None
    model: str | None = None
    answered: Target | None = None
    attempts: int = 0
    usage: Usage | None = None
    cost_nanodollars: int | None = None
    cache: str | None = None
    sent_bytes: int = 0
    # Waiting for its turn; to the first byte of the upstream's reply; all of it; the gateway's own part.
    queue_seconds: float = 0.0
    first_byte_seconds: float | None = None
    total_seconds: float = 0.0
    own_seconds: float = 0.0
    # Lines before this one that were not written.
    unsaid: int = 0

    def fields(self) -> Mapping[str, object]:
        """Return what the log says of the call."""
        usage = self.usage
        first = self.first_byte_seconds
        fields = {
            "request_id": self.request_id,
            "user": self.user and self.user.name,
            "end_user": digest(self.end_user),
            "method": self.method,
            "path": self.target and self.target.partition("?")[0][:MAX_PATH],
            "endpoint": self.endpoint,
            "model": self.model,
            "served": self.answered and self.answered.model,
            "upstream": self.answered and self.answered.upstream,
            "attempts": self.attempts,
            "status": self.status,
            "code": self.code,
            "input_tokens": usage and usage.input_tokens,
            "cached_input_tokens": usage and usage.cached_input_tokens,
            "output_tokens": usage and usage.output_tokens,
            "reasoning_tokens": usage and usage.reasoning_tokens,
            "estimated": usage and usage.estimated,
            "cost_usd": usd(self.cost_nanodollars),
            "cache": self.cache,
            "sent_bytes": self.sent_bytes,
            "queue_ms": round(self.queue_seconds * 1000, 2),
            "first_byte_ms": None if first is None else round(first * 1000, 2),
            "total_ms": round(self.total_seconds * 1000, 2),
            "own_ms": round(self.own_seconds * 1000, 3),
        }
        return {**fields, "lines_not_logged": self.unsaid} if self.unsaid else fields

    def account(self) -> Mapping[str, object]:
        """Return what the usage log says of the call, for whoever pays for it."""
        usage = self.usage or Usage()
        return {
            "time": utc_stamp(self.time),
            "request_id": self.request_id,
            "user": self.user and self.user.name,
            "group": self.user and self.user.group,
            "end_user": digest(self.end_user),
            "endpoint": self.endpoint,
            "model": self.model,
            "served": self.answered and self.answered.model,
            "upstream": self.answered and self.answered.upstream,
            "status": self.status,
            "input_tokens": usage.input_tokens,
            "cached_input_tokens": usage.cached_input_tokens,
            "audio_input_tokens": usage.audio_input_tokens,
            "output_tokens": usage.output_tokens,
            "reasoning_tokens": usage.reasoning_tokens,
            "audio_output_tokens": usage.audio_output_tokens,
            "estimated": usage.estimated,
            "cost_usd": usd(self.cost_nanodollars),
            "cache": self.cache,
        }


def digest(name: str | None) -> str | None:
    """Return what stands for an end user's name in a line."""
    return name and sha256(name.encode("utf-8", "replace")).hexdigest()[:DIGEST_DIGITS]


def usd(nanodollars: int | None) -> float | None:
    """Return an amount in USD, exact to the nanodollar below nine million; None: no price is known."""
    return None if nanodollars is None else nanodollars / NANODOLLARS_PER_USD
