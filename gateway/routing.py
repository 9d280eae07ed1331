"""Where a call may go: a model's name to targets in order, by aliases, weights, fallbacks and cool-downs.

Decides only; asking is `relay.py`'s, knowing what an upstream lists is `catalog.py`'s.
"""

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase

from gateway.clock import Clock
from gateway.types import Target

# Models whose only target is remembered.
MAX_SETTLED = 1_024
# Upstream and model pairs whose failures are remembered; the oldest is forgotten first.
MAX_REMEMBERED = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRoute:
    """What one name (or glob) of a model stands for."""

    name: str
    targets: tuple[Target, ...] = ()
    fallbacks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamRoute:
    """Which models an upstream takes by itself, and when it is left alone for a while."""

    name: str
    # Globs; None: what it lists.
    models: tuple[str, ...] | None = None
    # The client's own key goes up to it.
    passthrough: bool = False
    cooldown_after: int = 5
    cooldown_seconds: float = 15.0


@dataclass(slots=True)
class _Health:
    failures: int = 0
    cool_until: float = 0.0


@dataclass(slots=True, kw_only=True)
class Router:
    """Decides which targets are asked for a model, in which order."""

    models: Sequence[ModelRoute]
    upstreams: Sequence[UpstreamRoute]
    clock: Clock
    # What an upstream's own list says of a model; None: it has not been read yet.
    listed: Callable[[str, str], bool | None]
    uniform: Callable[[], float] = random.random
    _health: dict[tuple[str, str | None], _Health] = field(default_factory=dict)
    # Targets of models for which nothing but the configuration decides: one place, whatever its health.
    _settled: dict[str, tuple[Target, ...]] = field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        """The upstreams' names."""
        return tuple(upstream.name for upstream in self.upstreams)

    def undecided(self, model: str) -> bool:
        """Return whether an upstream may have `model` whose list could not be read."""
        by_list = [u.name for u in self.upstreams if u.models is None and not u.passthrough]
        return any(self.listed(name, model) is None for name in by_list)

    def targets(self, model: str | None) -> tuple[Target, ...]:
        """Return the targets for `model` in the order in which to ask them; empty: nobody has it.

        A call without a model goes to the first upstream. Targets that cool down come last, so that one is
        always tried. No fallback takes the client's own key to an upstream that the call was not meant for.
        """
        if model is None:
            return (Target(upstream=self.upstreams[0].name),)
        settled = self._settled.get(model)
        if settled is not None:
            return settled
        found = self._of_name(model)
        for name in self._fallbacks(model):
            found += self._of_name(name)
        if len(found) < 2:
            return self._settle(model, tuple(found))
        foreign = {u.name for u in self.upstreams if u.passthrough} - {found[0].upstream}
        distinct = [t for t in dict.fromkeys(found) if t.upstream not in foreign]
        now = self.clock.monotonic()
        cool = [target for target in distinct if self._cooling(target, now)]
        return (*(target for target in distinct if target not in cool), *cool)

    def _settle(self, model: str, targets: tuple[Target, ...]) -> tuple[Target, ...]:
        """Remember the only target of a model, unless an upstream's list could change it."""
        if len(self.upstreams) == 1 or all(u.models is not None for u in self.upstreams):
            if len(self._settled) >= MAX_SETTLED:
                self._settled.clear()
            self._settled[model] = targets
        return targets

    def knows(self, model: str) -> bool:
        """Return whether `model` has a target without asking any upstream again."""
        return bool(self._of_name(model))

    def failed(self, target: Target) -> None:
        """Note that `target` could not answer: after several in a row it cools down."""
        route = next(u for u in self.upstreams if u.name == target.upstream)
        key = (target.upstream, target.model)
        health = self._health.get(key)
        if health is None:
            if len(self._health) >= MAX_REMEMBERED:
                del self._health[next(iter(self._health))]
            health = self._health[key] = _Health()
        health.failures += 1
        if health.failures >= route.cooldown_after:
            health.cool_until = self.clock.monotonic() + route.cooldown_seconds

    def answered(self, target: Target) -> None:
        """Note that `target` answered."""
        self._health.pop((target.upstream, target.model), None)

    def up(self) -> Mapping[tuple[str, ...], float]:
        """Return 1 for each upstream and model that is asked in its turn, 0 while it cools down.

        Those are the configured ones, each upstream for calls without a model, and whatever failed lately.
        """
        now = self.clock.monotonic()
        shown = dict.fromkeys(self._configured(), 1.0)
        # Copied at once: it is read in a thread of its own.
        for (upstream, model), health in list(self._health.items()):
            shown[upstream, model or ""] = float(health.cool_until <= now)
        return shown

    def _configured(self) -> Iterator[tuple[str, ...]]:
        for upstream in self.upstreams:
            yield upstream.name, ""
        for route in self.models:
            # A glob stands for whatever the client says.
            own = "" if any(sign in route.name for sign in "*?[") else route.name
            for target in route.targets:
                yield target.upstream, target.model or own

    def _cooling(self, target: Target, now: float) -> bool:
        health = self._health.get((target.upstream, target.model))
        return health is not None and health.cool_until > now

    def _route(self, model: str) -> ModelRoute | None:
        if not self.models:
            return None
        exact = next((route for route in self.models if route.name == model), None)
        return exact or next(
            (route for route in self.models if fnmatchcase(model, route.name)), None
        )

    def _of_name(self, model: str) -> list[Target]:
        route = self._route(model)
        if route is not None and route.targets:
            return [
                replace(target, model=target.model or model, asked=model)
                for target in self._shuffled(route.targets)
            ]
        return [
            Target(upstream=u.name, model=model) for u in self.upstreams if self._takes(u, model)
        ]

    def _takes(self, upstream: UpstreamRoute, model: str) -> bool:
        if upstream.models is not None:
            return any(fnmatchcase(model, glob) for glob in upstream.models)
        if len(self.upstreams) == 1:
            return True
        return bool(self.listed(upstream.name, model))

    def _fallbacks(self, model: str) -> list[str]:
        names: list[str] = []
        waiting = [model]
        while waiting:
            route = self._route(waiting.pop(0))
            for name in route.fallbacks if route is not None else ():
                if name not in names and name != model:
                    names.append(name)
                    waiting.append(name)
        return names

    def _shuffled(self, targets: tuple[Target, ...]) -> list[Target]:
        # Weighted sampling without replacement: key = u^(1/w), largest first (Efraimidis and Spirakis, 2006).
        if len(targets) == 1:
            return list(targets)
        return sorted(targets, key=lambda t: -(self.uniform() ** (1 / t.weight)) if t.weight else 0)
