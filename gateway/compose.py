"""The composition: sections of the configuration become the parts that a call meets. Nobody else composes."""

import asyncio
import operator
import ssl
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from gateway import config as c
from gateway.accounting import Accountant
from gateway.cache import Cache
from gateway.catalog import FRESH_SECONDS, Catalog, is_glob
from gateway.clock import Clock
from gateway.compose_cache import Caches
from gateway.compose_sections import (
    authenticator,
    checks_of,
    context_of,
    limit_rule,
    lists_itself,
    lower,
    model_override,
    model_route,
    provider_of,
    shelf_of,
    ssl_context,
    store_of,
    upstream_key,
    upstream_of,
    upstream_route,
)
from gateway.copying import Copying
from gateway.deadlines import Deadlines
from gateway.door import Door, RequestIds
from gateway.guard import Guard
from gateway.handler import Handler
from gateway.intake import Intake
from gateway.limits import Limiter
from gateway.metering import Meter
from gateway.prices import NANODOLLARS_PER_USD
from gateway.relay import Peer, Relay
from gateway.routing import Router
from gateway.sharing import Sharing
from gateway.tasks import Tasks
from gateway.tokens.counter import TokenCounter
from gateway.tokens.models import ModelTable
from gateway.tokens.output import OutputCounter
from gateway.tracing import Tracer, open_tracer
from gateway.transport import Transport
from gateway.transport.aiohttp_client import AiohttpTransport
from gateway.transport.pool import Pool
from gateway.transport.recorded import RecordingTransport, ReplayTransport
from gateway.upstream_tokens import UpstreamTokens

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
        recordings: c.Recordings,
        *,
        tasks: Tasks,
    ) -> None:
        """Open the store, and the recordings. Raises StartError where one cannot be used."""
        self.store = store_of(store, clock)
        self._caches = Caches(self.store, clock, tasks)
        self._outputs: OutputCounter | None = None
        self._limits: Limiter | None = None
        self._tracers: dict[str, Tracer] = {}
        meter.metrics.store_up.read = lambda: {(): float(self.store.up)}
        meter.metrics.store_errors.read = lambda: {
            (operation,): count
            for operation, count in (
                Counter(self.store.errors) + Counter(self._caches.errors)
            ).items()
        }
        meter.metrics.cache_evictions.read = lambda: {(): self._caches.memory.evictions}
        meter.metrics.cache_bytes.read = lambda: {(): self._caches.memory.size_bytes}
        self._meter = meter
        self._metrics = meter.metrics
        self._ids = ids
        self._clock = clock
        self._deadlines = deadlines
        self._tasks = tasks
        self._transports: dict[str, tuple[c.Upstream, Transport]] = {}
        self._catalog: Catalog | None = None
        self._recordings = recordings
        self._shelf = shelf_of(recordings)

    async def refresh(self) -> None:
        """Ask the upstreams what they list, where that was not done lately."""
        if self._catalog is not None:
            await self._catalog.refresh(self._catalog.peers, max_age_seconds=FRESH_SECONDS)

    async def aclose(self) -> None:
        """Close every connection to every upstream."""
        for _, transport in self._transports.values():
            await transport.aclose()
        await self._caches.aclose()
        await self.store.aclose()
        for tracer in self._tracers.values():
            await asyncio.to_thread(tracer.close)

    def compose(self, config: c.Config, base_url: str) -> Door:
        """Return the door to the parts under `config`; transports that it leaves unchanged are kept.

        Raises StartError.
        """
        self._connect(config.upstreams)
        peers = {upstream.name: self._peer(upstream) for upstream in config.upstreams}
        self._meter.tracer = self._tracer(config.tracing)
        self._meter.serve({u.name: provider_of(u) for u in config.upstreams})
        catalog, router = self._routing(config, peers)
        server = config.server
        handler = Handler(
            auth=authenticator(config, self._clock),
            intake=Intake(
                max_body_bytes=server.max_body,
                max_upload_bytes=server.max_upload,
                body_seconds=server.body_timeout,
                end_user_header=lower(config.auth.end_user_header),
                clock=self._clock,
            ),
            router=router,
            catalog=catalog,
            relay=Relay(
                peers,
                router,
                self._metrics,
                self._clock,
                end_user_header=lower(config.auth.end_user_header),
            ),
            accountant=self._accountant(config, peers),
            limiter=self._limiter(config),
            checks={upstream.name: checks_of(upstream) for upstream in config.upstreams},
            copying=Copying(
                router,
                self._clock,
                self._deadlines,
                keepalive_seconds=server.stream_keepalive,
                streams=self._metrics.streams.cell(()),
            ),
            clock=self._clock,
            end_user_header=lower(config.auth.end_user_header),
            always_usage=config.usage.include_usage == "always",
            relay_models=lists_itself(config),
            sharing=self._sharing(config),
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

    def _tracer(self, tracing: c.Tracing) -> Tracer | None:
        """Return what traces calls: one for each endpoint that ever was configured, None for none.

        Raises StartError.
        """
        if tracing.endpoint is None:
            return None
        endpoint = str(tracing.endpoint)
        if endpoint not in self._tracers:
            self._tracers[endpoint] = open_tracer(endpoint)
        return self._tracers[endpoint]

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
            models=[model_route(name, model) for name, model in config.models.items()],
            upstreams=[upstream_route(upstream) for upstream in config.upstreams],
            clock=self._clock,
            listed=catalog.lists,
        )
        self._metrics.show_health(router.up)
        return catalog, router

    def _accountant(self, config: c.Config, peers: Mapping[str, Peer]) -> Accountant:
        """Return what counts under `config`; what was learned and loaded is kept."""
        models = ModelTable(model_override(name, model) for name, model in config.models.items())
        if self._outputs is None:
            self._outputs = OutputCounter(TokenCounter(models))
        counter = self._outputs.counter
        counter.serve(models)
        return Accountant(
            counter=counter,
            outputs=self._outputs,
            asking=UpstreamTokens(peers=peers, clock=self._clock),
            context=context_of(config),
            on_error=self._metrics.count_error.series(("input",)).observe,
            on_output_error=self._metrics.count_error.series(("output",)).observe,
        )

    def _limiter(self, config: c.Config) -> Limiter:
        """Return the limits of `config` over the one store, which outlives it."""
        limiter = Limiter(
            [limit_rule(limit) for limit in config.limits],
            self.store,
            self._clock,
            unpriced=config.usage.unpriced,
        )
        if self._limits is not None:
            limiter.carry_on(self._limits)
        self._limits = limiter
        metrics = self._metrics
        metrics.limit_decisions.read = lambda: bounded(
            limiter.decisions.items(), metrics.user, operator.add
        )
        # Of those who share a label, the one nearest to its limit.
        metrics.limit_used.read = lambda: bounded(limiter.used_ratios().items(), metrics.user, max)
        metrics.limit_overshoot.read = lambda: {
            ("tokens",): limiter.overshoot["tokens"],
            ("budget",): limiter.overshoot["budget"] / NANODOLLARS_PER_USD,
        }
        return limiter

    def _sharing(self, config: c.Config) -> Sharing | None:
        """Return what answers calls by earlier replies; what is kept outlives a configuration."""
        values = self._caches.open(config.cache, config.store)
        if config.cache is None or values is None:
            return None
        cache = Cache(
            values=values,
            clock=self._clock,
            ttl_seconds=config.cache.ttl,
            max_entry_bytes=config.cache.max_entry,
            shared=config.cache.scope == "shared",
            when=config.cache.when,
        )
        return Sharing(
            cache=cache,
            tasks=self._tasks,
            clock=self._clock,
            stall_seconds=config.upstreams[0].idle_timeout,
            late=self._meter.late,
        )

    def _connect(self, upstreams: Sequence[c.Upstream]) -> None:
        """Make the transports that are new or changed, and let go of those that are no more."""
        known = {name: upstream for name, (upstream, _) in self._transports.items()}
        new = [upstream for upstream in upstreams if known.get(upstream.name) != upstream]
        # What can fail comes first, for all of them: then the old ones stay in force.
        contexts = [ssl_context(upstream) for upstream in new]
        for name in {upstream.name for upstream in new} | (
            set(known) - {upstream.name for upstream in upstreams}
        ):
            if name in known:
                self._transports.pop(name)[1].retire()
        for upstream, context in zip(new, contexts, strict=True):
            self._transports[upstream.name] = (upstream, self._transport(upstream, context))

    def _peer(self, upstream: c.Upstream) -> Peer:
        key = upstream_key(upstream)
        return Peer(
            upstream=upstream_of(upstream),
            transport=self._transports[upstream.name][1],
            passthrough=upstream.auth == "passthrough",
            retries=upstream.retries,
            retry_on=frozenset(str(cause) for cause in upstream.retry_on),
            first_byte_seconds=upstream.first_byte_timeout,
            idle_seconds=upstream.idle_timeout,
            secret=key.encode() if len(key) >= MIN_SECRET_BYTES else b"",
        )

    def _transport(self, upstream: c.Upstream, context: ssl.SSLContext | None) -> Transport:
        if self._recordings.mode == "replay":
            return ReplayTransport(self._shelf, self._clock)
        transport = self._live_transport(upstream, context)
        if self._recordings.mode == "record":
            return RecordingTransport(transport, Path(self._recordings.dir))
        return transport

    def _live_transport(self, upstream: c.Upstream, context: ssl.SSLContext | None) -> Transport:
        if upstream.proxy is not None:
            return AiohttpTransport(
                proxy=upstream.proxy.reveal(),
                ssl_context=context,
                connect_seconds=upstream.connect_timeout,
                idle_seconds=upstream.idle_timeout,
                max_connections=upstream.max_connections,
                deadlines=self._deadlines,
            )
        return Pool(
            ssl_context=context,
            connect_seconds=upstream.connect_timeout,
            idle_seconds=upstream.idle_timeout,
            max_connections=upstream.max_connections,
            deadlines=self._deadlines,
        )


def bounded(
    series: Iterable[tuple[tuple[str, ...], float]],
    user: Callable[[str], str],
    join: Callable[[float, float], float],
) -> Mapping[tuple[str, ...], float]:
    """Return series whose first label is a user's name with that label bounded; those that meet are joined."""
    found: dict[tuple[str, ...], float] = {}
    # Copied at once: it is read in a thread of its own.
    for (name, *rest), value in list(series):
        labels = (user(name), *rest)
        found[labels] = join(found[labels], value) if labels in found else value
    return found
