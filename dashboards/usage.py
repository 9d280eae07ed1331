"""The second board: who uses how much of what, what that costs, and what the limits and the cache did."""

from dashboards.board import Board, Panel, Query, Row, Thresholds, warning
from dashboards.queries import matching, over, quantiles, rate

USER = {"user": "$user"}
BOTH = {"user": "$user", "model": "$model"}
TOKENS = "gateway_tokens_total"
COST = "gateway_cost_usd_total"
DECISIONS = "gateway_limit_decisions_total"
CACHE = "gateway_cache_requests_total"
# A cache that answers little is no fault, one that answers much is worth seeing.
HITS: Thresholds = ((None, "blue"), (0.2, "green"))


def _total(title: str, metric: str, unit: str, meaning: str, **where: str) -> Panel:
    return Panel(
        title=title,
        description=f"{meaning} In the time shown.",
        unit=unit,
        kind="stat",
        width=4,
        queries=[
            Query(
                expr=f"sum(increase({metric}{matching(where)}[$__range]))",
                legend="in the time shown",
            )
        ],
    )


TOTALS = Row(
    title="In the time shown",
    panels=[
        _total("Calls", "gateway_requests_total", "short", "Calls that ended.", **BOTH),
        _total("Tokens", TOKENS, "short", "Tokens in and out, cached ones included.", **BOTH),
        _total("Money", COST, "currencyUSD", "What calls cost by the price table.", **BOTH),
        _total(
            "Tokens saved",
            "gateway_cache_saved_tokens_total",
            "short",
            "What hits would have taken.",
        ),
        _total(
            "Money saved",
            "gateway_cache_saved_cost_usd_total",
            "currencyUSD",
            "What hits would have cost.",
        ),
        Panel(
            title="Estimated",
            description="The share of tokens that the gateway counted itself, because no usage was reported.",
            unit="percentunit",
            kind="stat",
            width=4,
            decimals=1,
            thresholds=warning(0.2, 0.5),
            queries=[
                Query(
                    expr=over(
                        rate(TOKENS, "job", **BOTH, source="estimated"), rate(TOKENS, "job", **BOTH)
                    ),
                    legend="{{job}}",
                )
            ],
        ),
    ],
)

USE = Row(
    title="Tokens and money",
    panels=[
        Panel(
            title="Tokens by type",
            description="The types add up: cached input, audio and reasoning are not in input and output too.",
            unit="short",
            stacked=True,
            queries=[Query(expr=rate(TOKENS, "type", **BOTH), legend="{{type}} a second")],
        ),
        Panel(
            title="Tokens by user",
            description="The ten that use most.",
            unit="short",
            stacked=True,
            queries=[
                Query(expr=f"topk(10, {rate(TOKENS, 'user', **BOTH)})", legend="{{user}} a second")
            ],
        ),
        Panel(
            title="Tokens by model",
            description="The ten that are used most, by the name that clients asked for.",
            unit="short",
            stacked=True,
            queries=[
                Query(
                    expr=f"topk(10, {rate(TOKENS, 'model', **BOTH)})", legend="{{model}} a second"
                )
            ],
        ),
        Panel(
            title="Money an hour by user",
            description="The ten that spend most, at the pace of now.",
            unit="currencyUSD",
            stacked=True,
            queries=[
                Query(expr=f"topk(10, 3600 * {rate(COST, 'user', **BOTH)})", legend="{{user}}")
            ],
        ),
        Panel(
            title="Money an hour by model",
            description="The ten that cost most, at the pace of now.",
            unit="currencyUSD",
            stacked=True,
            queries=[
                Query(expr=f"topk(10, 3600 * {rate(COST, 'model', **BOTH)})", legend="{{model}}")
            ],
        ),
        Panel(
            title="Tokens of a call",
            description="How large calls are: prompts and answers.",
            unit="short",
            queries=quantiles(
                "gen_ai_client_token_usage",
                "gen_ai_token_type",
                of=(0.5, 0.95),
                legend="{{gen_ai_token_type}}",
                gen_ai_request_model="$model",
            ),
        ),
    ],
)

