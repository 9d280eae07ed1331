"""Which limits weigh on which kind of call."""

from gateway.limit_plans import Plans
from gateway.limit_rules import Budget, LimitRule, Rate
from gateway.stores import Decision
from gateway.stores.memory import MemoryStore
from gateway.types import User
from tests.support.clock import FakeClock
from tests.support.limiting import ALICE, call

USER = LimitRule(per=("user",), requests=(Rate(10, 60),), tokens=(Rate(100, 60),), concurrency=2)
MODEL = LimitRule(per=("model",), requests=(Rate(20, 60),))
MONEY = LimitRule(per=("global",), budget=(Budget(1000, "day"), Budget(5000, "month")))
UPSTREAM = LimitRule(per=("upstream",), concurrency=3)


def names(found: object) -> list[str]:
    """Return the keys of a plan's rows."""
    rows = getattr(found, "rows", ())
    return [row.bucket.key for row in rows]


def test_a_plan_is_worked_out_once() -> None:
    """Calls of one kind share it; end users make kinds only where a rule knows them."""
    plans = Plans([USER, MODEL], FakeClock())

    assert plans.for_call(ALICE, call(end_user="x")) is plans.for_call(ALICE, call(end_user="y"))
    assert names(plans.for_call(ALICE, call())) == [
        "requests:60:user=alice",
        "tokens:60:user=alice",
        "concurrency:user=alice",
        "requests:60:model=gpt-4o",
    ]
    by_name = Plans([LimitRule(per=("end_user",), requests=(Rate(1, 60),))], FakeClock())
    assert names(by_name.for_call(ALICE, call(end_user="x"))) == ["requests:60:end_user=alice,x"]
    assert names(by_name.for_call(ALICE, call())) == []


def test_a_shared_reply_weighs_on_rates_alone() -> None:
    """A stored reply holds no place and spends no money."""
    plan = Plans([USER, MONEY], FakeClock()).for_call(ALICE, call())

    assert names(plan.shared) == ["requests:60:user=alice", "tokens:60:user=alice"]


def test_what_needs_no_body_is_known_before_it() -> None:
    """A model's limit is not, nor a user's behind a rule that looks at the model."""
    assert names(Plans([USER, MODEL], FakeClock()).for_user(ALICE)) == [
        "requests:60:user=alice",
        "tokens:60:user=alice",
        "concurrency:user=alice",
    ]
    picky = LimitRule(per=("user",), match={"model": "o*"}, requests=(Rate(1, 60),))
    assert names(Plans([picky, USER], FakeClock()).for_user(ALICE)) == [
        "tokens:60:user=alice",
        "concurrency:user=alice",
    ]


def test_an_upstreams_limits_come_with_the_upstream() -> None:
    """And only those that were not decided before."""
    plans = Plans([USER, UPSTREAM], FakeClock())

    assert names(plans.for_upstream(ALICE, call(), "openai")) == ["concurrency:upstream=openai"]
    assert Plans([USER], FakeClock()).for_upstream(ALICE, call(), "openai") is None


def test_budgets_move_on_with_the_calendar() -> None:
    """At midnight, UTC, of the wall clock; a wall clock set back returns to the day before."""
    clock = FakeClock()  # 2027-01-15T08:00:00Z
    plans = Plans([MONEY], clock)
    first = ["budget:2027-01-15:day:global=", "budget:2027-01-01:month:global="]
    assert names(plans.for_call(ALICE, call())) == first

    clock.step(16 * 3600)
    assert names(plans.for_call(ALICE, call()))[0] == "budget:2027-01-16:day:global="
    clock.step(-1)
    assert names(plans.for_call(ALICE, call())) == first
    clock.step(17 * 86_400)
    assert names(plans.for_call(ALICE, call())) == [
        "budget:2027-02-01:day:global=",
        "budget:2027-02-01:month:global=",
    ]


def test_users_without_configuration_share_a_label() -> None:
    """What metrics show is bounded."""
    plans = Plans([USER], FakeClock())
    stranger = User(name="stranger", configured=False)

    assert plans.for_call(ALICE, call()).user == "alice"
    assert plans.for_call(stranger, call()).allowed[0] == ("other", "user", "requests", "allowed")


def test_the_number_of_plans_is_bounded() -> None:
    """However many end users come."""
    plans = Plans([LimitRule(per=("end_user",), requests=(Rate(1, 60),))], FakeClock())
    for number in range(10_050):
        plans.for_call(ALICE, call(end_user=str(number)))

    assert len(plans) <= 10_000


def test_used_ratios_fall_to_zero() -> None:
    """Of several windows the fullest counts; of what is as good as new, nothing is in use."""
    clock = FakeClock()
    plans = Plans([USER, MONEY], clock)
    plan = plans.for_call(ALICE, call())
    charges = [(row.bucket, 1) for row in plan.rows]
    decision = Decision(MemoryStore(clock), charges, [0] * 5, [4, 25, 1, 100, 4000])
    decision.resets = [60.0, 60.0, 0.0, 0.0, 0.0]
    plan.last = (decision, clock.monotonic())

    assert plans.used_ratios({"concurrency:user=alice": 1}) == {
        ("alice", "user", "requests"): 0.4,
        ("alice", "user", "tokens"): 0.25,
        ("alice", "user", "concurrency"): 0.5,
        ("alice", "global", "budget"): 0.8,
    }
    clock.advance(60)
    assert plans.used_ratios({}) == {
        ("alice", "user", "requests"): 0.0,
        ("alice", "user", "tokens"): 0.0,
        ("alice", "user", "concurrency"): 0.0,
        ("alice", "global", "budget"): 0.8,
    }
    clock.advance(40 * 86_400)
    assert set(plans.used_ratios({}).values()) == {0.0}
