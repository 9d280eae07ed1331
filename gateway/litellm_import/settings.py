"""What LiteLLM's other settings come to here: store, keys, limits, cache, logs; and why the rest does not."""

import re
from dataclasses import dataclass

from gateway.config_formats import MIN_KEY_CHARACTERS, parse_end_user_header, show_duration
from gateway.config_types import BadValueError
from gateway.litellm_import.upstreams import MAX_RETRIES, MAX_SECONDS, MIN_SECONDS, Defaults, Plain
from gateway.litellm_import.values import Secrets, Section, usd

MILLION = 1_000_000
MAX_FAILURES = 1000
MAX_BODY_MIB = 1024
MAX_TTL_SECONDS = 365 * 24 * 3600
MAX_BUDGET_USD = 10**9 - 1
MASTER_KEY = "LITELLM_MASTER_KEY"
_NOTHING = "there is nothing like it here"
_ELSEWHERE = "nothing is sent elsewhere; the usage log and the metrics tell of every call"
_DATABASE = (
    "there is no database and no page to manage keys: they stand in `auth.keys` and `keys_files`"
)
_OF_A_FALLBACK = (
    "name the model among its `fallbacks`, and give both a `context_window`:"
    " a prompt that is too long goes on to the larger"
)
_WORD = re.compile(r"[A-Za-z0-9._-]+|\$\{[A-Za-z_][A-Za-z0-9_]*\}")
_DAYS = {"24h": "day", "1d": "day", "30d": "month", "1mo": "month"}

