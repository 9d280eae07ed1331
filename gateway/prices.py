"""What tokens cost, in whole numbers: no sum of money is ever a float.

A ledger holds nanodollars (1e-9 USD); a token's price is kept in picodollars, so that "0.0375 USD
per million tokens" is exact.
"""

from dataclasses import dataclass
from decimal import Decimal

from gateway.types import Usage

PICODOLLARS_PER_USD = 10**12
NANODOLLARS_PER_USD = 10**9
_PICODOLLARS_PER_NANODOLLAR = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """What one model costs: picodollars per token, and per request."""

    input: int
    cached_input: int
    output: int
    request: int = 0

    @classmethod
    def from_usd(
        cls,
        *,
        input: Decimal,  # noqa: A002 -- the price table's own word
        output: Decimal,
        cached_input: Decimal | None = None,
        request: Decimal = Decimal(0),
    ) -> "Price":
        """Return the price that a table gives in USD per million tokens, and in USD per request.

        Cached input costs what input costs where the table does not say.
        """
        return cls(
            input=_picodollars_per_token(input),
            cached_input=_picodollars_per_token(input if cached_input is None else cached_input),
            output=_picodollars_per_token(output),
            request=round(request * PICODOLLARS_PER_USD),
        )

    def cost(self, usage: Usage) -> int:
        """Return what a call cost in nanodollars, a fraction rounded up."""
        fresh = usage.input_tokens - usage.cached_input_tokens
        picodollars = (
            fresh * self.input
            + usage.cached_input_tokens * self.cached_input
            + usage.output_tokens * self.output
            + self.request
        )
        return -(-picodollars // _PICODOLLARS_PER_NANODOLLAR)

    def bound(self, input_tokens: int, output_tokens: int) -> int:
        """Return the most that so many tokens can cost in nanodollars, cached or not."""
        dearest = max(self.input, self.cached_input)
        picodollars = input_tokens * dearest + output_tokens * self.output + self.request
        return -(-picodollars // _PICODOLLARS_PER_NANODOLLAR)


def nanodollars(usd: Decimal) -> int:
    """Return an amount of USD as a ledger holds it."""
    return round(usd * NANODOLLARS_PER_USD)


def usd(nanodollars: int) -> str:
    """Return an amount for a person to read: `$5.00`, `$0.0042`."""
    whole, rest = divmod(nanodollars, NANODOLLARS_PER_USD)
    digits = f"{rest:09d}".rstrip("0")
    return f"${whole}.{digits:0<2}"


def _picodollars_per_token(usd_per_million: Decimal) -> int:
    return round(usd_per_million * (PICODOLLARS_PER_USD // 10**6))
