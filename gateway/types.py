"""The nouns of the gateway: plain values that its parts hand to one another. No behaviour, no I/O.

None but `Record` is changed once it is whole and handed on. Those that each call makes anew are not frozen all the
same: that would cost as much again for each of their members.
"""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

# Header fields in wire order: (name as sent, value), both bytes, never decoded on their way through.
Headers = tuple[tuple[bytes, bytes], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """Who calls: the owner of the key (OpenAI's `user` parameter is `Call.end_user`)."""

    name: str
    group: str | None = None
    # Globs of models that this key may use; None: all.
    models: tuple[str, ...] | None = None
    # "METHOD /path" globs that this key may call; None: what `auth.endpoints` says.
    endpoints: tuple[str, ...] | None = None
    # Whether the name stands in the configuration (only such names become metric labels).
    configured: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """A request body that is streamed up and never held whole."""

    pieces: AsyncIterator[bytes]
    # Content-Length in bytes; None: unknown, sent chunked.
    length_bytes: int | None


@dataclass(slots=True, kw_only=True)
class Call:
    """One call as the client made it: the bytes as received, and what was understood of them beside."""

    # The label of the path: "/v1/chat/completions", "/v1/files/{id}".
    endpoint: str
    method: str
    # Path and query exactly as sent, without the leading "/v1".
    target: str
    # All header fields as sent; `headers.py` decides which cross.
    headers: Headers
    body: bytes | Upload
    # The body without its content coding, where it has one and was read.
    plain: bytes | None = None
    # The key that the client sent; goes up only to an upstream that takes the client's own.
    credential: str | None = field(default=None, repr=False)
    # The decoded JSON object, read only; empty where the body is not JSON. Unknown members may be raw.
    payload: Mapping[str, object] = field(default_factory=dict)
    model: str | None = None
    stream: bool = False
    n: int = 1
    # What the client allows the reply to cost, in tokens; None: it did not say.
    max_output_tokens: int | None = None
    end_user: str | None = None
    # Whether doing it twice could create or charge something twice: such a call is never sent again.
    repeatable: bool = True


@dataclass(slots=True, kw_only=True)
class Usage:
    """What a call cost, in tokens. Input includes cached and audio input; output includes reasoning and audio."""

    input_tokens: int = 0
    cached_input_tokens: int = 0
    audio_input_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    audio_output_tokens: int = 0
    # Counted by the gateway, not reported by the upstream.
    estimated: bool = False


@dataclass(slots=True, kw_only=True)
class Output:
    """What a reply said, so that its tokens can be counted where the upstream does not report them."""

    # Contents, refusals and reasoning, each whole, of each choice.
    texts: tuple[str, ...] = ()
    # Name and arguments of each call.
    tool_calls: tuple[tuple[str, str], ...] = ()
    # How many times as much was said as is kept here: 1 where all of it is.
    scale: float = 1.0


@dataclass(slots=True, kw_only=True, unsafe_hash=True)
class Target:
    """One place that can answer a call: an upstream, and the model's name there (None: the call names none)."""

    upstream: str
    model: str | None = None
    weight: float = 1.0
    # Tokens that the model can hold, where it is known.
    context_window: int | None = None
    # The name that led here: the client's own, or a fallback's.
    asked: str | None = field(default=None, compare=False)


@dataclass(slots=True, kw_only=True)
class UpstreamRequest:
    """What is asked of an upstream, ready to be written: framing headers are the transport's to add."""

    method: str
    # "http" or "https", host, port, and path with query.
    scheme: str
    host: str
    port: int
    target: str
    # Host, Content-Length, Transfer-Encoding and Connection are not among them.
    headers: Headers
    body: bytes | Upload


class Span(Protocol):
    """A call in somebody's trace."""

    @property
    def fields(self) -> Headers:
        """The header fields that name it to whoever is asked next, in place of the client's own."""

    def end(self, record: "Record", operation: str | None, provider: str, error: str) -> None:
        """End it; `error` is empty for a success."""


@dataclass(slots=True, kw_only=True)
class Record:
    """What is known of a call so far; `metering` makes metrics and one log line of it when it ends."""

    request_id: str
    endpoint: str
    method: str
    # Monotonic seconds.
    started: float
    # The request's target as sent.
    path: str | None = None
    user: User | None = None
    call: Call | None = None
    target: Target | None = None
    # Upstreams asked, a retry counted again.
    attempts: int = 0
    status: int = 0
    error_code: str | None = None
    usage: Usage | None = None
    # What it cost, in nanodollars; None: the model has no price.
    cost_nanodollars: int | None = None
    # "hit", "miss", "collapsed", "bypass"; None: the cache had no part in it.
    cache: str | None = None
    # What an earlier reply, or another call's, saved: tokens, and nanodollars where they have a price.
    saved: Usage | None = None
    saved_nanodollars: int | None = None
    # None: nothing is traced.
    span: Span | None = None
    # Added to the reply: lower-case name and value.
    reply_headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    # Seconds spent waiting for the client's body and for the upstream: not the gateway's own.
    waited_seconds: float = 0.0
    # Seconds in which it waited for its turn within its limits; they are among those waited.
    queued_seconds: float = 0.0
    # Monotonic seconds at which the first byte of the reply's body came.
    first_byte_at: float | None = None
    sent_bytes: int = 0
    # In which phase the client left: "waiting", "streaming"; None: it stayed.
    left: str | None = None
