"""The third board: how the upstreams do, and how the gateway's own process does."""

from dashboards.board import UP, Board, Panel, Query, Row, warning
from dashboards.queries import over, quantiles, rate

UPSTREAM = {"upstream": "$upstream"}
TRIES = "gateway_upstream_requests_total"
# What a try ends in that is the upstream's fault: a 5xx, or a failure's name.
FAILED = "5..|[a-z].*"

UPSTREAMS_ROW = Row(
    title="Upstreams",
    panels=[
        Panel(
            title="Asked in their turn",
            description="Upstreams and models: 0 while one cools down after failures in a row.",
            unit="none",
            thresholds=UP,
            queries=[
                Query(
                    expr='min by (upstream, model) (gateway_upstream_up{upstream=~"$upstream", model=~"$model"})',
                    legend="{{upstream}} {{model}}",
                )
            ],
        ),
        Panel(
            title="Tries by how they ended",
            description="Each try of an upstream: its status, or the failure's name.",
            unit="reqps",
            stacked=True,
            queries=[
                Query(
                    expr=rate(TRIES, "upstream, status", **UPSTREAM),
                    legend="{{upstream}}: {{status}}",
                )
            ],
        ),
        Panel(
            title="Failed tries",
            description="The share of tries that ended in a 5xx or without a reply.",
            unit="percentunit",
            thresholds=warning(0.01, 0.1),
            queries=[
                Query(
                    expr=over(
                        rate(TRIES, "upstream", **UPSTREAM, status=FAILED),
                        rate(TRIES, "upstream", **UPSTREAM),
                    ),
                    legend="{{upstream}}",
                )
            ],
        ),
        Panel(
            title="Further tries",
            description="The same target asked again, and why.",
            unit="reqps",
            stacked=True,
            queries=[
                Query(
                    expr=rate("gateway_upstream_retries_total", "upstream, reason", **UPSTREAM),
                    legend="{{upstream}}: {{reason}}",
                )
            ],
        ),
        Panel(
            title="Fallbacks",
            description="Calls that went on to another target, from which to which.",
            unit="reqps",
            stacked=True,
            queries=[
                Query(
                    expr=rate("gateway_fallbacks_total", "model, from, to", model="$model"),
                    legend="{{model}}: {{from}} to {{to}}",
                )
            ],
        ),
        Panel(
            title="Time to first token by model",
            description="Of streams, the 95th percentile: which model is slow.",
            unit="s",
            thresholds=((None, "green"), (2.5, "red")),
            queries=quantiles(
                "gen_ai_server_time_to_first_token_seconds",
                "gen_ai_provider_name, gen_ai_request_model",
                of=(0.95,),
                legend="{{gen_ai_request_model}} ({{gen_ai_provider_name}})",
                gen_ai_request_model="$model",
            ),
        ),
    ],
)

CLIENTS = Row(
    title="Clients",
    panels=[
        Panel(
            title="In flight by endpoint",
            description="Calls in progress; above `server.max_in_flight` they are shed.",
            unit="short",
            stacked=True,
            queries=[
                Query(expr="sum by (endpoint) (gateway_requests_in_flight)", legend="{{endpoint}}")
            ],
        ),
        Panel(
            title="Shed",
            description="Calls refused at once to protect the others, by the reason.",
            unit="reqps",
            thresholds=warning(0.01, 1),
            queries=[
                Query(expr=rate("gateway_shed_requests_total", "reason"), legend="{{reason}}")
            ],
        ),
        Panel(
            title="Left",
            description="Clients that left before their reply was whole, by the phase.",
            unit="reqps",
            queries=[
                Query(expr=rate("gateway_client_disconnects_total", "phase"), legend="{{phase}}")
            ],
        ),
    ],
)

