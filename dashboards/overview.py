"""The first board: is the service as good as promised, and what is going on."""

from dashboards.board import UP, Board, Panel, Query, Row, Thresholds, warning
from dashboards.queries import over, quantiles, rate

# What rules/recording.yml measures against.
AVAILABILITY = 0.999
FIRST_TOKENS_IN_TIME = 0.95
FIRST_TOKEN_SECONDS = 2.5

ALL = {"model": "$model", "user": "$user", "upstream": "$upstream"}
MODEL = {"gen_ai_request_model": "$model"}
REQUESTS = "gateway_requests_total"
BUDGET_LEFT: Thresholds = ((None, "red"), (0, "orange"), (0.25, "green"))
BURN = warning(1, 6)


def _tiles(name: str, series: str, target: float, meaning: str) -> list[Panel]:
    budget = f"{1 - target:g}"
    return [
        Panel(
            title=f"{name}, 30 days",
            description=f"{meaning} Promised: {target:.1%}.",
            unit="percentunit",
            kind="stat",
            width=4,
            decimals=3,
            thresholds=((None, "red"), (target, "green")),
            queries=[Query(expr=f"1 - {series}:ratio_rate30d", legend="{{job}}")],
        ),
        Panel(
            title=f"{name}: budget left",
            description="How much of what 30 days may miss is left; below 0 the promise is broken.",
            unit="percentunit",
            kind="stat",
            width=4,
            decimals=1,
            thresholds=BUDGET_LEFT,
            queries=[Query(expr=f"1 - {series}:ratio_rate30d / {budget}", legend="{{job}}")],
        ),
        Panel(
            title=f"{name}: burn rate",
            description="How many times too fast the last hour spent the budget: 1 spends it in 30 days, 14.4 in 2.",
            unit="none",
            kind="stat",
            width=4,
            decimals=2,
            thresholds=BURN,
            queries=[Query(expr=f"{series}:ratio_rate1h / {budget}", legend="{{job}}")],
        ),
    ]


def _burning(name: str, series: str, target: float) -> Panel:
    return Panel(
        title=f"{name}: burn rates",
        description="What the alerts watch: 14.4 over 1 h or 6 over 6 h pages, 1 over 3 days makes a ticket.",
        unit="none",
        width=12,
        thresholds=BURN,
        queries=[
            Query(
                expr=f"{series}:ratio_rate{window} / {1 - target:g}", legend=f"{window} {{{{job}}}}"
            )
            for window in ("1h", "6h", "3d")
        ],
    )


LEVELS = Row(
    title="What was promised",
    panels=[
        *_tiles(
            "Availability",
            "job:gateway_availability_errors",
            AVAILABILITY,
            "Calls that did not end in a 5xx, of all that were not the caller's own mistake (4xx).",
        ),
        *_tiles(
            "First tokens",
            "job:gateway_first_tokens_late",
            FIRST_TOKENS_IN_TIME,
            f"Streams whose first token came within {FIRST_TOKEN_SECONDS} s.",
        ),
    ],
)