MODULE_REASONS = {
    "drop_params": "bodies go up as the client sent them: what an upstream refuses, the client must not send",
    "modify_params": "bodies go up as the client sent them",
    "context_window_fallbacks": _OF_A_FALLBACK,
    "content_policy_fallbacks": "replies are not read for their meaning",
    "service_callback": _ELSEWHERE,
    "turn_off_message_logging": "no prompt and no answer is ever logged",
    "redact_user_api_key_info": "no key is ever logged",
    "guardrails": "prompts and answers are not judged",
    "force_ipv4": "addresses are taken as the system resolves them",
    "cache_params": "`cache` is not on",
}
ROUTER_REASONS = {
    "context_window_fallbacks": _OF_A_FALLBACK,
    "content_policy_fallbacks": "replies are not read for their meaning",
    "retry_policy": "an upstream's `retry_on` says what is tried again",
    "model_group_retry_policy": "an upstream's `retry_on` says what is tried again",
    "allowed_fails_policy": "one number of failures holds for all: `cooldown.after`",
    "retry_after": "a retry follows after 50 ms, each next one after twice as long",
    "stream_timeout": "`first_byte_timeout` holds for streams too, `idle_timeout` between their pieces",
    "provider_budget_config": "write a rule with `per: upstream` and a `budget`",
    "enable_tag_filtering": "calls are not routed by tags",
    "default_litellm_params": "bodies go up as the client sent them",
}
GENERAL_REASONS = {
    "database_url": _DATABASE,
    "store_model_in_db": "models stand in this file",
    "alerting": "alerts are rules for Prometheus: docs/alerts.md",
    "custom_auth": "no code is loaded; keys stand in `auth.keys`",
    "enable_jwt_auth": "callers are known by keys alone",
    "pass_through_endpoints": "paths below /v1 are relayed; others are not",
    "allowed_ips": "let a firewall or a network policy say who may connect",
    "max_parallel_requests": "write a rule with `per: upstream` and `concurrency`",
    "background_health_checks": "upstreams are judged by their answers to calls",
    "use_client_credentials_pass_through_routes": "say `auth: passthrough` of an upstream",
    "key_management_system": "${NAME} and ${file:/path} name secrets",
}
CACHE_REASONS = {
    "namespace": "keys begin with `store.prefix`",
    "supported_call_types": "calls whose replies can be equal are cached, of every kind",
    "redis_startup_nodes": "Redis is one endpoint, no cluster",
    "sentinel_nodes": "Redis is one endpoint, no sentinels",
}
# What is so here in any case, or says nothing of a gateway.
_SILENT_MODULE = ("telemetry", "suppress_debug_info")
_SILENT_ROUTER = ("enable_pre_call_checks", "cache_responses", "debug_level")
_SILENT_GENERAL = (
    "forward_client_headers_to_llm_api",
    "disable_spend_logs",
    "health_check_interval",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """LiteLLM's three sections of settings, and what is done with secrets in them."""

    module: Section
    router: Section
    general: Section
    secrets: Secrets

    def defaults(self) -> Defaults:
        """Return what holds for every deployment; the router's settings go before the module's."""
        timeout = _first(
            self.router.number("timeout", MIN_SECONDS, MAX_SECONDS),
            self.module.number("request_timeout", MIN_SECONDS, MAX_SECONDS),
        )
        retries = _first(
            *(s.number("num_retries", 0, MAX_RETRIES) for s in (self.router, self.module))
        )
        return Defaults(
            timeout_seconds=timeout,
            retries=None if retries is None else int(retries),
            cooldown=self._cooldown(),
            concurrency=self.router.whole("default_max_parallel_requests", 1, MILLION),
        )

    def sections(self) -> dict[str, Plain]:
        """Return the sections of ours but `upstreams`, `models` and rules for upstreams; tell of the rest."""
        found: dict[str, Plain] = {
            "server": self._server(),
            "store": self._store(),
            "auth": self._auth(),
            "limits": self._limits(),
            "cache": self._cache(),
            "logging": self._logging(),
        }
        self._callbacks()
        self._strategy()
        self.module.drop(*_SILENT_MODULE)
        self.module.left(MODULE_REASONS, _NOTHING)
        self.router.drop(*_SILENT_ROUTER)
        self.router.left(ROUTER_REASONS, _NOTHING)
        self.general.drop(*_SILENT_GENERAL)
        self.general.left(GENERAL_REASONS, _NOTHING)
        store, cache = found["store"], found["cache"]
        if (
            isinstance(store, dict)
            and isinstance(cache, dict)
            and store.get("url") == cache.get("store")
        ):
            # Replies are kept where limits are unless it says otherwise.
            cache.pop("store", None)
        return {key: value for key, value in found.items() if value}

    def _cooldown(self) -> dict[str, Plain]:
        cooldown: dict[str, Plain] = {}
        sections = (self.router, self.module)
        fails = _first(*(s.number("allowed_fails", 0, MAX_FAILURES - 1) for s in sections))
        seconds = _first(*(s.number("cooldown_time", 0, MAX_SECONDS) for s in sections))
        if self.router.flag("disable_cooldowns"):
            self.router.tell(
                "disable_cooldowns", f"differs: it takes {MAX_FAILURES} failures in a row"
            )
            fails, seconds = MAX_FAILURES - 1, MIN_SECONDS
        if fails is not None:
            cooldown["after"] = int(fails) + 1
        if seconds is not None:
            cooldown["for"] = show_duration(max(seconds, MIN_SECONDS))
        return cooldown

    def _server(self) -> dict[str, Plain]:
        size = self.general.whole("max_request_size_mb", 1, MAX_BODY_MIB)
        return {} if size is None else {"max_body": f"{size}MiB"}

    def _store(self) -> dict[str, Plain]:
        url = _redis(self.router, self.secrets, "redis_")
        return {} if url is None else {"url": url}

    def _auth(self) -> dict[str, Plain]:
        auth: dict[str, Plain] = {}
        least = MIN_KEY_CHARACTERS
        key = self.secrets.reference(self.general, "master_key", MASTER_KEY, least_characters=least)
        if key is not None:
            auth["keys"] = [{"user": "master", "key": key}]
            self.general.tell(
                "master_key",
                f"differs: a key like others, of the user `master`; keys have {least} characters or more",
            )
        header = self.general.text("user_header_name")
        if header is not None:
            try:
                auth["end_user_header"] = parse_end_user_header(header)
            except BadValueError:
                self.general.tell("user_header_name", "not carried over: no header can be so")
        return auth

    def _limits(self) -> list[Plain]:
        rules: list[Plain] = []
        most = self.general.whole("global_max_parallel_requests", 1, MILLION)
        if most is not None:
            rules.append({"per": "global", "concurrency": most})
        most_usd = self.module.number("max_budget", 0, MAX_BUDGET_USD)
        period = self.module.text("budget_duration")
        if most_usd is None:
            return rules
        days = _DAYS.get(period or "")
        if days is None:
            self.module.tell("max_budget", "not carried over: budgets are by calendar day or month")
            return rules
        self.module.tell("max_budget", f"differs: by the calendar {days}, in UTC")
        return [*rules, {"per": "global", "budget": f"{usd(most_usd)}/{days}"}]

    def _cache(self) -> dict[str, Plain]:
        on = self.module.flag("cache")
        if not on:
            return {}
        params = self.module.section("cache_params")
        kind = params.text("type") or "redis"
        if kind not in ("redis", "local"):
            self.module.tell(
                "cache", f"not carried over: replies are kept in memory or in Redis, not in {kind}"
            )
            params.drop(*params)
            return {}
        if params.text("mode") == "default_off":
            self.module.tell("cache", "not carried over: clients had to ask for it, call by call")
            params.drop(*params)
            return {}
        self.module.tell(
            "cache",
            "differs: for calls that set temperature 0 or a seed, and for one user alone;"
            " `when: always` and `scope: shared` keep and share every reply, as LiteLLM does",
        )
        cache: dict[str, Plain] = {"scope": "user", "when": "deterministic"}
        seconds = params.number("ttl", 1, MAX_TTL_SECONDS)
        if seconds is not None:
            cache["ttl"] = show_duration(seconds)
        if kind == "redis":
            cache["store"] = _redis(params, self.secrets, "") or "${REDIS_URL}"
            if cache["store"] == "${REDIS_URL}":
                self.module.tell("cache", "set REDIS_URL, as in redis://host:6379")
        params.left(CACHE_REASONS, _NOTHING)
        return cache

    def _logging(self) -> dict[str, Plain]:
        logging: dict[str, Plain] = {}
        if self.module.flag("set_verbose") | self.router.flag("set_verbose"):
            logging["level"] = "debug"
        if self.module.flag("json_logs"):
            logging["format"] = "json"
        return logging

    def _callbacks(self) -> None:
        for key in ("callbacks", "success_callback", "failure_callback"):
            for name in self.module.texts(key):
                known = {
                    "prometheus": "metrics are always there, under names of their own: docs/metrics.md",
                    "otel": "say `tracing.endpoint`: docs/usage.md",
                }
                self.module.tell(key, f"not carried over: {name}: {known.get(name, _ELSEWHERE)}")

    def _strategy(self) -> None:
        strategy = self.router.text("routing_strategy")
        if strategy not in (None, "simple-shuffle"):
            self.router.tell("routing_strategy", "differs: targets share the calls by `weight`")


def _redis(section: Section, secrets: Secrets, prefix: str) -> str | None:
    """Return the URL of the Redis that a section names; None: it names none."""
    url = secrets.reference(section, f"{prefix}url", "REDIS_URL")
    host = section.value(f"{prefix}host")
    port = section.value(f"{prefix}port") or "6379"
    password = secrets.reference(section, f"{prefix}password", "REDIS_PASSWORD")
    database = section.whole(f"{prefix}db", 0, 1_000_000)
    tls = section.flag(f"{prefix}ssl")
    if url is not None or host is None:
        return url
    if not _WORD.fullmatch(host) or not _WORD.fullmatch(port):
        section.tell(f"{prefix}host", "not carried over: expected a host and a port")
        return None
    if password is not None:
        section.tell(f"{prefix}password", "differs: it stands in a URL, its special signs as %XX")
    user = "" if password is None else f":{password}@"
    path = "" if database is None else f"/{database}"
    return f"{'rediss' if tls else 'redis'}://{user}{host}:{port}{path}"


def _first(*values: float | None) -> float | None:
    return next((value for value in values if value is not None), None)
