"""The rules of `limits` and which of them weigh on a call: rules in, rows of buckets out."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from typing import Literal
from urllib.parse import quote

from gateway.stores import Bucket, Kind

DIMENSIONS = ("requests", "tokens", "budget", "concurrency")

# What a rule can be kept per, in the order in which a key names them.
SUBJECTS = ("global", "upstream", "model", "group", "user", "end_user")

# How long a budget's state outlasts its period: longer than any clock is wrong.
_PERIOD_SECONDS = {"day": 2 * 86_400.0, "month": 33 * 86_400.0}

# Names longer than this appear in keys as digests.
_MAX_NAME_CHARACTERS = 64

# Which of a call's needs a row is charged with (an index into `limits.Needs`).
ONE, TOKENS, MOST_TOKENS, COST, MOST_COST = range(5)


@dataclass(frozen=True, slots=True)
class Rate:
    """At most `amount` in any window of `window_seconds`."""

    amount: int
    window_seconds: int


@dataclass(frozen=True, slots=True)
class Budget:
    """At most so much money in a calendar day or month, UTC."""

    nanodollars: int
    period: Literal["day", "month"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitRule:
    """One entry of `limits`; a dimension that it leaves empty is left to the rules after it."""

    per: tuple[str, ...]
    match: Mapping[str, str] = field(default_factory=dict)
    requests: tuple[Rate, ...] = ()
    tokens: tuple[Rate, ...] = ()
    budget: tuple[Budget, ...] = ()
    concurrency: int | None = None
    reserve: Literal["expected", "max"] = "expected"
    # How long a call may queue for its turn instead of a refusal.
    wait_seconds: float = 0.0

    def __post_init__(self) -> None:
        """Raise ValueError where two rates of one dimension have the same window."""
        for spans in (
            [rate.window_seconds for rate in self.requests],
            [rate.window_seconds for rate in self.tokens],
            [budget.period for budget in self.budget],
        ):
            if len(set(spans)) < len(spans):
                raise ValueError("two limits of one kind need different windows")

    def covers(self, dimension: str) -> bool:
        """Tell whether the rule says anything about a dimension."""
        return getattr(self, dimension) not in ((), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One limit as it weighs on one call: a bucket, and the words for it."""

    bucket: Bucket
    dimension: str
    # Which of the call's needs is charged.
    need: int
    # The rule's `per`, for labels: "user", "model,user".
    per: str
    # "user alice": for whom it is kept, beside the model; may be empty.
    subject: str
    # "tokens per min (TPM)".
    unit: str
    wait_seconds: float
    # For budgets: when the next period begins, in seconds since 1970; else 0.0.
    renewed_at: float = 0.0


Subject = Mapping[str, str | None]


def decide(
    rules: Sequence[LimitRule], subject: Subject, unknown: frozenset[str]
) -> dict[tuple[str, str], LimitRule]:
    """Return the rule that decides each (`per`, dimension): the first that matches.

    A pair whose decision hangs on something in `unknown` is left out.
    """
    decided: dict[tuple[str, str], LimitRule] = {}
    closed: set[tuple[str, str]] = set()
    for rule in rules:
        matches = _matches(rule, subject, unknown)
        if matches is False:
            continue
        for dimension in DIMENSIONS:
            pair = (per_label(rule), dimension)
            if rule.covers(dimension) and pair not in closed:
                closed.add(pair)
                if matches:
                    decided[pair] = rule
    return decided


def per_label(rule: LimitRule) -> str:
    """Return a rule's `per` as one word, whatever the order it was written in."""
    return ",".join(name for name in SUBJECTS if name in rule.per)


