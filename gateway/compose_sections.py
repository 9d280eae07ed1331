"""What single sections of the configuration mean to the parts: names, keys, rules, prices; nothing is wired here."""

import ssl
from collections.abc import Callable
from datetime import UTC, datetime, time
from fnmatch import fnmatchcase
from pathlib import Path

from gateway import config as c
from gateway.accounting import Context
from gateway.auth import CREDENTIAL_HEADERS, Authenticator, KeyEntry
from gateway.catalog import is_glob
from gateway.clock import Clock
from gateway.errors import StartError, StoreError
from gateway.limit_rules import Budget, LimitRule, Rate
from gateway.prices import nanodollars
from gateway.recordings import BadRecordingError, Shelf
from gateway.routing import ModelRoute, UpstreamRoute
from gateway.status.access import Access
from gateway.status.board import About
from gateway.stores import Store
from gateway.stores.factory import open_store
from gateway.tokens.models import ModelOverride
from gateway.types import Target, User
from gateway.upstreams import Upstream
from gateway.upstreams.azure import AzureUpstream
from gateway.upstreams.openai import Base, OpenAIUpstream
from gateway.validation import Mode

# What a rule's `match` may name.
LIMIT_SUBJECTS = ("user", "group", "end_user", "model", "upstream")
# Whose published schema is the rule, to the letter.
OPENAI_HOSTS = frozenset({"api.openai.com", "eu.api.openai.com", "us.api.openai.com"})
# What the first call is shown with where no model is named.
EXAMPLE_MODEL = "gpt-4o-mini"
# Domains to OpenTelemetry's names of who is behind them.
PROVIDERS = {
    "openai.com": "openai",
    "anthropic.com": "anthropic",
    "cohere.com": "cohere",
    "deepseek.com": "deepseek",
    "generativelanguage.googleapis.com": "gcp.gemini",
    "groq.com": "groq",
    "mistral.ai": "mistral_ai",
    "perplexity.ai": "perplexity",
    "x.ai": "x_ai",
}


def upstream_key(upstream: c.Upstream) -> str:
    """Return the key that goes up, wherever it is configured; empty: none."""
    if upstream.api_key is not None:
        return upstream.api_key.reveal()
    for name, value in upstream.headers.items():
        if name.lower().encode() in CREDENTIAL_HEADERS:
            return value.reveal().rpartition(" ")[2]
    return ""


def ssl_context(upstream: c.Upstream) -> ssl.SSLContext | None:
    """Return the TLS settings towards an upstream; None: none is spoken. Raises StartError."""
    if upstream.base_url.scheme != "https":
        return None
    try:
        context = ssl.create_default_context(cafile=upstream.ca_file)
    except (OSError, ssl.SSLError) as error:
        raise StartError(f"upstream {upstream.name}: {upstream.ca_file}: {error}") from None
    context.set_alpn_protocols(["http/1.1"])
    return context


def upstream_of(upstream: c.Upstream) -> Upstream:
    """Return how an upstream of its kind is asked."""
    url = upstream.base_url
    base = Base(scheme=url.scheme, host=url.host, port=url.port, prefix=url.path)
    key = upstream.api_key.reveal() if upstream.api_key is not None else None
    passthrough = upstream.auth == "passthrough"
    own = tuple(
        (name.encode(), value.reveal().encode()) for name, value in upstream.headers.items()
    )
    if upstream.kind == "azure":
        return AzureUpstream(
            name=upstream.name,
            base=base,
            api_key=key,
            passthrough=passthrough,
            api_version=upstream.api_version or "",
            headers=own,
        )
    return OpenAIUpstream(
        name=upstream.name, base=base, api_key=key, passthrough=passthrough, headers=own
    )


def provider_of(upstream: c.Upstream) -> str:
    """Return OpenTelemetry's name of who runs an upstream; for those that it does not know, our own.

    https://opentelemetry.io/docs/specs/semconv/registry/attributes/gen-ai/ (gen_ai.provider.name)
    """
    if upstream.kind == "azure":
        return "azure.ai.openai"
    host = upstream.base_url.host
    known = (
        name for domain, name in PROVIDERS.items() if host == domain or host.endswith(f".{domain}")
    )
    return next(known, upstream.name)


def model_route(name: str, model: c.Model) -> ModelRoute:
    """Return where calls for a model's name may go."""
    targets = tuple(
        Target(
            upstream=target.upstream,
            model=target.model,
            weight=target.weight,
            context_window=model.context_window,
        )
        for target in model.targets
    )
    return ModelRoute(name=name, targets=targets, fallbacks=model.fallbacks)


def upstream_route(upstream: c.Upstream) -> UpstreamRoute:
    """Return what an upstream says that it serves, and when it is left alone."""
    return UpstreamRoute(
        name=upstream.name,
        models=upstream.models,
        passthrough=upstream.auth == "passthrough",
        cooldown_after=upstream.cooldown.after,
        cooldown_seconds=upstream.cooldown.for_,
    )


