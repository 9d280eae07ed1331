"""What can be configured: one dataclass per section of config.yaml, in its order, with defaults.

Reading, the JSON Schema, docs/configuration.md and what `check` prints all derive from here.
A new key is a field with a `Doc`; what must be true between fields is in `config_rules`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Literal

from gateway.config_formats import (
    GIB,
    HOUR,
    KIB,
    MIB,
    Bytes,
    ClientKey,
    Day,
    Endpoint,
    EndUserHeader,
    Glob,
    HeaderName,
    HostName,
    Listen,
    Name,
    Origin,
    ProxyUrl,
    Seconds,
    SecretText,
    Sha256,
    Text,
    Url,
)
from gateway.config_limit_formats import BudgetText, PriceText, RateText, StoreUrl
from gateway.config_types import Doc, HttpUrl, OneOrMore, Range, SecretUrl, TcpAddress

AuthMode = Literal["keys", "none", "open"]
ContextMode = Literal["reject", "trim", "off"]
RetryCause = Literal["connect", 408, 409, 425, 500, 502, 503, 504, 520, 521, 522, 523, 524, 529]

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
class Cooldown:
    """When an upstream's model is left alone for a while."""

    after: Annotated[int, Doc("Failures in a row that start it."), Range(1, 1000)] = 5
    for_: Annotated[Seconds, Doc("How long it lasts."), _WAIT] = 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Upstream:
    """A server that answers calls."""

    name: Annotated[Name, Doc("What `models`, logs and metrics call it.")]
    kind: Annotated[
        Literal["openai", "azure"],
        Doc("openai: any server that speaks OpenAI's API; azure adds the deployment's path."),
    ] = "openai"
    base_url: Annotated[Url, Doc("Its API's root, for OpenAI with /v1.")]
    api_version: Annotated[Text | None, Doc("Azure's `api-version`; for `kind: azure` alone.")] = (
        None
    )
    api_key: Annotated[SecretText | None, Doc("The key that is sent up.")] = None
    auth: Annotated[
        Literal["key", "passthrough"],
        Doc("key: send `api_key`; passthrough: send the client's own key (auth.mode none, open)."),
    ] = "key"
    headers: Annotated[
        Mapping[HeaderName, SecretText], Doc("Headers that are set on every call to it.")
    ] = field(default_factory=dict)
    models: Annotated[
        tuple[Glob, ...] | None,
        Doc("Globs of what it serves; null: what it lists; a sole upstream takes everything."),
    ] = None
    checks: Annotated[
        Literal["auto", "strict", "lenient", "off"],
        Doc("How calls are checked; auto: strict for OpenAI and Azure, lenient otherwise."),
    ] = "auto"
    connect_timeout: Annotated[Seconds, Doc("To open a connection, TLS included."), _WAIT] = 5.0
    first_byte_timeout: Annotated[
        Seconds, Doc("To the reply's first byte; every attempt and wait ends within it."), _WAIT
    ] = 600.0
    idle_timeout: Annotated[Seconds, Doc("Between two reads of a reply."), _WAIT] = 300.0
    max_connections: Annotated[int, Doc("Connections at once."), Range(1, 100_000)] = 1000
    retries: Annotated[int, Doc("Further attempts at this upstream."), Range(0, 10)] = 1
    retry_on: Annotated[
        tuple[RetryCause, ...],
        Doc("What is tried again: connect, or a status. Never after a byte reached the client."),
    ] = ("connect", 502, 503, 504)
    cooldown: Annotated[
        Cooldown, Doc("Per upstream and model; the last target left is always tried.")
    ] = Cooldown()
    proxy: Annotated[ProxyUrl | None, Doc("An HTTP proxy on the way to it.")] = None
    ca_file: Annotated[
        Path | None, Doc("PEM file of the authorities to trust in place of the system's.")
    ] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelTarget:
    """One place that serves a model."""

    upstream: Annotated[Name, Doc("The name of an upstream.")]
    model: Annotated[Text | None, Doc("Its name there; null: as the client said.")] = None
    weight: Annotated[float, Doc("Its share of the calls."), Range(0.001, 1000)] = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelPrice:
    """What a model costs, in USD per million tokens, and per request."""

    input: Annotated[PriceText, Doc("A million tokens of the prompt.")] = Decimal(0)
    cached_input: Annotated[
        PriceText | None, Doc("A million tokens that the upstream had cached; null: as input.")
    ] = None
    output: Annotated[PriceText, Doc("A million tokens of the reply.")] = Decimal(0)
    request: Annotated[PriceText, Doc("One request, whatever it says.")] = Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A name, or a glob over names, that clients use."""

    targets: Annotated[
        tuple[ModelTarget, ...],
        Doc("Who serves it, sharing by weight; empty: whichever upstream has it."),
    ] = ()
    fallbacks: Annotated[
        tuple[Text, ...], Doc("Models to try, in order, when no target is left.")
    ] = ()
    context_window: Annotated[
        int | None,
        Doc("Tokens of a prompt; with its reply where the two share it."),
        Range(1, 1_000_000_000),
    ] = None
    max_output_tokens: Annotated[
        int | None, Doc("The longest reply, in tokens."), Range(1, 1_000_000_000)
    ] = None
    tokenizer: Annotated[
        Literal["o200k_base", "cl100k_base", "calibrated", "upstream"] | None,
        Doc(
            "How prompts are counted; calibrated: learned from what is billed; upstream: ask it (vLLM, llama.cpp)."
            " null: by the name."
        ),
    ] = None
    price: Annotated[ModelPrice | None, Doc("Its price; null: by the name.")] = None
    context: Annotated[
        ContextMode | None, Doc("As `checks.context`, for this model; null: as there.")
    ] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """A client's key, or its digest, and what it may do: `key` or `sha256`, not both."""

    user: Annotated[Text, Doc("Who owns it.")]
    group: Annotated[Text | None, Doc("A group of users that limits can name.")] = None
    key: Annotated[ClientKey | None, Doc("The key itself, 16 characters or more.")] = None
    sha256: Annotated[
        Sha256 | None, Doc("Its SHA-256 in hex, as `gateway keys digest` prints it.")
    ] = None
    models: Annotated[tuple[Glob, ...] | None, Doc("Globs of models it may use; null: all.")] = None
    endpoints: Annotated[
        tuple[Endpoint, ...] | None, Doc("As `auth.endpoints`, for this key; null: as there.")
    ] = None
    expires: Annotated[Day | None, Doc("The first day, in UTC, on which it is refused.")] = None

    @property
    def digest(self) -> str:
        """The key's SHA-256 in lower-case hex."""
        if self.key is not None:
            return sha256(self.key.reveal().encode()).hexdigest()
        return self.sha256 or ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Auth:
    """Who may call."""

    mode: Annotated[
        AuthMode | None,
        Doc(
            "keys: only with a key; none: anybody on this machine, loopback only;"
            " open: anybody. null: keys if there are any, else none."
        ),
    ] = None
    keys: Annotated[tuple[Key, ...], Doc("The clients' keys.")] = ()
    keys_files: Annotated[
        tuple[Path, ...], Doc("Files with further lists of keys, reloaded when they change.")
    ] = ()
    endpoints: Annotated[
        tuple[Endpoint, ...] | None,
        Doc('"METHOD /path" globs that keys may call; null: what one account can share safely.'),
    ] = None
    end_user_header: Annotated[
        EndUserHeader | None,
        Doc("A header in which a trusted app names its end user; it does not go up."),
    ] = None

    @property
    def effective_mode(self) -> AuthMode:
        """The mode, decided by the keys where it is not set."""
        return self.mode or ("keys" if self.keys or self.keys_files else "none")


