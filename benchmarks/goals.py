"""What the gateway wants to reach, and in which figures a peer is ahead of it."""

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.results import Results

OWN = "gateway"
NGINX = "nginx"
BARE = "aiohttp pass-through"


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """One figure of the gateway, and the limit that it is to stay within."""

    name: str
    wanted: str
    limit: float
    value: Callable[[Results], float | None]
    show: Callable[[float], str]
    # The limit is the least, not the most.
    at_least: bool = False


def _times(value: float) -> str:
    return f"{value:.2f} ×"


def _ratio(figure: str, to: str) -> Callable[[Results], float | None]:
    return lambda found: found.ratio(figure, OWN, to)


def _median(figure: str) -> Callable[[Results], float | None]:
    return lambda found: found.median(figure, OWN)


def _added_ratio(figure: str) -> Callable[[Results], float | None]:
    def value(found: Results) -> float | None:
        own, nginx = found.added(figure, OWN), found.added(figure, NGINX)
        return None if own is None or not nginx else own / nginx

    return value


def _redis(found: Results) -> float | None:
    figure = "0.5 KB, cpu"
    with_redis, without = (
        found.median(figure, "gateway, limits in Redis"),
        found.median(figure, OWN),
    )
    return None if with_redis is None or without is None else with_redis - without


def _beside(found: Results) -> float | None:
    crowded = found.median("small calls beside 45,000 tokens, p99", OWN)
    alone = found.median("small calls alone, p99", OWN)
    return None if crowded is None or not alone else crowded / alone


def _size(found: Results) -> float | None:
    return next((one.size_mb for one in found.targets if one.name == OWN), None)


def _packages(found: Results) -> float | None:
    return next((one.packages for one in found.targets if one.name == OWN), None)


def _cpu(case: str, limit: float, to: str = NGINX) -> Goal:
    unit = "a chunk" if "streams" in case else "a request"
    return Goal(
        name=f"CPU {unit}, {case}",
        wanted=f"≤ {limit} × {to}",
        limit=limit,
        value=_ratio(f"{case}, cpu", to),
        show=_times,
    )


def _most(name: str, figure: str, limit: float, unit: str, form: str = "{:.1f}") -> Goal:
    return Goal(
        name=name,
        wanted=f"≤ {limit:g} {unit}",
        limit=limit,
        value=_median(figure),
        show=lambda value: f"{form.format(value)} {unit}",
    )


GOALS = (
    _cpu("0.5 KB", 4.0),
    _cpu("0.5 KB", 0.5, BARE),
    _cpu("10 KB, 20 turns", 4.0),
    _cpu("20 streams", 1.2),
    _cpu("1,000 streams", 1.2),
    Goal(
        name="streams held at 20 chunks/s, p99 delay below 100 ms",
        wanted="≥ 2,000",
        limit=2_000,
        value=_median("streams held"),
        show="{:,.0f}".format,
        at_least=True,
    ),
    _cpu("0.5 KB, asked again", 1.4),
    *(
        Goal(
            name=f"added p50, {how}",
            wanted=f"≤ 1.5 × {NGINX}'s",
            limit=1.5,
            value=_added_ratio(f"{how}, p50"),
            show=_times,
        )
        for how in ("one at a time", "at 30/s")
    ),
    _most("memory per open stream", "memory per stream", 16, "KiB"),
    _most("idle memory", "idle memory", 130, "MiB", "{:.0f}"),
    _most("start to first answer", "start to first answer", 0.9, "s", "{:.2f}"),
    Goal(name="installed", wanted="≤ 45 MB", limit=45, value=_size, show="{:.1f} MB".format),
    Goal(name="packages", wanted="≤ 25", limit=25, value=_packages, show="{:.0f}".format),
    _most("longest wait beside 2 MB of malice", "longest wait beside 2 MB", 10, "ms"),
    Goal(
        name="p99 of small calls beside prompts of 45,000 tokens",
        wanted="≤ 2 × alone",
        limit=2,
        value=_beside,
        show=_times,
    ),
    _most("longest wait beside a scrape of 10,000 series", "longest wait beside a scrape", 5, "ms"),
    Goal(
        name="CPU that limits in Redis add to a request, 32 in flight",
        wanted="≤ 15 µs",
        limit=15,
        value=_redis,
        show="{:.1f} µs".format,
    ),
)

# In which peers are compared: the less the better.
COMPARED = (
    *(f"{case}, cpu" for case in ("0.5 KB", "10 KB, 20 turns", "200 KB", "200 KB, unseen", "2 MB")),
    *(f"{case}, cpu" for case in ("20 streams", "1,000 streams")),
    "one at a time, p50",
    "at 30/s, p50",
    "first event, p50",
    "memory per stream",
    "start to first answer",
)


def behind(found: Results) -> list[tuple[str, str, list[tuple[str, str]]]]:
    """Return the figures in which a peer is ahead: figure, the gateway's value, and who has which less."""
    ahead = []
    peers = [one.name for one in found.targets if one.peer]
    for figure in COMPARED:
        # As the tables have it: latency less what the upstream takes itself.
        told = found.added if figure.endswith("p50") else found.median
        own = told(figure, OWN)
        if own is None:
            continue
        values = [(name, told(figure, name)) for name in peers]
        better = [(name, _short(value)) for name, value in values if value and value < own]
        if better:
            ahead.append((figure, _short(own), better))
    return ahead


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
