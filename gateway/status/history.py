"""What the counters came to in the last minutes: a ring of totals, and what lies between two of them. No I/O."""

import math
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

# A point of a chart covers this long, and so many of them are kept: ten minutes.
POINT_SECONDS = 10.0
MAX_POINTS = 60

Point = Mapping[str, float | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """All counters at one moment, added up over their labels."""

    # Monotonic seconds, and seconds since 1970.
    at: float
    time: float
    # How many there were at that moment.
    in_flight: int = 0
    streams: int = 0
    # Calls that ended; those that failed (5xx) and those that were refused (4xx) among them.
    calls: int = 0
    failed: int = 0
    refused: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    usd: float = 0.0
    # Calls that the cache looked for, and those that it answered.
    cacheable: int = 0
    cached: int = 0
    # How many calls fell into each bucket of time: to the first token, and the gateway's own.
    first_token: Sequence[int] = ()
    own: Sequence[int] = ()
    # Upstream to how often it was asked, and how often it failed.
    upstreams: Mapping[str, tuple[int, int]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """The upper bounds of the buckets of time, in seconds."""

    first_token: Sequence[float]
    own: Sequence[float]


class History:
    """The totals of the last ten minutes, oldest first."""

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._totals: deque[Totals] = deque(maxlen=MAX_POINTS + 1)

    def is_due(self, now: float) -> bool:
        """Return whether the last totals are as old as a point is long."""
        # Half a second early rather than a second late: whoever asks comes once a second.
        return not self._totals or now - self._totals[-1].at >= POINT_SECONDS - 0.5

    def add(self, totals: Totals) -> None:
        """Keep the totals of now; the oldest are forgotten."""
        self._totals.append(totals)

    def before(self, now: Totals, seconds: float) -> Totals:
        """Return the newest totals that are `seconds` old, or the oldest there are."""
        old = (kept for kept in reversed(self._totals) if now.at - kept.at >= seconds)
        return next(old, self._totals[0] if self._totals else now)

    def points(self, last: int = MAX_POINTS) -> Sequence[Point]:
        """Return the last points of the charts, oldest first."""
        return [self._point(*pair) for pair in pairwise(list(self._totals)[-last - 1 :])]

    def times(self, then: Totals, now: Totals) -> dict[str, float | None]:
        """Return medians and 95th percentiles of the calls between two totals, in seconds; None: there was none."""
        found: dict[str, float | None] = {}
        for name in ("first_token", "own"):
            bounds = getattr(self._bounds, name)
            counts = _difference(getattr(then, name), getattr(now, name))
            found[f"{name}_p50"] = quantile(bounds, counts, 0.5)
            found[f"{name}_p95"] = quantile(bounds, counts, 0.95)
        return found

    def _point(self, then: Totals, now: Totals) -> Point:
        seconds = max(now.at - then.at, 1e-3)

        def per(unit_seconds: float, of: Callable[[Totals], float]) -> float:
            return (of(now) - of(then)) * unit_seconds / seconds

        return {
            "time": now.time,
            "in_flight": now.in_flight,
            "streams": now.streams,
            "calls": per(1, lambda t: t.calls),
            "failed": per(1, lambda t: t.failed),
            "refused": per(1, lambda t: t.refused),
            "input_tokens": per(60, lambda t: t.input_tokens),
            "output_tokens": per(60, lambda t: t.output_tokens),
            "usd": per(60, lambda t: t.usd),
            "failed_share": share(now.failed - then.failed, now.calls - then.calls),
            "refused_share": share(now.refused - then.refused, now.calls - then.calls),
            "cached_share": share(now.cached - then.cached, now.cacheable - then.cacheable),
            **self.times(then, now),
        }


def share(part: float, whole: float) -> float | None:
    """Return a part of a whole, from 0 to 1; None: there is no whole."""
    return part / whole if whole else None


def quantile(bounds: Sequence[float], counts: Sequence[int], rank: float) -> float | None:
    """Return a quantile as Prometheus's `histogram_quantile` estimates it; None: nothing was counted.

    `counts` has one bucket more than `bounds`: what lies above them counts as the highest bound.
    """
    wanted = rank * sum(counts)
    if not wanted:
        return None
    below, lower = 0, 0.0
    for bound, count in zip((*bounds, math.inf), counts, strict=True):
        if below + count >= wanted:
            return (
                lower if bound == math.inf else lower + (bound - lower) * (wanted - below) / count
            )
        below, lower = below + count, bound
    return lower


def _difference(then: Sequence[int], now: Sequence[int]) -> Sequence[int]:
    return [after - before for before, after in zip(then, now, strict=True)] if then else now
