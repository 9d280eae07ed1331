"""Which rule decides, and what its limits are called."""

from datetime import UTC, datetime

import pytest

from gateway.limit_rules import DIMENSIONS, Budget, LimitRule, Rate, decide, period, rows
from gateway.stores import Kind

CI = LimitRule(
    per=("user",), match={"user": "ci"}, requests=(Rate(5, 1),), budget=(Budget(1, "day"),)
)
ANY = LimitRule(per=("user",), requests=(Rate(60, 60),), tokens=(Rate(40_000, 60),), concurrency=10)
GPT4 = LimitRule(per=("user",), match={"model": "gpt-4*"}, tokens=(Rate(1000, 60),))
GLOBAL = LimitRule(per=("global",), requests=(Rate(1000, 60),))
GROUP = LimitRule(per=("group",), tokens=(Rate(9, 60),))
END_USER = LimitRule(per=("end_user",), requests=(Rate(3, 60),))
UPSTREAM = LimitRule(per=("upstream",), concurrency=1)
ON_OPENAI = LimitRule(per=("user",), match={"upstream": "openai"}, tokens=(Rate(7, 60),))
NOTHING: frozenset[str] = frozenset()
# 2027-01-15T08:00:00Z
NOW = 1_800_000_000.0


def subject(**known: str) -> dict[str, str | None]:
    """Return what is known of a call."""
    return {"user": "alice", "model": "gpt-4o", **known}


def test_the_first_rule_that_matches_decides_dimension_by_dimension() -> None:
    """What it leaves open, the next one decides."""
    assert decide([CI, ANY], subject(user="ci"), NOTHING) == {
        ("user", "requests"): CI,
        ("user", "budget"): CI,
        ("user", "tokens"): ANY,
        ("user", "concurrency"): ANY,
    }
    assert ("user", "budget") not in decide([CI, ANY], subject(), NOTHING)


def test_rules_of_different_subjects_all_apply() -> None:
    """Each `per` is decided for itself, however its list is written."""
    pair = LimitRule(per=("user", "model"), requests=(Rate(1, 60),))
    twin = LimitRule(per=("model", "user"), requests=(Rate(2, 60),))

    assert decide([ANY, pair, twin, GLOBAL], subject(), NOTHING) == {
        ("user", "requests"): ANY,
        ("user", "tokens"): ANY,
        ("user", "concurrency"): ANY,
        ("model,user", "requests"): pair,
        ("global", "requests"): GLOBAL,
    }


@pytest.mark.parametrize(
    ("known", "matches"),
    [({"model": "gpt-4o"}, True), ({"model": "gpt-3.5"}, False), ({"model": "GPT-4o"}, False)],
)
def test_match_compares_by_globs(known: dict[str, str], matches: bool) -> None:
    """Upper and lower case differ."""
    assert (decide([GPT4], subject(**known), NOTHING) != {}) is matches


def test_what_a_call_does_not_have_matches_nothing() -> None:
    """No end user, no group, no model: such rules do not concern it."""
    assert decide([END_USER, GROUP, GPT4], {"user": "alice"}, NOTHING) == {}
    assert decide([END_USER], subject(end_user="bob"), NOTHING) != {}


def test_what_hangs_on_the_unknown_is_left_open() -> None:
    """A rule that may come first keeps those after it from deciding too soon."""
    early = decide([ON_OPENAI, ANY, UPSTREAM], subject(), frozenset({"upstream"}))
    assert early == {("user", "requests"): ANY, ("user", "concurrency"): ANY}

    late = decide([ON_OPENAI, ANY, UPSTREAM], subject(upstream="openai"), NOTHING)
    assert late[("user", "tokens")] is ON_OPENAI
    assert late[("upstream", "concurrency")] is UPSTREAM
    elsewhere = decide([ON_OPENAI, ANY], subject(upstream="azure"), NOTHING)
    assert elsewhere[("user", "tokens")] is ANY


