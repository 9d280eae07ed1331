"""The composition: sections of the configuration become the parts that a call meets. Nobody else composes."""

import ssl
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, time
from fnmatch import fnmatchcase

from gateway import config as c
from gateway.accounting import Accountant, Context
from gateway.auth import CREDENTIAL_HEADERS, Authenticator, KeyEntry
from gateway.catalog import FRESH_SECONDS, Catalog, is_glob
from gateway.clock import Clock
from gateway.copying import Copying
from gateway.deadlines import Deadlines
from gateway.door import Door, RequestIds
from gateway.errors import StartError, StoreError
from gateway.guard import Guard
from gateway.handler import Handler
from gateway.intake import Intake
from gateway.limit_rules import Budget, LimitRule, Rate
from gateway.limits import Limiter
from gateway.metering import Meter
from gateway.prices import NANODOLLARS_PER_USD, nanodollars
from gateway.relay import Peer, Relay
from gateway.routing import ModelRoute, Router, UpstreamRoute
from gateway.stores import Store
from gateway.stores.factory import open_store
from gateway.tokens.counter import TokenCounter
from gateway.tokens.models import ModelOverride, ModelTable
from gateway.tokens.output import OutputCounter
from gateway.transport import Transport
from gateway.transport.aiohttp_client import AiohttpTransport
from gateway.transport.pool import Pool
from gateway.types import Target, User
from gateway.upstream_tokens import UpstreamTokens
from gateway.upstreams import Upstream
from gateway.upstreams.azure import AzureUpstream
from gateway.upstreams.openai import Base, OpenAIUpstream
from gateway.validation import Mode

# What a rule's `match` may name.
LIMIT_SUBJECTS = ("user", "group", "end_user", "model", "upstream")
# Whose published schema is the rule, to the letter.
OPENAI_HOSTS = frozenset({"api.openai.com", "eu.api.openai.com", "us.api.openai.com"})
# A shorter key could stand in a reply by chance.
MIN_SECRET_BYTES = 8


class Composer:
    """Makes the parts, and keeps what outlives a configuration: connections, numbers, names."""

    def __init__(
        self,
        meter: Meter,
        ids: RequestIds,
        clock: Clock,
        deadlines: Deadlines,
        store: c.Store,
    ) -> None:
        """Open the store. Raises StartError where it cannot be used."""
        self.store = _open_store(store, clock)
        self._outputs: OutputCounter | None = None
        meter.metrics.store_up.read = lambda: {(): float(self.store.up)}
        meter.metrics.store_errors.read = lambda: {
            (operation,): count for operation, count in self.store.errors.items()
        }
        self._meter = meter
        self._metrics = meter.metrics
        self._ids = ids
        self._clock = clock
        self._deadlines = deadlines
        self._transports: dict[str, tuple[c.Upstream, Transport]] = {}
        self._catalog: Catalog | None = None

    async def refresh(self) -> None:
        """Ask the upstreams what they list, where that was not done lately."""
        if self._catalog is not None:
            await self._catalog.refresh(self._catalog.peers, max_age_seconds=FRESH_SECONDS)

    async def aclose(self) -> None:
        """Close every connection to every upstream."""
        for _, transport in self._transports.values():
            await transport.aclose()
        await self.store.aclose()

    def compose(self, config: c.Config, base_url: str) -> Door:
        """Return the door to the parts under `config`; transports that it leaves unchanged are kept.

        Raises StartError.
        """
        peers = {upstream.name: self._peer(upstream) for upstream in config.upstreams}
        self._retire(set(peers))
        catalog, router = self._routing(config, peers)
        server = config.server
        handler = Handler(
            auth=_authenticator(config, self._clock),
            intake=Intake(
                max_body_bytes=server.max_body,
                max_upload_bytes=server.max_upload,
                body_seconds=server.body_timeout,
                end_user_header=config.auth.end_user_header,
                clock=self._clock,
            ),
            router=router,
            catalog=catalog,
            relay=Relay(peers, router, self._metrics, self._clock),
            accountant=self._accountant(config, peers),
            limiter=self._limiter(config),
            checks={upstream.name: _mode(upstream) for upstream in config.upstreams},
            copying=Copying(
                router,
                self._clock,
                self._deadlines,
                keepalive_seconds=server.stream_keepalive,
            ),
            clock=self._clock,
            end_user_header=_lower(config.auth.end_user_header),
            relay_models=_lists_itself(config),
        )
        return Door(
            handler,
            guard=Guard(
                loopback=server.listen.is_loopback,
                allowed_hosts=server.allowed_hosts,
                cors_origins=server.cors_origins,
            ),
            meter=self._meter,
            ids=self._ids,
            base_url=base_url,
            max_in_flight=server.max_in_flight,
            clock=self._clock,
            deadlines=self._deadlines,
        )

    def _routing(self, config: c.Config, peers: Mapping[str, Peer]) -> tuple[Catalog, Router]:
        """Return what is known of models, and what decides where a call for one goes."""
        aliases = tuple(name for name in config.models if not is_glob(name))
        catalog = self._catalog = Catalog(
            peers=peers,
            aliases=aliases,
            clock=self._clock,
            serves={u.name: u.models for u in config.upstreams if u.models is not None},
            on_listed=self._metrics.model.admit,
        )
        router = Router(
            models=[_model_route(name, model) for name, model in config.models.items()],
            upstreams=[_upstream_route(upstream) for upstream in config.upstreams],
            clock=self._clock,
            listed=catalog.lists,
        )
        self._metrics.show_health(router.up)
        return catalog, router

    def _accountant(self, config: c.Config, peers: Mapping[str, Peer]) -> Accountant:
        """Return what counts under `config`; what was learned and loaded is kept."""
        models = ModelTable(_model_override(name, model) for name, model in config.models.items())
        if self._outputs is None:
            self._outputs = OutputCounter(TokenCounter(models))
        counter = self._outputs.counter
        counter.models = models
        return Accountant(
            counter=counter,
            outputs=self._outputs,
            asking=UpstreamTokens(peers=peers, clock=self._clock),
            context=_context_of(config),
        )

    def _limiter(self, config: c.Config) -> Limiter:
        """Return the limits of `config` over the one store, which outlives it."""
        limiter = Limiter([_limit_rule(limit) for limit in config.limits], self.store, self._clock)
        metrics = self._metrics
        metrics.limit_decisions.read = lambda: bounded(limiter.decisions.items(), metrics.user)
        metrics.limit_used.read = lambda: bounded(limiter.used_ratios().items(), metrics.user)
        metrics.limit_overshoot.read = lambda: {
            ("tokens",): limiter.overshoot["tokens"],
            ("budget",): limiter.overshoot["budget"] / NANODOLLARS_PER_USD,
        }
        return limiter

    def _peer(self, upstream: c.Upstream) -> Peer:
        known = self._transports.get(upstream.name)
        if known is None or known[0] != upstream:
            # The new one first: where it cannot be made, the old one stays in force.
            made = (upstream, self._transport(upstream))
            if known is not None:
                known[1].retire()
            self._transports[upstream.name] = known = made
        key = _key(upstream)
        return Peer(
            upstream=_upstream(upstream),
            transport=known[1],
            passthrough=upstream.auth == "passthrough",
            retries=upstream.retries,
            retry_on=frozenset(str(cause) for cause in upstream.retry_on),
            first_byte_seconds=upstream.first_byte_timeout,
            idle_seconds=upstream.idle_timeout,
            secret=key.encode() if len(key) >= MIN_SECRET_BYTES else b"",
        )

    def _retire(self, names: set[str]) -> None:
        for name in set(self._transports) - names:
            self._transports.pop(name)[1].retire()

    def _transport(self, upstream: c.Upstream) -> Transport:
        ssl_context = _ssl_context(upstream)
        if upstream.proxy is not None:
            return AiohttpTransport(
                proxy=upstream.proxy.reveal(),
                ssl_context=ssl_context,
                connect_seconds=upstream.connect_timeout,
                idle_seconds=upstream.idle_timeout,
                max_connections=upstream.max_connections,
                deadlines=self._deadlines,
            )
        return Pool(
            ssl_context=ssl_context,
            connect_seconds=upstream.connect_timeout,
            idle_seconds=upstream.idle_timeout,
            max_connections=upstream.max_connections,
            deadlines=self._deadlines,
        )