PARTS = Row(
    title="Store and configuration",
    panels=[
        Panel(
            title="Store",
            description="Whether the store of limits answers; without it limits go by `store.on_failure`.",
            unit="none",
            kind="stat",
            width=6,
            thresholds=UP,
            words={"0": "down", "1": "up"},
            queries=[Query(expr="min by (instance) (gateway_store_up)", legend="{{instance}}")],
        ),
        Panel(
            title="Newest configuration",
            description="0 where a reload failed and the old configuration is in force.",
            unit="none",
            kind="stat",
            width=6,
            thresholds=UP,
            words={"0": "refused", "1": "in use"},
            queries=[Query(expr="gateway_config_last_reload_successful", legend="{{instance}}")],
        ),
        Panel(
            title="Configuration read",
            description="How long ago the configuration in use was read.",
            unit="s",
            kind="stat",
            width=6,
            queries=[
                Query(
                    expr="time() - gateway_config_last_reload_success_timestamp_seconds",
                    legend="{{instance}}",
                )
            ],
        ),
        Panel(
            title="Version",
            description="What runs where.",
            unit="none",
            kind="stat",
            width=6,
            queries=[
                Query(expr="gateway_build_info", legend="{{instance}}: {{version}}, {{python}}")
            ],
        ),
        Panel(
            title="Store errors",
            description="Operations of the store that failed or took too long.",
            unit="ops",
            width=12,
            thresholds=warning(0.01, 1),
            queries=[
                Query(
                    expr=rate("gateway_store_errors_total", "instance, op"),
                    legend="{{instance}}: {{op}}",
                )
            ],
        ),
        Panel(
            title="Reloads",
            description="Reloads of the configuration, by how they ended.",
            unit="short",
            width=12,
            queries=[
                Query(
                    expr="sum by (outcome) (increase(gateway_config_reloads_total[$__rate_interval]))",
                    legend="{{outcome}}",
                )
            ],
        ),
    ],
)

PROCESS = Row(
    title="Process",
    panels=[
        Panel(
            title="Event loop lag",
            description="How late the loop comes to what is due: what everybody waits for.",
            unit="s",
            thresholds=warning(0.05, 0.25),
            queries=quantiles(
                "gateway_event_loop_lag_seconds", "instance", of=(0.5, 0.99), legend="{{instance}}"
            ),
        ),
        Panel(
            title="Own time by endpoint",
            description="What the gateway adds to nine calls of ten; waits for others excluded.",
            unit="s",
            thresholds=warning(0.01, 0.1),
            queries=quantiles(
                "gateway_overhead_seconds", "endpoint", of=(0.9,), legend="{{endpoint}}"
            ),
        ),
        Panel(
            title="Processor",
            description="Cores in use. One process uses one: near 1, run another.",
            unit="short",
            thresholds=warning(0.7, 0.9),
            queries=[
                Query(
                    expr="rate(process_cpu_seconds_total[$__rate_interval]) and on (job, instance) gateway_build_info",
                    legend="{{instance}}",
                )
            ],
        ),
        Panel(
            title="Memory",
            description="Resident memory.",
            unit="bytes",
            queries=[
                Query(
                    expr="process_resident_memory_bytes and on (job, instance) gateway_build_info",
                    legend="{{instance}}",
                )
            ],
        ),
        Panel(
            title="File descriptors",
            description="The share of open ones of those allowed; each client and each upstream connection is one.",
            unit="percentunit",
            thresholds=warning(0.7, 0.9),
            queries=[
                Query(
                    expr="process_open_fds / process_max_fds and on (job, instance) gateway_build_info",
                    legend="{{instance}}",
                )
            ],
        ),
        Panel(
            title="Running for",
            description="Since the process started; a saw means restarts.",
            unit="s",
            queries=[
                Query(
                    expr="time() - process_start_time_seconds and on (job, instance) gateway_build_info",
                    legend="{{instance}}",
                )
            ],
        ),
    ],
)

UPSTREAMS = Board(
    uid="gateway-upstreams",
    title="Gateway / Upstreams and process",
    description="How the upstreams do, what clients got of it, and how the gateway's own process does.",
    rows=[UPSTREAMS_ROW, CLIENTS, PARTS, PROCESS],
)
