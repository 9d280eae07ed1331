"""What may be answered by an earlier reply: which calls, under which key, for how long. No socket in it.

How a reply is kept stands in `cache_entry`, what its key is made of in `cache_key`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol
from weakref import WeakValueDictionary

from gateway.cache_entry import Entry, pack, unpack
from gateway.cache_key import key_of
from gateway.clock import Clock
from gateway.stores import Values
from gateway.types import Call, Headers, Target, User

# A client's max-age beyond this many digits is no number of seconds.
_MAX_DIGITS = 10
# Tools that the client runs itself; all others are the upstream's, and what they find changes.
_CLIENTS_TOOLS = frozenset({"function", "custom"})
# A document up to this size is read to its end, and so is known to be whole.
_READ_BYTES = 65_536
_STATEFUL = ("previous_response_id", "conversation", "background", "prompt")


@dataclass(frozen=True, slots=True, kw_only=True)
class Directives:
    """What a client's `Cache-Control` asks for (RFC 9111, 5.2.1), as far as it is obeyed."""

    no_store: bool = False
    no_cache: bool = False
    max_age_seconds: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A call that an earlier reply, or one on its way, may answer."""

    key: str
    # How old that reply may be; None: as old as it is kept.
    max_age_seconds: int | None = None
    # The client wants it asked anew; the reply is kept for others.
    anew: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """A kept reply that answers a call, and its times in whole seconds."""

    entry: Entry
    age_seconds: int
    # How much longer it is fresh.
    ttl_seconds: int


class Transcript(Protocol):
    """What was noted of a reply."""

    @property
    def ended(self) -> bool:
        """Whether the body ended as its framing says."""

    @property
    def complete(self) -> bool:
        """Whether the reply is known to be whole."""

    @property
    def error(self) -> object | None:
        """The error that the reply tells of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cache:
    """Replies kept for equal calls, under one configuration."""

    values: Values
    clock: Clock
    ttl_seconds: float
    max_entry_bytes: int
    shared: bool
    when: Literal["deterministic", "always"]
    # What is being read: held once, though a store gives each who asks a copy of its own.
    _read: WeakValueDictionary[str, Entry] = field(default_factory=WeakValueDictionary)

    def wanted(
        self,
        user: User,
        call: Call,
        targets: Sequence[Target],
        upward: Callable[[], Headers],
        *,
        trimmed_turns: int = 0,
    ) -> Wanted | None:
        """Return what would answer `call`; None where only its own upstream call may.

        `upward` gives the fields that go up, where they are needed.
        """
        if _is_stateful(call):
            return None
        asks = directives(call.headers)
        widened = self.when == "always" or asks.max_age_seconds is not None
        if asks.no_store or not (widened or _is_deterministic(call)):
            return None
        key = key_of(
            call, targets, upward(), scope=self._scope(user, call), trimmed_turns=trimmed_turns
        )
        return Wanted(
            key=key,
            max_age_seconds=asks.max_age_seconds,
            anew=asks.no_cache or asks.max_age_seconds == 0,
        )

    async def find(self, wanted: Wanted) -> Hit | None:
        """Return the kept reply that answers, if there is one and it is young enough."""
        if wanted.anew:
            return None
        value = await self.values.get(wanted.key)
        if value is None:
            return None
        entry = self._read.get(wanted.key)
        if entry is None or not entry.is_of(value):
            entry = unpack(value)
        if entry is None:
            return None
        self._read[wanted.key] = entry
        # Stamps may step: what is kept is never older than it may be, whatever they say.
        age = max(0.0, self.clock.time() - entry.stored_at)
        limit = self.ttl_seconds
        if wanted.max_age_seconds is not None:
            limit = min(limit, wanted.max_age_seconds)
        if age >= limit:
            return None
        return Hit(entry=entry, age_seconds=int(age), ttl_seconds=int(self.ttl_seconds - age))

    def may_keep(
        self,
        call: Call,
        target: Target,
        status: int,
        headers: Headers,
        transcript: Transcript,
        size_bytes: int,
    ) -> bool:
        """Return whether a reply may answer other calls: whole, successful, of the model that was asked for.

        `headers` are the upstream's own. A document that is too long to be read is whole where its length or its
        last chunk says so; one that its connection ended is not known to be.
        """
        fallback = target.asked is not None and target.asked != call.model
        if status != 200 or fallback or size_bytes > self.max_entry_bytes or transcript.error:
            return False
        fields = {name.lower(): value for name, value in headers}
        kind = fields.get(b"content-type", b"").partition(b";")[0].strip().lower()
        if kind == b"text/event-stream":
            return transcript.complete
        framed = b"content-length" in fields or b"transfer-encoding" in fields
        long = size_bytes > _READ_BYTES and framed and transcript.ended
        return kind == b"application/json" and (transcript.complete or long)

    async def keep(self, wanted: Wanted, entry: Entry) -> None:
        """Keep a whole, successful reply for its time, unless it is too large."""
        if len(entry.body) <= self.max_entry_bytes:
            await self.values.set(wanted.key, pack(entry), self.ttl_seconds)

    def _scope(self, user: User, call: Call) -> str:
        """Return whose calls share replies: two users never do unless that is configured.

        The key of a caller that the configuration does not name tells such callers apart.
        """
        if self.shared:
            return ""
        return f"user {user.name}" if user.configured else f"{user.name} {call.credential or ''}"


def directives(headers: Headers) -> Directives:
    """Return what `Cache-Control` says; what is unknown or ill-formed is passed over."""
    no_store = no_cache = False
    max_age = None
    for name, value in headers:
        if len(name) != 13 or name.lower() != b"cache-control":
            continue
        for part in value.lower().split(b","):
            word, _, argument = part.strip().partition(b"=")
            no_store = no_store or word == b"no-store"
            no_cache = no_cache or word == b"no-cache"
            digits = argument.strip(b'"')
            if word == b"max-age" and digits.isdigit() and len(digits) <= _MAX_DIGITS:
                age = int(digits)
                max_age = age if max_age is None else min(age, max_age)
    return Directives(no_store=no_store, no_cache=no_cache, max_age_seconds=max_age)


def _is_stateful(call: Call) -> bool:
    """Return whether a call leaves something behind, or its answer depends on more than its body."""
    payload = call.payload
    if call.method != "POST":
        return True
    if call.endpoint == "/v1/embeddings":
        return False
    if call.endpoint in ("/v1/chat/completions", "/v1/completions"):
        return payload.get("store") is True or payload.get("web_search_options") is not None
    if call.endpoint != "/v1/responses":
        return True
    return (
        payload.get("store") is not False
        or any(payload.get(name) not in (None, False) for name in _STATEFUL)
        or any(_type(tool) not in _CLIENTS_TOOLS for tool in _listed(payload, "tools"))
        or any(_type(item) == "item_reference" for item in _listed(payload, "input"))
    )


def _is_deterministic(call: Call) -> bool:
    if call.endpoint == "/v1/embeddings":
        return True
    temperature, seed = call.payload.get("temperature"), call.payload.get("seed")
    cold = isinstance(temperature, int | float) and not isinstance(temperature, bool)
    return (cold and temperature == 0) or (isinstance(seed, int) and not isinstance(seed, bool))


def _listed(payload: Mapping[str, object], name: str) -> Sequence[object]:
    value = payload.get(name)
    return value if isinstance(value, list) else ()


def _type(value: object) -> object:
    return value.get("type") if isinstance(value, Mapping) else None
