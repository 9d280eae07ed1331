"""How limits, money and stores are written."""

from decimal import Decimal

import pytest

from gateway.config_limit_formats import parse_budget, parse_price, parse_rate, parse_store
from gateway.config_types import BadValueError, BudgetLimit, RateLimit


@pytest.mark.parametrize(
    ("text", "amount", "seconds"),
    [("5/s", 5, 1), ("60/min", 60, 60), ("1000/h", 1000, 3600), ("1000/day", 1000, 86_400)],
)
def test_rates(text: str, amount: int, seconds: int) -> None:
    """So many in any window of a second, a minute, an hour or a day; shown as it was written."""
    rate = parse_rate(text)

    assert rate == RateLimit(amount=amount, window_seconds=seconds, unit=text.partition("/")[2])
    assert str(rate) == text


def test_budgets() -> None:
    """Money by calendar day or month, exact to the last digit."""
    assert parse_budget("5.00/day") == BudgetLimit(usd=Decimal("5.00"), period="day")
    assert str(parse_budget("0.1/month")) == "0.1/month"
    assert parse_price("0.0375") == Decimal("0.0375")


def test_stores() -> None:
    """A store's URL keeps its password to itself."""
    url = parse_store("redis://:secret@127.0.0.1:6379/1")

    assert "secret" not in str(url)
    assert url.reveal() == "redis://:secret@127.0.0.1:6379/1"


@pytest.mark.parametrize("text", ["5", "0/s", "5/x", "-1/s", "5/ s", "1.5/s", "5/minute"])
def test_what_is_no_rate(text: str) -> None:
    """A rate is a whole number above nothing, and a unit."""
    with pytest.raises(BadValueError):
        parse_rate(text)


@pytest.mark.parametrize("text", ["5", "5/week", "-5/day", "1e3/day", "$5/day"])
def test_what_is_no_budget(text: str) -> None:
    """A budget is an amount, and day or month."""
    with pytest.raises(BadValueError):
        parse_budget(text)


@pytest.mark.parametrize("text", ["redis", "http://x", "file://relative", "memory", ""])
def test_what_is_no_store(text: str) -> None:
    """A store's URL is of a kind that there is."""
    with pytest.raises(BadValueError):
        parse_store(text)
