"""What must be true between the fields of a configuration, section by section.

What a single field allows stands with its type, in `config` and `config_formats`.
"""

import ssl
from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from gateway.config import Config, Key, Model, Upstream
from gateway.config_fields import did_you_mean
from gateway.config_tree import Origin, Problems, joined, parent
from gateway.config_types import HttpUrl, ListenAddress, TcpAddress, is_loopback

_EVERY_ADDRESS = frozenset({"0.0.0.0", "::"})  # noqa: S104  compared with, never bound
_CREDENTIAL_HEADERS = frozenset({"authorization", "api-key"})
_DIGEST_OF_NOTHING = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
# What to do about a problem that a variable causes.
_ADVICE = {
    "OPENAI_BASE_URL": "; OPENAI_BASE_URL is for your app; set GATEWAY_UPSTREAM_URL",
    "OPENAI_API_KEY": "; set it, or GATEWAY_UPSTREAM_URL for another upstream,"
    " or try `gateway demo`",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A configuration whose fields are right one by one, where they stand, and what is wrong."""

    config: Config
    origins: Mapping[str, Origin]
    problems: Problems

    def wrong(self, path: str, message: str) -> None:
        """Note a problem at `path`, or at the nearest place above it that was written."""
        nearest = path
        while nearest and nearest not in self.origins:
            nearest = parent(nearest)
        origin = self.origins[nearest]
        self.problems.add(origin, path, message + _ADVICE.get(origin.file, ""))


def check(draft: Draft, broken: AbstractSet[str]) -> None:
    """Note what is wrong between fields, but for rules that need one of the `broken` sections."""
    for sections, rule in _RULES:
        if not broken & sections:
            rule(draft)


def _listeners_differ(draft: Draft) -> None:
    server, admin = draft.config.server.listen, draft.config.admin.listen
    if _overlap(server, admin):
        draft.wrong("admin.listen", f"clients are served on {server}; take another address")


def _overlap(one: ListenAddress, other: ListenAddress) -> bool:
    if not isinstance(one, TcpAddress) or not isinstance(other, TcpAddress):
        return one == other
    hosts = {one.host, other.host}
    return one.port == other.port != 0 and (len(hosts) == 1 or bool(hosts & _EVERY_ADDRESS))


def _upstreams_stand_alone(draft: Draft) -> None:
    upstreams = draft.config.upstreams
    if not upstreams:
        draft.wrong("upstreams", "expected at least one upstream")
    names: set[str] = set()
    for index, upstream in enumerate(upstreams):
        path = joined("upstreams", index)
        if upstream.name in names:
            draft.wrong(f"{path}.name", f"there is another upstream called {upstream.name}")
        names.add(upstream.name)
        for key, message in _upstream_faults(upstream):
            draft.wrong(f"{path}.{key}", message)


def _upstream_faults(upstream: Upstream) -> Iterator[tuple[str, str]]:
    if upstream.kind == "azure" and upstream.api_version is None:
        yield "api_version", "`kind: azure` needs it, such as 2024-10-21"
    if upstream.kind != "azure" and upstream.api_version is not None:
        yield "api_version", "is for `kind: azure` alone"
    if upstream.ca_file is not None:
        yield from _ca_file_faults(upstream.ca_file, read=upstream.base_url.scheme == "https")
    yield from _credential_faults(upstream)


def _ca_file_faults(ca_file: Path, *, read: bool) -> Iterator[tuple[str, str]]:
    if not ca_file.is_file():
        yield "ca_file", f"there is no file {ca_file}"
    if not (read and ca_file.is_file()):
        return
    try:
        ssl.create_default_context(cafile=ca_file)
    except ssl.SSLError:
        yield "ca_file", f"there are no certificates in PEM in {ca_file}"
    except OSError as error:
        yield "ca_file", f"cannot read {ca_file}: {error.strerror}"


def _credential_faults(upstream: Upstream) -> Iterator[tuple[str, str]]:
    own_credentials = sorted(_CREDENTIAL_HEADERS & upstream.headers.keys())
    if upstream.auth == "passthrough":
        if upstream.api_key is not None:
            yield "api_key", "is never sent with `auth: passthrough`"
        if own_credentials:
            yield "headers", f"{own_credentials[0]} would replace the client's own key"
    elif upstream.api_key is not None and own_credentials:
        yield "headers", f"{own_credentials[0]} would replace `api_key`"


def _openai_gets_a_key(draft: Draft) -> None:
    if draft.config.recordings.mode == "replay":
        return  # nobody is asked
    for index, upstream in enumerate(draft.config.upstreams):
        keyless = upstream.auth == "key" and upstream.api_key is None
        if (
            keyless
            and _is_openai(upstream.base_url)
            and not _CREDENTIAL_HEADERS & upstream.headers.keys()
        ):
            draft.wrong(f"{joined('upstreams', index)}.api_key", "OpenAI needs a key")


def _is_openai(url: HttpUrl) -> bool:
    return url.host.endswith(("api.openai.com", ".openai.azure.com"))


def _upstreams_are_others(draft: Draft) -> None:
    config = draft.config
    for index, upstream in enumerate(config.upstreams):
        for listen in (config.server.listen, config.admin.listen):
            if isinstance(listen, TcpAddress) and _leads_to(upstream.base_url, listen):
                path = f"{joined('upstreams', index)}.base_url"
                draft.wrong(path, f"this is the gateway itself, which listens on {listen}")


def _leads_to(url: HttpUrl, listen: TcpAddress) -> bool:
    if url.port != listen.port:
        return False
    here = is_loopback(url.host) or url.host in _EVERY_ADDRESS
    return url.host == listen.host or (
        here and (listen.is_loopback or listen.host in _EVERY_ADDRESS)
    )


def _passthrough_needs_no_keys(draft: Draft) -> None:
    if draft.config.auth.effective_mode != "keys":
        return
    for index, upstream in enumerate(draft.config.upstreams):
        if upstream.auth == "passthrough":
            draft.wrong(
                f"{joined('upstreams', index)}.auth",
                "passthrough needs auth.mode none or open:"
                " in mode keys, clients send the gateway's keys",
            )


def _models_lead_somewhere(draft: Draft) -> None:
    names = [upstream.name for upstream in draft.config.upstreams]
    for name, model in draft.config.models.items():
        path = joined("models", name)
        for index, target in enumerate(model.targets):
            if target.upstream not in names:
                hint = did_you_mean(target.upstream, names)
                place = f"{joined(f'{path}.targets', index)}.upstream"
                draft.wrong(place, f"there is no upstream {target.upstream}{hint}")
        window, longest = model.context_window, model.max_output_tokens
        if window is not None and longest is not None and longest > window:
            draft.wrong(f"{path}.max_output_tokens", f"is more than context_window, {window}")


def _fallbacks_lead_somewhere(draft: Draft) -> None:
    models = draft.config.models
    for name, model in models.items():
        for index, fallback in enumerate(model.fallbacks):
            if not served(draft.config, fallback):
                hint = did_you_mean(fallback, models)
                place = joined(f"{joined('models', name)}.fallbacks", index)
                draft.wrong(place, f"there is no model {fallback}{hint}")


def served(config: Config, model: str) -> bool:
    """Tell whether some upstream may have `model`; False only where that is certain."""
    entry = entry_of(config.models, model)
    if entry is not None and entry.targets:
        return True
    return any(
        upstream.models is None or matches(upstream.models, model) for upstream in config.upstreams
    )


def entry_of(models: Mapping[str, Model], name: str) -> Model | None:
    """Return what `models` says of a name: its own entry, else the first glob that matches."""
    if name in models:
        return models[name]
    return next((entry for glob, entry in models.items() if fnmatchcase(name, glob)), None)


def matches(globs: Sequence[str], name: str) -> bool:
    """Tell whether one of `globs` matches `name`."""
    return any(fnmatchcase(name, glob) for glob in globs)


def _fallbacks_end(draft: Draft) -> None:
    models = draft.config.models
    for name in models:
        chain = _cycle(models, name)
        # Told once, at the first of its names.
        if chain and min(chain) == name:
            path = f"{joined('models', name)}.fallbacks"
            draft.wrong(path, f"they lead in a circle: {' → '.join([*chain, name])}")


def _cycle(models: Mapping[str, Model], start: str) -> list[str]:
    """Return the names on a way of fallbacks that comes back to `start`, or nothing."""
    ways = [[start]]
    seen = {start}
    while ways:
        way = ways.pop()
        entry = entry_of(models, way[-1])
        for name in entry.fallbacks if entry else ():
            # A name that a glob catches may stand among that glob's own fallbacks.
            if name == start and (len(way) > 1 or start in models):
                return way
            if name not in seen:
                seen.add(name)
                ways.append([*way, name])
    return []


def _mode_fits(draft: Draft) -> None:
    auth, listen = draft.config.auth, draft.config.server.listen
    if auth.effective_mode == "none" and not listen.is_loopback:
        draft.wrong(
            "auth.mode" if auth.mode else "server.listen",
            f"without keys anybody could call {listen}: give auth.keys or GATEWAY_API_KEY,"
            " or say `auth.mode: open`",
        )
    if auth.mode == "keys" and not auth.keys and not auth.keys_files:
        draft.wrong("auth.mode", "there are no keys: nobody could call")


def _cache_keeps_apart(draft: Draft) -> None:
    cache = draft.config.cache
    if cache is None:
        return
    passing = [u.name for u in draft.config.upstreams if u.auth == "passthrough"]
    if cache.scope == "shared" and passing:
        draft.wrong(
            "cache.scope",
            f"clients' own keys go up to {passing[0]}: what one account is answered is no other's",
        )
    if cache.store is not None and cache.store.reveal().startswith(("memory:", "file:")):
        draft.wrong("cache.store", "expected a Redis: redis://, rediss:// or unix://")


def check_keys(keys: Sequence[tuple[Key, Origin, str]], problems: Problems) -> None:
    """Note what is wrong with keys, each given with where it stands and its path there."""
    places: dict[str, str] = {}
    for key, origin, path in keys:
        if (key.key is None) == (key.sha256 is None):
            problems.add(origin, path, "expected one of `key` and `sha256`")
            continue
        if key.digest == _DIGEST_OF_NOTHING:
            problems.add(origin, path, "this is the digest of an empty key")
        if key.digest in places:
            problems.add(origin, path, f"the same key as {places[key.digest]}")
        places.setdefault(key.digest, f"{path} of {origin.file}")


_RULES: tuple[tuple[frozenset[str], Callable[[Draft], None]], ...] = (
    (frozenset({"server", "admin"}), _listeners_differ),
    (frozenset({"upstreams"}), _upstreams_stand_alone),
    (frozenset({"upstreams", "recordings"}), _openai_gets_a_key),
    (frozenset({"server", "admin", "upstreams"}), _upstreams_are_others),
    (frozenset({"auth", "upstreams"}), _passthrough_needs_no_keys),
    (frozenset({"models", "upstreams"}), _models_lead_somewhere),
    (frozenset({"models", "upstreams"}), _fallbacks_lead_somewhere),
    (frozenset({"models"}), _fallbacks_end),
    (frozenset({"server", "auth"}), _mode_fits),
    (frozenset({"cache", "upstreams"}), _cache_keeps_apart),
)