def rows(rule: LimitRule, dimension: str, subject: Subject, now: float) -> Iterator[Row]:
    """Yield a rule's limits of one dimension for one subject; `now` is in seconds since 1970."""
    per = per_label(rule)
    owner = _owner(rule, subject)
    words = _words(rule, subject)
    hard = rule.reserve == "max"

    def row(bucket: Bucket, need: int, unit: str, renewed_at: float = 0.0) -> Row:
        return Row(
            bucket=bucket,
            dimension=dimension,
            need=need,
            per=per,
            subject=words,
            unit=unit,
            wait_seconds=rule.wait_seconds,
            renewed_at=renewed_at,
        )

    match dimension:
        case "requests":
            for rate in rule.requests:
                key = f"requests:{rate.window_seconds}:{owner}"
                bucket = Bucket(key, rate.amount, rate.window_seconds, Kind.COUNT)
                yield row(bucket, ONE, _unit("requests", rate.window_seconds))
        case "tokens":
            for rate in rule.tokens:
                key = f"tokens:{rate.window_seconds}:{owner}"
                bucket = Bucket(key, rate.amount, rate.window_seconds, Kind.RESERVE)
                need = MOST_TOKENS if hard else TOKENS
                yield row(bucket, need, _unit("tokens", rate.window_seconds))
        case "budget":
            for budget in rule.budget:
                begun, renewed = period(budget.period, now)
                key = f"budget:{begun:%Y-%m-%d}:{budget.period}:{owner}"
                lasts = _PERIOD_SECONDS[budget.period]
                bucket = Bucket(key, budget.nanodollars, lasts, Kind.TOTAL)
                need = MOST_COST if hard else COST
                yield row(bucket, need, budget.period, renewed.timestamp())
        case _:
            bucket = Bucket(f"concurrency:{owner}", rule.concurrency or 0, 0, Kind.LEASE)
            yield row(bucket, ONE, "concurrent requests")


def period(name: Literal["day", "month"], now: float) -> tuple[datetime, datetime]:
    """Return when the calendar day or month around `now` began and when the next begins, UTC."""
    begun = datetime.fromtimestamp(now, UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    if name == "day":
        return begun, begun + timedelta(days=1)
    begun = begun.replace(day=1)
    return begun, (begun + timedelta(days=32)).replace(day=1)


def _matches(rule: LimitRule, subject: Subject, unknown: frozenset[str]) -> bool | None:
    """Tell whether a rule concerns a subject; None: that hangs on something unknown."""
    hangs = False
    for name in rule.per:
        if name in unknown:
            hangs = True
        elif name != "global" and subject.get(name) is None:
            return False
    for name, glob in rule.match.items():
        if name in unknown:
            hangs = True
            continue
        value = subject.get(name)
        if value is None or not fnmatchcase(value, glob):
            return False
    return None if hangs else True


def _owner(rule: LimitRule, subject: Subject) -> str:
    """Return the part of a key that says whose it is: ASCII, and the same after a reload.

    A rule's `match` is part of it: two rules of one `per` do not share their counts. An end user is
    one of its key's user.
    """
    names = [name for name in SUBJECTS if name in rule.per and name != "global"]
    if "end_user" in names and "user" not in names:
        names.insert(names.index("end_user"), "user")
    whose = ",".join(_word(subject.get(name) or "") for name in names)
    which = ",".join(f"{name}~{_word(glob)}" for name, glob in sorted(rule.match.items()))
    return f"{per_label(rule)}={whose}:{which}" if which else f"{per_label(rule)}={whose}"


def _word(text: str) -> str:
    if len(text) > _MAX_NAME_CHARACTERS:
        return "sha256-" + hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]
    return quote(text, safe="*", errors="surrogatepass")


def _words(rule: LimitRule, subject: Subject) -> str:
    """Return for whom a limit is kept, as a refusal says it; the model is named there anyhow."""
    named = [name for name in SUBJECTS if name in rule.per and name not in ("global", "model")]
    return " ".join(
        f"{name.replace('_', ' ')} {(subject.get(name) or '')[:_MAX_NAME_CHARACTERS]}"
        for name in named
    )


def _unit(noun: str, window_seconds: int) -> str:
    """Return OpenAI's name for a rate: `tokens per min (TPM)`."""
    word = {1: "sec", 60: "min", 3600: "hour", 86_400: "day"}.get(window_seconds)
    if word is None:
        return f"{noun} per {window_seconds}s"
    letters = f"{noun[0]}P{word[0]}".upper()
    return f"{noun} per {word} ({letters})"
