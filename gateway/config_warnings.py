"""What a configuration allows and its owner may come to regret: told, never refused."""

from collections.abc import Iterator, Mapping
from datetime import date

from gateway.config import Config, Upstream
from gateway.config_rules import matches, served
from gateway.config_tree import joined


def warnings(config: Config, today: date) -> tuple[str, ...]:
    """Return one line for each thing that will bite, with its path; `today` is the day in UTC."""
    return (
        *_listeners(config),
        *_upstreams(config),
        *_models(config),
        *_keys(config, today),
        *_limits(config),
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
            if offered is not None and not matches(offered, target.model or name):
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
