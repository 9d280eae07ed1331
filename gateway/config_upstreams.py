"""What can be configured of upstreams, and of the models that they serve."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Literal

from gateway.config_formats import (
    HOUR,
    Glob,
    HeaderName,
    Name,
    ProxyUrl,
    Seconds,
    SecretText,
    Text,
    Url,
)
from gateway.config_limit_formats import PriceText
from gateway.config_types import Doc, HttpUrl, Range

ContextMode = Literal["reject", "trim", "off"]
RetryCause = Literal["connect", 408, 409, 425, 500, 502, 503, 504, 520, 521, 522, 523, 524, 529]

_WAIT = Range(0.001, 24 * HOUR)


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
        Seconds,
        Doc("To the reply's first byte, every attempt within it; not a limit's `wait`."),
        _WAIT,
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


OPENAI = Upstream(
    name="openai",
    base_url=HttpUrl(scheme="https", host="api.openai.com", port=443, path="/v1"),
)
