"""The ring of totals, and what lies between two of them."""

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.status.history import MAX_POINTS, Bounds, History, Totals, quantile, share

BOUNDS = Bounds(first_token=(0.1, 1.0), own=(0.001,))


def totals(at: float, **counts: Any) -> Totals:
    return Totals(
        at=at, time=1_800_000_000 + at, **{"first_token": [0, 0, 0], "own": [0, 0], **counts}
    )


def test_a_point_is_what_was_added_since_the_one_before() -> None:
    """Calls a second, tokens and money a minute, shares of what ended, quantiles of what took time."""
    history = History(BOUNDS)
    history.add(totals(0, calls=5, failed=1))
    history.add(
        totals(
            10,
            in_flight=3,
            streams=2,
            calls=25,
            failed=2,
            refused=4,
            input_tokens=100,
            output_tokens=50,
            usd=0.5,
            cacheable=4,
            cached=1,
            first_token=[0, 4, 0],
            own=[20, 0],
        )
    )

    assert history.points() == [
        {
            "time": 1_800_000_010,
            "in_flight": 3,
            "streams": 2,
            "calls": 2.0,
            "failed": 0.1,
            "refused": 0.4,
            "input_tokens": 600.0,
            "output_tokens": 300.0,
            "usd": 3.0,
            "failed_share": 0.05,
            "refused_share": 0.2,
            "cached_share": 0.25,
            "first_token_p50": pytest.approx(0.55),
            "first_token_p95": pytest.approx(0.955),
            "own_p50": pytest.approx(0.0005),
            "own_p95": pytest.approx(0.00095),
        }
    ]


def test_ten_minutes_are_kept() -> None:
    """The oldest point makes room for the newest."""
    history = History(BOUNDS)
    for number in range(MAX_POINTS + 20):
        history.add(totals(number * 10.0))

    assert len(history.points()) == MAX_POINTS
    assert [point["time"] for point in history.points(1)] == [
        1_800_000_000 + (MAX_POINTS + 19) * 10
    ]


def test_a_point_is_due_when_ten_seconds_have_passed() -> None:
    """Whoever asks once a second adds one in ten."""
    history = History(BOUNDS)
    assert history.is_due(100.0)

    history.add(totals(100.0))

    assert not history.is_due(109.0)
    assert history.is_due(109.9)


def test_the_past_is_as_old_as_asked_for_or_the_oldest_there_is() -> None:
    """A minute ago is the newest note that is a minute old."""
    history = History(BOUNDS)
    now = totals(100.0)
    assert history.before(now, 60) is now

    for at in (20.0, 30.0, 40.0, 50.0, 95.0):
        history.add(totals(at))

    assert history.before(now, 5).at == 95.0
    assert history.before(now, 60).at == 40.0
    assert history.before(now, 600).at == 20.0


def test_nothing_is_said_of_what_did_not_happen() -> None:
    """No call, no share and no quantile."""
    assert share(0, 0) is None
    assert quantile((0.1,), (0, 0), 0.5) is None


def test_what_lies_beyond_the_bounds_counts_as_the_highest() -> None:
    """As Prometheus has it."""
    assert quantile((0.1, 1.0), (0, 0, 9), 0.5) == 1.0


@given(st.lists(st.integers(0, 1000), min_size=4, max_size=4), st.floats(0.01, 1))
def test_a_quantile_lies_in_the_bucket_that_holds_it(counts: Sequence[int], rank: float) -> None:
    """At least `rank` of the calls took no longer than its bucket's upper bound."""
    bounds = (1.0, 2.0, 3.0)
    found = quantile(bounds, counts, rank)

    if found is None:
        assert sum(counts) == 0
        return
    reached = [bound for bound in bounds if bound >= found]
    assert reached or found == 3.0
    upper = reached[0] if reached else 3.0
    if upper < 3.0 or counts[3] == 0:
        assert sum(counts[: bounds.index(upper) + 1]) >= rank * sum(counts) * (1 - 1e-9)
