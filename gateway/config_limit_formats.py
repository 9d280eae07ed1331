"""How limits, money and stores are written as text, and the types that carry them: more of `config_formats`."""

import re
from decimal import Decimal
from typing import Annotated, Literal

from gateway.config_types import BadValueError, BudgetLimit, Format, RateLimit, SecretUrl

_RATE = re.compile(r"([0-9]{1,12})/(s|min|h|day)")
_WINDOW_SECONDS = {"s": 1, "min": 60, "h": 3600, "day": 86_400}
_BUDGET = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,6})?)/(day|month)")
_PRICE = re.compile(r"[0-9]{1,6}(?:\.[0-9]{1,6})?")
_STORE = re.compile(r"(memory://|file:///\S+|(redis|rediss|unix)://\S+)")


def parse_rate(text: str) -> RateLimit:
    """Return the rate of `5/s`, `60/min`, `1000/h` or `1000/day`."""
    match = _RATE.fullmatch(text)
    if match is None or not int(match[1]):
        raise BadValueError
    return RateLimit(amount=int(match[1]), window_seconds=_WINDOW_SECONDS[match[2]], unit=match[2])


def parse_budget(text: str) -> BudgetLimit:
    """Return the budget of `5.00/day` or `50/month`, in USD."""
    match = _BUDGET.fullmatch(text)
    if match is None:
        raise BadValueError
    period: Literal["day", "month"] = "day" if match[2] == "day" else "month"
    return BudgetLimit(usd=Decimal(match[1]), period=period)


def parse_price(text: str) -> Decimal:
    """Return a price in USD."""
    if not _PRICE.fullmatch(text):
        raise BadValueError
    return Decimal(text)


def parse_store(text: str) -> SecretUrl:
    """Return the URL of a store; it may carry user and password."""
    if not _STORE.fullmatch(text):
        raise BadValueError
    return SecretUrl(text)


RateText = Annotated[
    RateLimit, Format("rate", "a rate such as 5/s, 60/min, 1000/h or 1000/day", _RATE, parse_rate)
]
BudgetText = Annotated[
    BudgetLimit,
    Format("money", "money such as 5.00/day or 50/month, in USD", _BUDGET, parse_budget),
]
PriceText = Annotated[Decimal, Format("USD", "a price in USD such as 2.50", None, parse_price)]
StoreUrl = Annotated[
    SecretUrl,
    Format(
        "store URL",
        "memory://, file:///path, redis://host:port, rediss://host:port or unix:///path",
        _STORE,
        parse_store,
        secret=True,
    ),
]
