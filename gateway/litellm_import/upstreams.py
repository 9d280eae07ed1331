"""Upstreams of ours, made from what LiteLLM says of each deployment: address, key, headers, patience.

Deployments that say the same share one; one with limits of its own is an upstream of its own.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias
from urllib.parse import urlsplit

from gateway.config import Config
from gateway.config_formats import (
    parse_header_name,
    parse_secret,
    parse_text,
    parse_url,
    show_duration,
)
from gateway.config_types import BadValueError, HttpUrl, TcpAddress, is_loopback
from gateway.litellm_import.providers import Provider
from gateway.litellm_import.values import Secrets, Section, translated

# What a configuration is made of before it is YAML.
Plain: TypeAlias = "str | int | float | bool | list[Plain] | dict[str, Plain] | None"

AZURE_VERSION = "2024-10-21"
MAX_SECONDS = 24 * 3600
MIN_SECONDS = 0.001
MAX_RETRIES = 10
MAX_NAME_CHARACTERS = 50
_DEFAULTS = Config()
_LISTENS = (_DEFAULTS.server.listen, _DEFAULTS.admin.listen)
_HERE = frozenset({"0.0.0.0", "::"})  # noqa: S104  compared with, never bound
_CREDENTIALS = frozenset({"authorization", "api-key"})
_SECRET_NAME = re.compile(r"auth|cookie|key|password|secret|token", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Defaults:
    """What LiteLLM's settings say for every deployment."""

    timeout_seconds: float | None = None
    retries: int | None = None
    cooldown: Mapping[str, Plain] = field(default_factory=dict)
    concurrency: int | None = None


@dataclass(slots=True, kw_only=True)
class Upstreams:
    """Gathers upstreams, and the rules for those that may not be asked without end."""

    defaults: Defaults
    secrets: Secrets
    found: list[dict[str, Plain]] = field(default_factory=list)
    limits: list[Plain] = field(default_factory=list)
    # Those whose own names clients use.
    open: set[str] = field(default_factory=set)
    _limited: set[str] = field(default_factory=set)

    def settings(self, params: Section, provider: Provider) -> dict[str, Plain] | None:
        """Return the keys of an upstream but for its name; None: it has no address, which is noted."""
        base_url = _base_url(params, provider)
        version = params.checked("api_version", parse_text)
        if base_url is None:
            return None
        settings: dict[str, Plain] = {"base_url": base_url}
        if provider.azure:
            version = version or f"${{AZURE_API_VERSION:-{AZURE_VERSION}}}"
            settings = {"kind": "azure", "base_url": base_url, "api_version": version}
        headers = self._headers(params, provider)
        found = {
            "api_key": self._key(params, provider, base_url, headers),
            "headers": headers or None,
            "first_byte_timeout": self._patience(params),
            "retries": self._retries(params),
            "cooldown": self._cooldown(params) or None,
        }
        return settings | {key: value for key, value in found.items() if value is not None}

    def name(self, wanted: str, settings: dict[str, Plain], rules: Mapping[str, Plain]) -> str:
        """Return the name of the upstream with such settings; one with rules is nobody else's."""
        for other in self.found:
            name = str(other["name"])
            if not rules and name not in self._limited and {"name": name, **settings} == other:
                return name
        base = re.sub(r"[^A-Za-z0-9._]+", "-", wanted)[:MAX_NAME_CHARACTERS].strip("-._")
        names = {upstream["name"] for upstream in self.found}
        name, number = base, 1
        while name in names:
            number += 1
            name = f"{base}-{number}"
        self.found.append({"name": name, **settings})
        if rules:
            self._limited.add(name)
            self.limits.append({"per": "upstream", "match": {"upstream": name}, **rules})
        return name

    def _key(
        self, params: Section, provider: Provider, base_url: str, headers: Mapping[str, Plain]
    ) -> str | None:
        own = f"${{{provider.key_variable}}}" if provider.key_variable else None
        if _CREDENTIALS & {name.lower() for name in headers}:
            if params.text("api_key") is not None:
                params.tell(
                    "api_key", "not carried over: a header of `extra_headers` stands for it"
                )
            return None
        if params.has("api_key"):
            wanted = provider.key_variable or f"{provider.name}_API_KEY"
            key = self.secrets.reference(params, "api_key", wanted)
            return own if key is None and _is_openai(base_url) else key
        if provider.name == "openai" and not _is_openai(base_url):
            params.tell("model", "differs: no `api_key`, so none goes to `api_base`")
            return None
        return own

    def _headers(self, params: Section, provider: Provider) -> dict[str, Plain]:
        found = {"OpenAI-Organization": params.checked("organization", parse_secret)}
        extra = params.section("extra_headers")
        for name in extra:
            try:
                parse_header_name(name)
            except BadValueError as error:
                extra.drop(name)
                extra.tell(name, f"not carried over: {str(error) or 'no header is called so'}")
                continue
            if _SECRET_NAME.search(name):
                found[name] = self.secrets.reference(extra, name, f"{provider.name}_{name}")
            else:
                found[name] = extra.checked(name, parse_secret)
        return {name: value for name, value in found.items() if value is not None}

    def _patience(self, params: Section) -> str | None:
        seconds = params.number("timeout", MIN_SECONDS, MAX_SECONDS)
        seconds = self.defaults.timeout_seconds if seconds is None else seconds
        return None if seconds is None else show_duration(seconds)

    def _retries(self, params: Section) -> int | None:
        own = [params.whole(key, 0, MAX_RETRIES) for key in ("num_retries", "max_retries")]
        return next((tries for tries in (*own, self.defaults.retries) if tries is not None), None)

    def _cooldown(self, params: Section) -> dict[str, Plain]:
        seconds = params.number("cooldown_time", 0, MAX_SECONDS)
        own = {} if seconds is None else {"for": show_duration(max(seconds, MIN_SECONDS))}
        return {**self.defaults.cooldown, **own}


