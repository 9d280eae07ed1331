"""What the status page shows, read from the counters that /metrics shows and from the calls in flight. No I/O."""

from collections import Counter as Tally
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field

from gateway import __version__
from gateway.clock import Clock
from gateway.metering import Meter
from gateway.metrics import Metrics
from gateway.status.calls import LastCalls, short
from gateway.status.history import MAX_POINTS, POINT_SECONDS, Bounds, History, Totals, share

# Users beside their limits: those that are nearest to one; the others are counted.
MAX_USERS = 20
# Over how long "now" is an average, at least.
NOW_SECONDS = 5.0
MINUTE_SECONDS = 60.0
_INPUT = frozenset({"input", "cached_input", "audio_input"})
# What the cache answered, and what it looked for: a bypass is neither.
_CACHED = frozenset({"hit", "collapsed"})
_LOOKED_FOR = _CACHED | {"miss"}


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """What the page says of the configuration."""

    # Where clients call, whether they need a key, and a model's name that one of them could ask for.
    base_url: str = ""
    needs_key: bool = False
    example_model: str = ""
    # Upstream to where it is.
    upstreams: Mapping[str, str] = field(default_factory=dict)
    # Whether there are limits, and a cache.
    limits: bool = False
    cache: bool = False


@dataclass(slots=True)
class UserSums:
    """What one user came to."""

    calls: int = 0
    tokens: int = 0
    usd: float = 0.0