def authenticator(config: c.Config, clock: Clock) -> Authenticator:
    """Return who may call."""
    return Authenticator(
        (_key_entry(key) for key in config.auth.keys),
        clock,
        required=config.auth.effective_mode == "keys",
        name_by_key=any(upstream.auth == "passthrough" for upstream in config.upstreams),
        endpoints=config.auth.endpoints,
    )


def _key_entry(key: c.Key) -> KeyEntry:
    expires = None
    if key.expires is not None:
        expires = datetime.combine(key.expires, time(), UTC).timestamp()
    user = User(name=key.user, group=key.group, models=key.models, endpoints=key.endpoints)
    return KeyEntry(sha256=key.digest, user=user, expires=expires)


def checks_of(upstream: c.Upstream) -> Mode:
    """Return how calls are checked: as strictly as OpenAI does itself, or as engines of their own ways need."""
    if upstream.checks != "auto":
        return upstream.checks
    strict = upstream.kind == "azure" or upstream.base_url.host in OPENAI_HOSTS
    return "strict" if strict else "lenient"


def lists_itself(config: c.Config) -> bool:
    """Return whether the sole upstream's own list is what every caller may use."""
    (first, *others) = config.upstreams
    return (
        not others
        and first.models is None
        and not config.models
        and all(key.models is None for key in config.auth.keys)
    )


def store_of(store: c.Store, clock: Clock) -> Store:
    """Open the store. Raises StartError."""
    try:
        return open_store(
            store.url.reveal(),
            clock,
            prefix=store.prefix,
            timeout_seconds=store.timeout,
            on_failure=store.on_failure,
            replicas=store.replicas,
        )
    except (ValueError, StoreError, OSError) as error:
        raise StartError(f"store.url: {error}") from None


def shelf_of(recordings: c.Recordings) -> Shelf:
    """Read what is replayed. Raises StartError."""
    if recordings.mode != "replay":
        return Shelf(recordings.dir)
    folder = Path(recordings.dir)
    try:
        if not folder.is_dir():
            raise StartError(f"recordings.dir: {folder} is no folder; record into it first")
        return Shelf.read(folder)
    except (BadRecordingError, OSError) as error:
        raise StartError(f"recordings.dir: {error}") from None


def limit_rule(limit: c.Limit) -> LimitRule:
    """Return a limit in the terms of the limiter."""
    match = {name: getattr(limit.match, name) for name in LIMIT_SUBJECTS}
    return LimitRule(
        per=limit.per,
        match={name: glob for name, glob in match.items() if glob is not None},
        requests=tuple(Rate(rate.amount, rate.window_seconds) for rate in limit.requests),
        tokens=tuple(Rate(rate.amount, rate.window_seconds) for rate in limit.tokens),
        budget=tuple(Budget(nanodollars(budget.usd), budget.period) for budget in limit.budget),
        concurrency=limit.concurrency,
        reserve=limit.reserve,
        wait_seconds=limit.wait,
    )


def model_override(name: str, model: c.Model) -> ModelOverride:
    """Return what the configuration says of a model beside the shipped table."""
    price = model.price
    return ModelOverride(
        pattern=name,
        model=next((target.model for target in model.targets), None),
        tokenizer=model.tokenizer,
        context_window=model.context_window,
        max_output_tokens=model.max_output_tokens,
        input=None if price is None else price.input,
        cached_input=None if price is None else price.cached_input,
        output=None if price is None else price.output,
        request=None if price is None else price.request,
    )


def context_of(config: c.Config) -> Callable[[str], Context]:
    """Return what tells how a model treats prompts that cannot fit."""
    own = [(name, model.context) for name, model in config.models.items() if model.context]

    def context(model: str) -> Context:
        return next((mode for name, mode in own if fnmatchcase(model, name)), config.checks.context)

    return context


def status_page(config: c.Config, base_url: str) -> tuple[Access, About]:
    """Return who may see the status page, and what it says of the configuration."""
    token = config.admin.token
    access = Access(
        loopback=config.admin.listen.is_loopback, token=None if token is None else token.reveal()
    )
    named = [name for name in config.models if not is_glob(name)]
    about = About(
        base_url=base_url,
        needs_key=config.auth.effective_mode == "keys",
        example_model=named[0] if named else EXAMPLE_MODEL,
        upstreams={upstream.name: str(upstream.base_url) for upstream in config.upstreams},
        limits=bool(config.limits),
        cache=config.cache is not None,
    )
    return access, about


def lower(name: str | None) -> bytes | None:
    """Return a header's name as it is compared."""
    return None if name is None else name.lower().encode()