def server_name(provider: Provider, base_url: str) -> str:
    """Return what to call an upstream: its provider, or its host where `openai` says only how it speaks."""
    if provider.name != "openai" or base_url == provider.base_url:
        return provider.name
    host = "" if "$" in base_url else urlsplit(base_url).hostname or ""
    return "local" if not host or is_loopback(host) or not host.strip("0123456789.:") else host


def _base_url(params: Section, provider: Provider) -> str | None:
    key = "api_base" if params.has("api_base") else "base_url"
    text = params.text(key)
    if text is None:
        return provider.base_url or f"${{{provider.base_variable}}}"
    if text.startswith("os.environ/"):
        ours = translated(text)
        if ours is None:
            params.tell(key, "not carried over: no variable can have such a name")
        return None if ours is None else f"{ours}{provider.path}"
    try:
        url = parse_url(_host_alone(text) if provider.azure else text)
    except BadValueError as error:
        why = str(error) or "expected a URL such as https://api.openai.com/v1"
        params.tell(key, f"not carried over, nor is the deployment: {why}")
        return None
    if any(_leads_to(url, listen.port) for listen in _LISTENS if isinstance(listen, TcpAddress)):
        params.tell(
            key,
            "not carried over, nor is the deployment: this gateway itself listens there;"
            " give that server another port",
        )
        return None
    path = "" if url.path.endswith(provider.path) else provider.path
    return f"{url}{path}".replace("$", "$$")


def _is_openai(base_url: str) -> bool:
    """Tell whether nothing is answered there without a key."""
    host = "" if "$" in base_url else urlsplit(base_url).hostname or ""
    return host.endswith(("api.openai.com", ".openai.azure.com"))


def _host_alone(text: str) -> str:
    """Return an Azure address without what says the deployment and the version once more."""
    try:
        parts = urlsplit(text)
    except ValueError:
        raise BadValueError from None
    return f"{parts.scheme}://{parts.netloc}"


def _leads_to(url: HttpUrl, port: int) -> bool:
    return url.port == port and (is_loopback(url.host) or url.host in _HERE)
