"""LiteLLM's settings beside its models: store, keys, limits, cache, logs, and what is told of the rest."""

from pathlib import Path

import pytest

from tests.support.litellm import MODEL, imported

CACHE = (
    "4: litellm_settings.cache: differs: for calls that set temperature 0 or a seed, and for one user alone;"
    " `when: always` and `scope: shared` keep and share every reply, as LiteLLM does"
)
SAFE = {"scope": "user", "when": "deterministic"}


def sections(folder: Path, text: str) -> tuple[dict[str, object], list[str]]:
    """Return what settings become beside the models, and the notes."""
    found, notes = imported(folder, MODEL + text)
    return {key: value for key, value in found.items() if key not in ("upstreams", "models")}, notes


@pytest.mark.parametrize(
    ("text", "expected", "notes"),
    [
        (
            "router_settings: {redis_host: redis, redis_port: os.environ/REDIS_PORT, redis_db: 2}",
            {"store": {"url": "redis://redis:${REDIS_PORT}/2"}},
            [],
        ),
        (
            "router_settings: {redis_host: redis, redis_password: os.environ/PW, redis_ssl: true}",
            {"store": {"url": "rediss://:${PW}@redis:6379"}},
            [
                "4: router_settings.redis_password: differs: it stands in a URL, its special signs as %XX",
            ],
        ),
        (
            "router_settings: {redis_url: os.environ/REDIS_URL}",
            {"store": {"url": "${REDIS_URL}"}},
            [],
        ),
        (
            "router_settings: {redis_host: 'a b'}",
            {},
            ["4: router_settings.redis_host: not carried over: expected a host and a port"],
        ),
        (
            "general_settings: {master_key: os.environ/MASTER, user_header_name: X-User-Id}",
            {
                "auth": {
                    "keys": [{"user": "master", "key": "${MASTER}"}],
                    "end_user_header": "x-user-id",
                }
            },
            [
                "4: general_settings.master_key: differs: a key like others, of the user `master`;"
                " keys have 16 characters or more"
            ],
        ),
        (
            "general_settings: {master_key: sk-1234}",
            {"auth": {"keys": [{"user": "master", "key": "${LITELLM_MASTER_KEY}"}]}},
            [
                "4: general_settings.master_key: stands in the clear and was not copied:"
                " set LITELLM_MASTER_KEY to a new one: it is too short here",
                "4: general_settings.master_key: differs: a key like others, of the user `master`;"
                " keys have 16 characters or more",
            ],
        ),
        (
            "general_settings: {max_request_size_mb: 5, global_max_parallel_requests: 100}",
            {"server": {"max_body": "5MiB"}, "limits": [{"per": "global", "concurrency": 100}]},
            [],
        ),
        (
            "litellm_settings: {max_budget: 100, budget_duration: 30d}",
            {"limits": [{"per": "global", "budget": "100/month"}]},
            ["4: litellm_settings.max_budget: differs: by the calendar month, in UTC"],
        ),
        (
            "litellm_settings: {max_budget: 0.5, budget_duration: 7d}",
            {},
            [
                "4: litellm_settings.max_budget: not carried over: budgets are by calendar day or month"
            ],
        ),
        ("litellm_settings: {cache: true, cache_params: {type: local}}", {"cache": SAFE}, [CACHE]),
        (
            "litellm_settings: {cache: true, cache_params: {host: r, port: 6380, ttl: 60, namespace: n}}",
            {"cache": {**SAFE, "ttl": "60s", "store": "redis://r:6380"}},
            [
                CACHE,
                "4: litellm_settings.cache_params.namespace: not carried over: keys begin with `store.prefix`",
            ],
        ),
        (
            "litellm_settings: {cache: true}",
            {"cache": {**SAFE, "store": "${REDIS_URL}"}},
            [CACHE, "4: litellm_settings.cache: set REDIS_URL, as in redis://host:6379"],
        ),
        (
            "litellm_settings: {cache: true, cache_params: {type: redis, host: r}}\n"
            "router_settings: {redis_host: r}",
            {"store": {"url": "redis://r:6379"}, "cache": SAFE},
            [CACHE],
        ),
        (
            "litellm_settings: {cache: true, cache_params: {type: s3, s3_bucket_name: b}}",
            {},
            [
                "4: litellm_settings.cache: not carried over: replies are kept in memory or in Redis, not in s3"
            ],
        ),
        (
            "litellm_settings: {cache: true, cache_params: {type: local, mode: default_off}}",
            {},
            [
                "4: litellm_settings.cache: not carried over: clients had to ask for it, call by call"
            ],
        ),
        ("litellm_settings: {cache: false, cache_params: null}", {}, []),
        (
            "litellm_settings: {set_verbose: true, json_logs: true}",
            {"logging": {"level": "debug", "format": "json"}},
            [],
        ),
        (
            "litellm_settings: {success_callback: [langfuse], callbacks: otel}",
            {},
            [
                "4: litellm_settings.callbacks: not carried over: otel: say `tracing.endpoint`: docs/usage.md",
                "4: litellm_settings.success_callback: not carried over: langfuse: nothing is sent elsewhere;"
                " the usage log and the metrics tell of every call",
            ],
        ),
        (
            "router_settings: {routing_strategy: latency-based-routing, enable_pre_call_checks: true}",
            {},
            ["4: router_settings.routing_strategy: differs: targets share the calls by `weight`"],
        ),
        ("router_settings: {routing_strategy: simple-shuffle}", {}, []),
        (
            "general_settings: {database_url: 'postgresql://h/db', alerting: [slack]}\n"
            "environment_variables: {SLACK_WEBHOOK_URL: hush}\n"
            "guardrails: [{guardrail_name: pii}]",
            {},
            [
                "4: general_settings.database_url: not carried over: there is no database and no page to manage"
                " keys: they stand in `auth.keys` and `keys_files`",
                "4: general_settings.alerting: not carried over: alerts are rules for Prometheus: docs/alerts.md",
                "5: environment_variables.SLACK_WEBHOOK_URL: not carried over: set it where the gateway is"
                " started, if it is used",
                "6: guardrails: not carried over: there is nothing like it here",
            ],
        ),
    ],
)
def test_settings(tmp_path: Path, text: str, expected: dict[str, object], notes: list[str]) -> None:
    """What settings come to, and what is told of them."""
    assert sections(tmp_path, text) == (expected, notes)


def test_cooldowns_that_are_off(tmp_path: Path) -> None:
    """LiteLLM's switch becomes a cool-down that next to nothing starts."""
    found, notes = imported(tmp_path, MODEL + "router_settings: {disable_cooldowns: true}")

    upstreams = found["upstreams"]
    assert isinstance(upstreams, list)
    assert upstreams[0]["cooldown"] == {"after": 1000, "for": "1ms"}
    assert notes == [
        "4: router_settings.disable_cooldowns: differs: it takes 1000 failures in a row"
    ]