NOW = Row(
    title="Now",
    panels=[
        Panel(
            title="Calls",
            description="Calls that ended, a second.",
            unit="reqps",
            kind="stat",
            width=4,
            queries=[Query(expr=f"sum({rate(REQUESTS, 'job', **ALL)})", legend="calls")],
        ),
        Panel(
            title="Failing",
            description="The share of calls that ended in a 5xx, the upstream's own included.",
            unit="percentunit",
            kind="stat",
            width=4,
            decimals=2,
            thresholds=warning(0.001, 0.01),
            queries=[
                Query(
                    expr=over(
                        rate(REQUESTS, "job", **ALL, status="5.."), rate(REQUESTS, "job", **ALL)
                    ),
                    legend="{{job}}",
                )
            ],
        ),
        Panel(
            title="In flight",
            description="Calls in progress, streams among them.",
            unit="short",
            kind="stat",
            width=4,
            queries=[
                Query(expr="sum(gateway_requests_in_flight)", legend="calls"),
                Query(expr="sum(gateway_streams_in_flight)", legend="streams"),
            ],
        ),
        Panel(
            title="Alerts",
            description="Alerts of the gateway that fire now; rules/alerts.yml.",
            unit="short",
            kind="stat",
            width=4,
            thresholds=warning(1, 1),
            queries=[
                Query(
                    expr='count(ALERTS{alertname=~"Gateway.+", alertstate="firing"}) or vector(0)',
                    legend="firing",
                )
            ],
        ),
        Panel(
            title="Configuration",
            description="Whether the newest configuration is in use; the log names the line that is wrong.",
            unit="none",
            kind="stat",
            width=4,
            thresholds=UP,
            words={"0": "old one", "1": "in use"},
            queries=[
                Query(expr="min by (job) (gateway_config_last_reload_successful)", legend="{{job}}")
            ],
        ),
        Panel(
            title="Running",
            description="How many gateways run which version on which Python.",
            unit="short",
            kind="stat",
            width=4,
            queries=[
                Query(
                    expr="count by (version, python) (gateway_build_info)",
                    legend="{{version}} on {{python}}",
                )
            ],
        ),
    ],
)

CALLS = Row(
    title="Calls",
    panels=[
        Panel(
            title="Calls by status",
            description="What clients saw; 499: the client left before its reply was whole.",
            unit="reqps",
            stacked=True,
            queries=[Query(expr=rate(REQUESTS, "status", **ALL), legend="{{status}}")],
        ),
        Panel(
            title="Calls by endpoint",
            description="Calls that ended, by what was asked; paths that the gateway does not know are `other`.",
            unit="reqps",
            stacked=True,
            queries=[Query(expr=rate(REQUESTS, "endpoint", **ALL), legend="{{endpoint}}")],
        ),
        Panel(
            title="Refusals and failures by code",
            description="The code of the error that clients read, in calls that the gateway itself refused or failed.",
            unit="reqps",
            stacked=True,
            queries=[
                Query(
                    expr=rate(REQUESTS, "error_type", **ALL, error_type=".+"),
                    legend="{{error_type}}",
                )
            ],
        ),
    ],
)

SPEED = Row(
    title="Speed",
    panels=[
        Panel(
            title="Time to first token",
            description="From the request's arrival to the first byte of a stream's first event; 2.5 s is the promise.",
            unit="s",
            thresholds=((None, "green"), (FIRST_TOKEN_SECONDS, "red")),
            width=6,
            queries=quantiles(
                "gen_ai_server_time_to_first_token_seconds", of=(0.5, 0.95, 0.99), **MODEL
            ),
        ),
        Panel(
            title="Time for each output token",
            description="The pace of streams after their first token.",
            unit="s",
            width=6,
            queries=quantiles(
                "gen_ai_server_time_per_output_token_seconds", of=(0.5, 0.95), **MODEL
            ),
        ),
        Panel(
            title="Duration of calls",
            description="From the request's arrival to the end of its reply.",
            unit="s",
            width=6,
            queries=quantiles(
                "gen_ai_server_request_duration_seconds", of=(0.5, 0.95, 0.99), **MODEL
            ),
        ),
        Panel(
            title="The gateway's own time",
            description="What the gateway adds to a call; waits for the upstream and the client excluded.",
            unit="s",
            width=6,
            thresholds=((None, "green"), (0.01, "orange"), (0.1, "red")),
            queries=quantiles("gateway_overhead_seconds", of=(0.5, 0.99)),
        ),
    ],
)

OVERVIEW = Board(
    uid="gateway-overview",
    title="Gateway / Overview",
    description="Is the gateway as good as promised, and what is going on. The tiles need rules/recording.yml.",
    rows=[
        LEVELS,
        NOW,
        CALLS,
        SPEED,
        Row(
            title="Budgets",
            panels=[
                _burning("Availability", "job:gateway_availability_errors", AVAILABILITY),
                _burning("First tokens", "job:gateway_first_tokens_late", FIRST_TOKENS_IN_TIME),
            ],
        ),
    ],
)