def test_a_limit_has_a_key_a_kind_and_a_name() -> None:
    """Keys are ASCII, the same after a reload, and say whose they are."""
    rule = LimitRule(
        per=("user",),
        match={"model": "gpt-4*"},
        requests=(Rate(5, 1), Rate(60, 3600)),
        tokens=(Rate(100, 86_400),),
        budget=(Budget(7, "day"), Budget(9, "month")),
        concurrency=2,
        wait_seconds=3,
    )
    known = subject(user="jürgen: a")
    found = [row for what in DIMENSIONS for row in rows(rule, what, known, NOW)]

    whose = "user=j%C3%BCrgen%3A%20a:model~gpt-4*"
    assert [(row.bucket.key, row.bucket.capacity, row.bucket.kind, row.unit) for row in found] == [
        (f"requests:1:{whose}", 5, Kind.COUNT, "requests per sec (RPS)"),
        (f"requests:3600:{whose}", 60, Kind.COUNT, "requests per hour (RPH)"),
        (f"tokens:86400:{whose}", 100, Kind.RESERVE, "tokens per day (TPD)"),
        (f"budget:2027-01-15:day:{whose}", 7, Kind.TOTAL, "day"),
        (f"budget:2027-01-01:month:{whose}", 9, Kind.TOTAL, "month"),
        (f"concurrency:{whose}", 2, Kind.LEASE, "concurrent requests"),
    ]
    assert {row.subject for row in found} == {"user jürgen: a"}
    assert {row.wait_seconds for row in found} == {3}


def test_an_end_user_is_one_of_its_keys_user() -> None:
    """Two apps' customers of one name do not share a limit; long names are shortened."""
    (one,) = rows(END_USER, "requests", subject(end_user="bob"), NOW)
    (other,) = rows(END_USER, "requests", subject(user="eve", end_user="bob"), NOW)
    (long,) = rows(END_USER, "requests", subject(end_user="b" * 10_000), NOW)

    assert one.bucket.key == "requests:60:end_user=alice,bob"
    assert other.bucket.key == "requests:60:end_user=eve,bob"
    assert one.subject == "end user bob"
    assert len(long.bucket.key) < 100
    assert len(long.subject) < 100


def test_names_cannot_pretend_to_be_others() -> None:
    """What separates the parts of a key is escaped in them; half a surrogate pair is no error."""
    pair = LimitRule(per=("user", "model"), requests=(Rate(1, 60),))
    keys = {
        next(rows(pair, "requests", {"user": user, "model": model}, NOW)).bucket.key
        for user, model in (("a,b", "c"), ("a", "b,c"), ("a:x~y", "c"), ("\ud800", "c"))
    }

    assert len(keys) == 4
    assert all(key.isascii() for key in keys)


@pytest.mark.parametrize(
    ("name", "now", "begun", "ended"),
    [
        ("day", "2027-01-15T08:00:00", "2027-01-15", "2027-01-16"),
        ("day", "2027-12-31T23:59:59.9", "2027-12-31", "2028-01-01"),
        ("month", "2027-01-31T08:00:00", "2027-01-01", "2027-02-01"),
        ("month", "2027-12-01T00:00:00", "2027-12-01", "2028-01-01"),
        ("month", "2028-02-29T00:00:00", "2028-02-01", "2028-03-01"),
    ],
)
def test_periods_are_utc_days_and_months(name: str, now: str, begun: str, ended: str) -> None:
    """Whatever the machine's time zone."""
    stamp = datetime.fromisoformat(now).replace(tzinfo=UTC).timestamp()
    assert name in ("day", "month")
    found = period("day" if name == "day" else "month", stamp)

    assert [moment.isoformat() for moment in found] == [
        f"{begun}T00:00:00+00:00",
        f"{ended}T00:00:00+00:00",
    ]


def test_two_limits_of_one_window_contradict_each_other() -> None:
    """Which is an error of the configuration."""
    with pytest.raises(ValueError, match="different windows"):
        LimitRule(per=("user",), requests=(Rate(1, 60), Rate(2, 60)))
    with pytest.raises(ValueError, match="different windows"):
        LimitRule(per=("user",), budget=(Budget(1, "day"), Budget(2, "day")))
