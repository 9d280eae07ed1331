"""What tokens cost: whole numbers, exact."""

from decimal import Decimal

import pytest

from gateway.prices import Price, nanodollars, usd
from gateway.types import Usage

MINI = Price.from_usd(input=Decimal("0.15"), cached_input=Decimal("0.075"), output=Decimal("0.6"))


def test_a_price_is_kept_in_picodollars_per_token() -> None:
    """The finest price in use, half a cent per hundred million, is a whole number."""
    assert Price(input=150_000, cached_input=75_000, output=600_000, request=0) == MINI
    fine = Price.from_usd(
        input=Decimal("0.0375"), output=Decimal("0.00005"), request=Decimal("0.01")
    )
    assert fine == Price(input=37_500, cached_input=37_500, output=50, request=10**10)


def test_a_call_costs_its_tokens_cached_ones_apart() -> None:
    """1,000 fresh and 200 cached tokens of input, 500 of output: 0.465 thousandths of a dollar."""
    usage = Usage(input_tokens=1200, cached_input_tokens=200, output_tokens=500)

    assert MINI.cost(usage) == 1000 * 150 + 200 * 75 + 500 * 600 == 465_000


def test_a_fraction_of_a_nanodollar_is_rounded_up() -> None:
    """Nothing that has a price is free."""
    price = Price(input=1, cached_input=1, output=1)

    assert price.cost(Usage(input_tokens=1)) == 1
    assert price.cost(Usage(input_tokens=1001)) == 2
    assert price.cost(Usage()) == 0


def test_a_bound_is_never_below_the_cost() -> None:
    """However much of the input turns out to be cached, and whichever is dearer."""
    odd = Price(input=10_000, cached_input=20_000, output=5_000, request=7_000_000)
    for price in (MINI, odd):
        for cached in (0, 50, 100):
            usage = Usage(input_tokens=100, cached_input_tokens=cached, output_tokens=30)
            assert price.cost(usage) <= price.bound(100, 30)


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        ("5", "$5.00"),
        ("0.0042", "$0.0042"),
        ("4.98", "$4.98"),
        ("1234.5", "$1234.50"),
        ("0", "$0.00"),
    ],
)
def test_money_is_written_to_be_read(amount: str, text: str) -> None:
    """With cents at least."""
    assert usd(nanodollars(Decimal(amount))) == text