class StatusBoard:
    """The figures of one running gateway."""

    def __init__(self, meter: Meter, clock: Clock, trouble: Callable[[], str | None]) -> None:
        """`trouble` says what is wrong with the gateway; None: nothing."""
        self.about = About()
        self._trouble = trouble
        self._meter = meter
        self._metrics = meter.metrics
        self._clock = clock
        self._started = clock.time()
        self._calls = LastCalls()
        self._told_calls = 0
        self._history = History(
            Bounds(first_token=self._metrics.first_token.bounds, own=self._metrics.overhead.bounds)
        )
        meter.show = self._calls.note

    def sample(self) -> None:
        """Note the counters of now where the last note is old enough."""
        if self._history.is_due(self._clock.monotonic()):
            self._history.add(self._read()[0])

    def whole(self) -> Mapping[str, object]:
        """Return all there is, for a page that was just opened."""
        about = self.about
        return {
            "version": __version__,
            "started": self._started,
            "base_url": about.base_url,
            "needs_key": about.needs_key,
            "example_model": about.example_model,
            "limits": about.limits,
            "cache": about.cache,
            "point_seconds": POINT_SECONDS,
            "max_points": MAX_POINTS,
            "points": self._history.points(),
            "calls": self._calls.since(0),
            **self._figures(),
        }

    def news(self) -> Mapping[str, object]:
        """Return the figures of now, and what was added since it was asked last."""
        calls = self._calls.since(self._told_calls)
        self._told_calls = self._calls.count
        # The last point is told until there is a newer one: a page knows those that it has.
        return {"points": self._history.points(1), "calls": calls, **self._figures()}

    def _figures(self) -> Mapping[str, object]:
        now, users = self._read()
        lately = self._history.before(now, NOW_SECONDS)
        minute = self._history.before(now, MINUTE_SECONDS)
        begun = self._history.before(now, MAX_POINTS * POINT_SECONDS)
        seconds = max(now.at - lately.at, 1.0)
        return {
            "time": now.time,
            "trouble": self._trouble(),
            "in_flight": now.in_flight,
            "streams": now.streams,
            "calls_per_second": (now.calls - lately.calls) / seconds,
            "calls_ever": now.calls,
            "input_tokens": now.input_tokens - minute.input_tokens,
            "output_tokens": now.output_tokens - minute.output_tokens,
            "usd": now.usd - minute.usd,
            "usd_ever": now.usd,
            "calls_lately": now.calls - begun.calls,
            "failed_share": share(now.failed - begun.failed, now.calls - begun.calls),
            "refused_share": share(now.refused - begun.refused, now.calls - begun.calls),
            "cached_share": share(now.cached - begun.cached, now.cacheable - begun.cacheable),
            "cache_bytes": self._metrics.cache_bytes.values.get((), 0),
            **self._history.times(begun, now),
            "upstreams": self._upstreams(begun, now),
            **self._users(users),
        }

    def _read(self) -> tuple[Totals, Mapping[str, UserSums]]:
        """Return all counters, and those of each user: the many series are gone through once."""
        metrics = self._metrics
        users: defaultdict[str, UserSums] = defaultdict(UserSums)
        calls, failed, refused = _count_calls(metrics, users)
        input_tokens, output_tokens = _count_tokens(metrics, users)
        for (user, _), spent in metrics.cost.values.items():
            users[user].usd += spent
        outcomes = metrics.cache_requests.values
        totals = Totals(
            at=self._clock.monotonic(),
            time=self._clock.time(),
            in_flight=self._meter.in_flight,
            streams=int(metrics.streams.values[()]),
            calls=calls,
            failed=failed,
            refused=refused,
            input_tokens=input_tokens,
            output_tokens=output_tokens,
            usd=sum(user.usd for user in users.values()),
            cacheable=int(sum(outcomes.get((kind,), 0) for kind in _LOOKED_FOR)),
            cached=int(sum(outcomes.get((kind,), 0) for kind in _CACHED)),
            first_token=metrics.first_token.counts(),
            own=metrics.overhead.counts(),
            upstreams=_asked(metrics),
        )
        return totals, users

    def _upstreams(self, begun: Totals, now: Totals) -> Sequence[Mapping[str, object]]:
        """Return what is known of each configured upstream; what it was asked, in the last minutes."""
        open_calls = Tally(
            record.target.upstream for record in self._meter.open.values() if record.target
        )
        cooling: dict[str, list[str]] = {}
        for (upstream, model), up in self._metrics.upstream_up.values.items():
            if not up:
                cooling.setdefault(upstream, []).append(short(model) or "")
        shown = []
        for name, where in self.about.upstreams.items():
            asked, failed = now.upstreams.get(name, (0, 0))
            asked_before, failed_before = begun.upstreams.get(name, (0, 0))
            shown.append(
                {
                    "name": short(name),
                    "where": where,
                    "cooling": cooling.get(name, []),
                    "in_flight": open_calls[name],
                    "asked": asked - asked_before,
                    "failed": failed - failed_before,
                }
            )
        return shown

    def _users(self, sums: Mapping[str, UserSums]) -> Mapping[str, object]:
        """Return users and their limits, those nearest to one first, and how many more there are."""
        limits: dict[str, list[tuple[float, str, str]]] = {}
        for (user, per, dimension), used in self._metrics.limit_used.values.items():
            limits.setdefault(user, []).append((used, dimension, per))

        def nearness(user: str) -> tuple[float, int]:
            return max(limits.get(user, [(0.0, "", "")]))[0], sums.get(user, UserSums()).calls

        users = sorted(sums.keys() | limits.keys(), key=nearness, reverse=True)
        shown = [
            {
                "name": short(user),
                **asdict(sums.get(user, UserSums())),
                "limits": [
                    {"dimension": dimension, "per": per, "used": used}
                    for used, dimension, per in sorted(limits.get(user, ()), reverse=True)
                ],
            }
            for user in users[:MAX_USERS]
        ]
        return {"users": shown, "more_users": max(0, len(users) - MAX_USERS)}


def _count_calls(metrics: Metrics, users: Mapping[str, UserSums]) -> tuple[int, int, int]:
    """Return how many calls ended, failed and were refused; add them to their users'."""
    calls = failed = refused = 0
    for (_, _, _, user, status, _), number in metrics.requests.values.items():
        count = int(number)
        users[user].calls += count
        calls += count
        if status >= "500":
            failed += count
        elif "400" <= status < "499":
            refused += count
    return calls, failed, refused


def _count_tokens(metrics: Metrics, users: Mapping[str, UserSums]) -> tuple[int, int]:
    """Return how many tokens went in and came out; add them to their users'."""
    taken = given = 0
    for (user, _, kind, _), number in metrics.tokens.values.items():
        count = int(number)
        users[user].tokens += count
        if kind in _INPUT:
            taken += count
        else:
            given += count
    return taken, given


def _asked(metrics: Metrics) -> Mapping[str, tuple[int, int]]:
    """Return how often each upstream was asked, and how often it gave no answer or failed."""
    found: dict[str, tuple[int, int]] = {}
    for (upstream, status), count in metrics.upstream_requests.values.items():
        asked, failed = found.get(upstream, (0, 0))
        # What is no status is the name of a failure.
        bad = not status.isdigit() or status >= "500"
        found[upstream] = (asked + int(count), failed + int(count) * bad)
    return found