def _key(upstream: c.Upstream) -> str:
    """Return the key that goes up, wherever it is configured; empty: none."""
    if upstream.api_key is not None:
        return upstream.api_key.reveal()
    for name, value in upstream.headers.items():
        if name.lower().encode() in CREDENTIAL_HEADERS:
            return value.reveal().rpartition(" ")[2]
    return ""


def _ssl_context(upstream: c.Upstream) -> ssl.SSLContext | None:
    if upstream.base_url.scheme != "https":
        return None
    try:
        context = ssl.create_default_context(cafile=upstream.ca_file)
    except (OSError, ssl.SSLError) as error:
        raise StartError(f"upstream {upstream.name}: {upstream.ca_file}: {error}") from None
    context.set_alpn_protocols(["http/1.1"])
    return context


def _upstream(upstream: c.Upstream) -> Upstream:
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


def _model_route(name: str, model: c.Model) -> ModelRoute:
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


def _upstream_route(upstream: c.Upstream) -> UpstreamRoute:
    return UpstreamRoute(
        name=upstream.name,
        models=upstream.models,
        passthrough=upstream.auth == "passthrough",
        cooldown_after=upstream.cooldown.after,
        cooldown_seconds=upstream.cooldown.for_,
    )


def _authenticator(config: c.Config, clock: Clock) -> Authenticator:
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


def _mode(upstream: c.Upstream) -> Mode:
    """Return how calls are checked: as strictly as OpenAI does itself, or as engines of their own ways need."""
    if upstream.checks != "auto":
        return upstream.checks
    strict = upstream.kind == "azure" or upstream.base_url.host in OPENAI_HOSTS
    return "strict" if strict else "lenient"


def _lists_itself(config: c.Config) -> bool:
    """Return whether the sole upstream's own list is what every caller may use."""
    (first, *others) = config.upstreams
    return (
        not others
        and first.models is None
        and not config.models
        and all(key.models is None for key in config.auth.keys)
    )


def _open_store(store: c.Store, clock: Clock) -> Store:
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


def _limit_rule(limit: c.Limit) -> LimitRule:
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


def _model_override(name: str, model: c.Model) -> ModelOverride:
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


def _context_of(config: c.Config) -> Callable[[str], Context]:
    own = [(name, model.context) for name, model in config.models.items() if model.context]

    def context(model: str) -> Context:
        return next((mode for name, mode in own if fnmatchcase(model, name)), config.checks.context)

    return context


def bounded(
    series: Iterable[tuple[tuple[str, ...], float]], user: Callable[[str], str]
) -> Mapping[tuple[str, ...], float]:
    """Return series whose first label is a user's name with that label bounded; those that meet add up."""
    found: dict[tuple[str, ...], float] = {}
    for (name, *rest), value in series:
        labels = (user(name), *rest)
        found[labels] = found.get(labels, 0) + value
    return found


def _lower(name: str | None) -> bytes | None:
    return None if name is None else name.lower().encode()
