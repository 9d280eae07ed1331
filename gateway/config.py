"""What can be configured: one dataclass per section of config.yaml, in its order, with defaults.

Reading, the JSON Schema, docs/configuration.md and what `check` prints all derive from here.
A new key is a field with a `Doc`; what must be true between fields is in `config_rules`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from gateway.config_access import Auth, Key, Limit, LimitMatch
from gateway.config_formats import (
    GIB,
    HOUR,
    KIB,
    MIB,
    Bytes,
    Glob,
    HostName,
    Listen,
    Origin,
    Seconds,
    SecretText,
    Text,
    Url,
)
from gateway.config_limit_formats import StoreUrl
from gateway.config_types import Doc, Range, SecretUrl, TcpAddress
from gateway.config_upstreams import (
    OPENAI,
    ContextMode,
    Cooldown,
    Model,
    ModelPrice,
    ModelTarget,
    Upstream,
)

__all__ = [
    "OPENAI",
    "Admin",
    "Auth",
    "Cache",
    "Checks",
    "Config",
    "ContextMode",
    "Cooldown",
    "Key",
    "Limit",
    "LimitMatch",
    "Logging",
    "Metrics",
    "Model",
    "ModelPrice",
    "ModelTarget",
    "Recordings",
    "Server",
    "Store",
    "Tracing",
    "Upstream",
    "Usage",
    "UsageLog",
]

_WAIT = Range(0.001, 24 * HOUR)
_LISTEN = TcpAddress(host="127.0.0.1", port=4000)
_MEMORY = SecretUrl("memory://")
_ADMIN_LISTEN = TcpAddress(host="127.0.0.1", port=9464)


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """The listener that clients call, and how much of its time and memory they may take."""

    listen: Annotated[Listen, Doc("Where clients call: host:port, [IPv6]:port or unix:/path.")] = (
        _LISTEN
    )
    max_body: Annotated[Bytes, Doc("The largest JSON body; 413 above."), Range(KIB, GIB)] = 32 * MIB
    max_upload: Annotated[
        Bytes, Doc("The largest upload, which is streamed and never held."), Range(KIB, 1024 * GIB)
    ] = 512 * MIB
    header_timeout: Annotated[
        Seconds, Doc("For a request's whole head, from its first byte."), _WAIT
    ] = 10.0
    body_timeout: Annotated[
        Seconds, Doc("For a whole JSON body; for the gap between two reads of an upload."), _WAIT
    ] = 60.0
    keepalive_timeout: Annotated[
        Seconds, Doc("How long an idle client connection stays open."), _WAIT
    ] = 75.0
    max_in_flight: Annotated[
        int, Doc("Calls at once; above it 503 with retry-after."), Range(1, 1_000_000)
    ] = 10_000
    shutdown_grace: Annotated[
        Seconds, Doc("How long calls in flight may go on after SIGTERM."), Range(0, 24 * HOUR)
    ] = 25.0
    allowed_hosts: Annotated[
        tuple[HostName, ...],
        Doc("On loopback, Host must be an IP address, localhost or one of these."),
    ] = ()
    cors_origins: Annotated[
        tuple[Origin, ...], Doc("Origins whose pages may call; other browser pages are refused.")
    ] = ()
    stream_keepalive: Annotated[
        Seconds | None,
        Doc("Send an SSE comment this often while the upstream is silent between events."),
        Range(1, HOUR),
    ] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Admin:
    """The listener for /metrics, /livez, /readyz and the status page."""

    listen: Annotated[Listen, Doc("Where it listens; never where clients do.")] = _ADMIN_LISTEN
    token: Annotated[SecretText | None, Doc("Needed for the status page off loopback.")] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Store:
    """Where limits keep what they count."""

    url: Annotated[
        StoreUrl,
        Doc(
            "memory://: this process alone; file:///folder: memory with a journal, so that budgets survive;"
            " redis://, rediss://, unix://: shared by replicas."
        ),
    ] = _MEMORY
    prefix: Annotated[Text, Doc("What its keys begin with.")] = "gateway:"
    timeout: Annotated[Seconds, Doc("How long a call waits for it."), _WAIT] = 0.05
    on_failure: Annotated[
        Literal["allow", "refuse"],
        Doc("While it is away: allow (each replica its share of every limit) or refuse (503)."),
    ] = "allow"
    replicas: Annotated[int, Doc("How many gateways at most share it."), Range(1, 10_000)] = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Checks:
    """What is done with calls that cannot succeed."""

    context: Annotated[
        ContextMode,
        Doc("A prompt that cannot fit: reject it, trim whole turns from its start, or send it."),
    ] = "reject"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cache:
    """Replies that are kept to answer equal calls; without this section there is no cache."""

    ttl: Annotated[Seconds, Doc("How long a reply is fresh."), Range(1, 365 * 24 * HOUR)] = HOUR
    max_size: Annotated[
        Bytes, Doc("What memory it may take; a Redis store bounds itself."), Range(KIB, 1024 * GIB)
    ] = 256 * MIB
    max_entry: Annotated[Bytes, Doc("The largest reply that is kept."), Range(KIB, GIB)] = MIB
    scope: Annotated[
        Literal["user", "shared"], Doc("Whose calls may share a reply: one user's, or everybody's.")
    ] = "user"
    when: Annotated[
        Literal["deterministic", "always"],
        Doc("deterministic: temperature 0, a seed, embeddings; always: every call that may be."),
    ] = "deterministic"
    store: Annotated[
        StoreUrl | None, Doc("A Redis for replies alone; null: where limits are kept.")
    ] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageLog:
    """One JSON line for every call that was settled."""

    path: Annotated[Path | None, Doc("The file; null: none is written.")] = None
    max_size: Annotated[Bytes, Doc("Above it a new file is begun."), Range(KIB, 1024 * GIB)] = (
        100 * MIB
    )
    keep: Annotated[int, Doc("How many older files are kept."), Range(0, 10_000)] = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What calls used, and what they cost."""

    include_usage: Annotated[
        Literal["client", "always"],
        Doc("In streams: as the client asked, or always ask, and hide what it did not ask for."),
    ] = "client"
    unpriced: Annotated[
        Literal["allow", "refuse"], Doc("What is done under a budget with a model without a price.")
    ] = "allow"
    log: UsageLog = UsageLog()


