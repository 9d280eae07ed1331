"""What a configuration allows and its owner may come to regret: told, never refused."""

from collections.abc import Callable, Iterator, Mapping
from datetime import date
from fnmatch import fnmatchcase
from typing import NamedTuple

from gateway.config import Config, Limit, Upstream
from gateway.config_rules import entry_of, matches, served
from gateway.config_tree import joined


class Traits(NamedTuple):
    """What is known of a model by its name."""

    priced: bool
    # It thinks before it answers, and shows nothing of it.
    reasons: bool


def warnings(config: Config, today: date, traits_of: Callable[[str], Traits]) -> tuple[str, ...]:
    """Return one line for each thing that will bite, with its path.

    `today` is the day in UTC, `traits_of` knows models that the configuration says nothing of.
    """
    return (
        *_listeners(config),
        *_upstreams(config),
        *_models(config),
        *_keys(config, today),
        *_limits(config),
        *_budgets(config, traits_of),
    )


def _listeners(config: Config) -> Iterator[str]:
    admin = config.admin.listen
    if not admin.is_loopback:
        yield f"admin.listen: whoever reaches {admin} can read the metrics"
    if config.auth.effective_mode == "open":
        yield f"auth.mode: whoever reaches {config.server.listen} can call without a key"


def _upstreams(config: Config) -> Iterator[str]:
    for index, upstream in enumerate(config.upstreams):
        for warning in _upstream(upstream):
            yield f"{joined('upstreams', index)}.{warning}"


def _upstream(upstream: Upstream) -> Iterator[str]:
    url = upstream.base_url
    plain = url.scheme == "http"
    sends_keys = upstream.api_key is not None or upstream.auth == "passthrough"
    if plain and sends_keys and not url.is_loopback:
        yield f"base_url: keys travel to {url.host} in clear text; use https"
    if upstream.kind == "openai" and not url.path:
        yield f"base_url: most servers answer below /v1: {url}/v1"
    if plain and upstream.ca_file is not None:
        yield "ca_file: means nothing without https"


def _models(config: Config) -> Iterator[str]:
    upstreams = {upstream.name: upstream for upstream in config.upstreams}
    for name, model in config.models.items():
        path = joined("models", name)
        for index, target in enumerate(model.targets):
            offered = upstreams[target.upstream].models
            # An empty list says that clients use the names here alone.
            if offered and not matches(offered, target.model or name):
                place = joined(f"{path}.targets", index)
                yield f"{place}: {target.upstream}'s `models` leave {target.model or name} out"
        if not model.targets and not served(config, name):
            yield f"{path}: no upstream serves it"


def _keys(config: Config, today: date) -> Iterator[str]:
    auth = config.auth
    if auth.effective_mode != "keys":
        if auth.keys:
            yield f"auth.keys: not asked for in mode {auth.effective_mode}"
        return
    if not auth.keys:
        yield "auth.keys_files: there is no key yet, so nobody can call"
    for index, key in enumerate(auth.keys):
        if key.expires is not None and key.expires <= today:
            yield f"{joined('auth.keys', index)}: {key.user}'s key expired on {key.expires}"


def _limits(config: Config) -> Iterator[str]:
    scheme = config.store.url.reveal().partition(":")[0]
    for index, limit in enumerate(config.limits):
        if limit.budget and scheme == "memory":
            path = joined("limits", index)
            yield f"{path}.budget: store.url is memory://, so a restart gives the money anew"
    if scheme in ("memory", "file") and config.store.replicas > 1:
        yield "store.replicas: a store of this machine alone is not shared"


def _budgets(config: Config, traits_of: Callable[[str], Traits]) -> Iterator[str]:
    """Yield what makes money uncountable under a budget: models without a price, thoughts that nobody reports."""
    for index, limit in enumerate(config.limits):
        if not limit.budget:
            continue
        path = f"{joined('limits', index)}.budget"
        covered = {name: _traits(config, name, traits_of) for name in _covered(config, limit)}
        if config.usage.unpriced == "allow":
            for name, traits in covered.items():
                if not traits.priced:
                    yield f"{path}: {name} has no price, so that it costs nothing; `usage.unpriced: refuse` refuses it"
        thinking = [name for name, traits in covered.items() if traits.reasons]
        if config.usage.include_usage == "client" and thinking:
            yield (
                f"{path}: what {thinking[0]} thinks in a stream is guessed unless the client asks for its usage;"
                " `usage.include_usage: always` asks for it"
            )


def _covered(config: Config, limit: Limit) -> Iterator[str]:
    """Yield the models that are named somewhere and that a limit covers."""
    wanted = limit.match.model
    named = [*config.models, *(name for u in config.upstreams for name in u.models or ())]
    if wanted is not None:
        named.append(wanted)
    for name in dict.fromkeys(named):
        if not _is_glob(name) and (wanted is None or fnmatchcase(name, wanted)):
            yield name


def _traits(config: Config, name: str, traits_of: Callable[[str], Traits]) -> Traits:
    model = entry_of(config.models, name)
    known = [traits_of(name)]
    if model is not None:
        known += [traits_of(target.model) for target in model.targets if target.model is not None]
    priced = model is not None and model.price is not None
    return Traits(
        priced=priced or any(traits.priced for traits in known),
        reasons=any(traits.reasons for traits in known),
    )


def unlisted(config: Config, listed: Mapping[str, frozenset[str] | None]) -> Iterator[str]:
    """Yield a line for each target whose upstream, by name in `listed`, does not list its model."""
    for name, model in config.models.items():
        for index, target in enumerate(model.targets):
            models = listed.get(target.upstream)
            wanted = target.model or name
            # A glob stands for whatever the client says.
            if models is not None and wanted not in models and not _is_glob(wanted):
                place = joined(f"{joined('models', name)}.targets", index)
                yield f"{place}: {target.upstream} does not list {wanted}"


def _is_glob(name: str) -> bool:
    return any(sign in name for sign in "*?[")