Per = Literal["user", "group", "end_user", "model", "upstream", "global"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitMatch:
    """Which calls a rule is for: globs, all of which must fit; null: any."""

    user: Annotated[Text | None, Doc("The owner of the key.")] = None
    group: Annotated[Text | None, Doc("The group of the key.")] = None
    end_user: Annotated[Text | None, Doc("The end user that the call names.")] = None
    model: Annotated[Text | None, Doc("The model that the call asks for.")] = None
    upstream: Annotated[Text | None, Doc("The upstream that is to be asked.")] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """A rule: of those with the same `per` the first that matches decides, dimension by dimension."""

    per: Annotated[
        tuple[Per, ...], OneOrMore(), Doc("Whose calls are counted together; a list: each pair.")
    ]
    match: LimitMatch = LimitMatch()
    requests: Annotated[tuple[RateText, ...], OneOrMore(), Doc("Calls.")] = ()
    tokens: Annotated[
        tuple[RateText, ...], OneOrMore(), Doc("Tokens, of prompts and replies.")
    ] = ()
    budget: Annotated[
        tuple[BudgetText, ...], OneOrMore(), Doc("Money in USD, by calendar day or month in UTC.")
    ] = ()
    concurrency: Annotated[int | None, Doc("Calls at once."), Range(1, 1_000_000)] = None
    reserve: Annotated[
        Literal["expected", "max"],
        Doc("What a call reserves for its reply: what such replies take, or the most it can take."),
    ] = "expected"
    wait: Annotated[
        Seconds,
        Doc("How long a call may queue for its turn instead of a 429."),
        Range(0, 24 * HOUR),
    ] = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Checks:
    """What is done with calls that cannot succeed."""

    context: Annotated[
        ContextMode,
        Doc("A prompt that cannot fit: reject it, trim whole turns from its start, or send it."),
    ] = "reject"


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


OPENAI = Upstream(
    name="openai",
    base_url=HttpUrl(scheme="https", host="api.openai.com", port=443, path="/v1"),
)


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
    auth: Auth = Auth()
    limits: Annotated[tuple[Limit, ...], Doc("Rules; different `per` all apply, all or none.")] = ()
    checks: Checks = Checks()
    logging: Logging = Logging()