@dataclass(frozen=True, slots=True, kw_only=True)
class Metrics:
    """How many names become labels of series; all others are `other`."""

    max_users: Annotated[int, Doc("Users of the configuration."), Range(0, 100_000)] = 200
    max_models: Annotated[
        int, Doc("Models, configured or listed by an upstream."), Range(0, 100_000)
    ] = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Logging:
    """What is logged, to standard error."""

    level: Annotated[
        Literal["debug", "info", "warning", "error"], Doc("The least that is logged.")
    ] = "info"
    format: Annotated[
        Literal["auto", "text", "json"], Doc("auto: text on a terminal, JSON otherwise.")
    ] = "auto"
    access: Annotated[bool, Doc("One line for every call.")] = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Tracing:
    """One span for every call, by OpenTelemetry; needs the extra `otel`."""

    endpoint: Annotated[
        Url | None, Doc("Where spans are sent by OTLP over HTTP; null: nowhere.")
    ] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Recordings:
    """Exchanges kept in files, to answer an app's tests from without an upstream."""

    mode: Annotated[
        Literal["off", "record", "replay"],
        Doc("record: write each exchange; replay: answer from them alone."),
    ] = "off"
    dir: Annotated[Text, Doc("The folder of the files.")] = "recordings"


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The whole configuration."""

    server: Server = Server()
    admin: Admin = Admin()
    store: Store = Store()
    upstreams: Annotated[
        tuple[Upstream, ...],
        Doc("Who answers; default: one, `openai`, from the environment."),
    ] = (OPENAI,)
    models: Annotated[
        Mapping[Glob, Model],
        Doc("Names that clients use, globs allowed; then `upstreams[].models`; else 404."),
    ] = field(default_factory=dict)
    auth: Auth = field(default_factory=Auth)
    limits: Annotated[tuple[Limit, ...], Doc("Rules; different `per` all apply, all or none.")] = ()
    checks: Checks = Checks()
    cache: Annotated[Cache | None, Doc("Replies that are kept; null: none.")] = None
    usage: Usage = Usage()
    metrics: Metrics = Metrics()
    logging: Logging = Logging()
    tracing: Tracing = Tracing()
    recordings: Recordings = Recordings()