LIMITS = Row(
    title="Limits",
    panels=[
        Panel(
            title="In use",
            description="The share of each limit in use as of its last admission; at 100 % calls are refused.",
            unit="percentunit",
            thresholds=warning(0.8, 1),
            queries=[
                Query(
                    expr='topk(20, max by (user, per, dimension) (gateway_limit_used_ratio{user=~"$user"}))',
                    legend="{{user}}: {{dimension}} per {{per}}",
                )
            ],
        ),
        Panel(
            title="Refused",
            description="Calls that a rule refused, by whose and which.",
            unit="reqps",
            stacked=True,
            queries=[
                Query(
                    expr=rate(DECISIONS, "user, per, dimension", **USER, outcome="refused"),
                    legend="{{user}}: {{dimension}} per {{per}}",
                )
            ],
        ),
        Panel(
            title="Refused share",
            description="Refusals of all decisions. Much of it: a limit is too tight, or a client knows no patience.",
            unit="percentunit",
            thresholds=warning(0.05, 0.25),
            queries=[
                Query(
                    expr=over(
                        rate(DECISIONS, "dimension", **USER, outcome="refused"),
                        rate(DECISIONS, "dimension", **USER),
                    ),
                    legend="{{dimension}}",
                )
            ],
        ),
        Panel(
            title="Overshoot",
            description="What calls came to above what was reserved for them; `reserve: max` makes it 0.",
            unit="short",
            width=12,
            queries=[
                Query(
                    expr=rate("gateway_limit_overshoot_total", "dimension"),
                    legend="{{dimension}} a second (budget: USD)",
                )
            ],
        ),
        Panel(
            title="Error of counting",
            description="How far counts are from reports: reservations are as good as the input's.",
            unit="percentunit",
            width=12,
            thresholds=warning(0.1, 0.25),
            queries=quantiles(
                "gateway_token_count_error_ratio",
                "direction",
                of=(0.5, 0.9),
                legend="{{direction}}",
            ),
        ),
    ],
)

CACHED = Row(
    title="Cache",
    panels=[
        Panel(
            title="Lookups",
            description="Hits, misses, calls that joined one in flight, and those that may not be stored.",
            unit="reqps",
            stacked=True,
            queries=[Query(expr=rate(CACHE, "outcome"), legend="{{outcome}}")],
        ),
        Panel(
            title="Answered without the upstream",
            description="The share of hits and joined calls of what could be stored.",
            unit="percentunit",
            thresholds=HITS,
            queries=[
                Query(
                    expr=over(
                        rate(CACHE, "job", outcome="hit|collapsed"),
                        rate(CACHE, "job", outcome="hit|miss|collapsed"),
                    ),
                    legend="{{job}}",
                )
            ],
        ),
        Panel(
            title="Size",
            description="What stored replies take; `cache.max_size` bounds it.",
            unit="bytes",
            queries=[Query(expr="sum by (instance) (gateway_cache_bytes)", legend="{{instance}}")],
        ),
        Panel(
            title="Evictions",
            description="Replies that gave way to newer ones. Many, beside few hits: the cache is too small.",
            unit="ops",
            width=12,
            queries=[
                Query(expr=rate("gateway_cache_evictions_total", "instance"), legend="{{instance}}")
            ],
        ),
        Panel(
            title="Saved an hour",
            description="What hits and joined calls would have cost at the upstream, at the pace of now.",
            unit="currencyUSD",
            width=12,
            queries=[
                Query(
                    expr=f"3600 * {rate('gateway_cache_saved_cost_usd_total', 'job')}",
                    legend="{{job}}",
                )
            ],
        ),
    ],
)

USAGE = Board(
    uid="gateway-usage",
    title="Gateway / Usage and limits",
    description="Who uses how much of what, what that costs, and what the limits and the cache did about it.",
    rows=[TOTALS, USE, LIMITS, CACHED],
)
