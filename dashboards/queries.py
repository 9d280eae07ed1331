"""The shapes that the boards' expressions share: rates, shares, quantiles."""

from dashboards.board import Query

EVERY = "[$__rate_interval]"


def rate(metric: str, by: str, **where: str) -> str:
    """Return the sum of a counter's rate by some labels, where others match the board's variables or a pattern.

    `where`: label to pattern, such as user="$user", status="5..".
    """
    return f"sum by ({by}) (rate({metric}{matching(where)}{EVERY}))"


def matching(where: dict[str, str]) -> str:
    """Return the selector of label patterns."""
    return (
        "{" + ", ".join(f'{label}=~"{value}"' for label, value in where.items()) + "}"
        if where
        else ""
    )


def quantiles(
    metric: str, by: str = "", *, of: tuple[float, ...], legend: str = "", **where: str
) -> list[Query]:
    """Return one query for each quantile of a histogram."""
    labels = f"le, {by}" if by else "le"
    return [
        Query(
            expr=f"histogram_quantile({q}, {rate(f'{metric}_bucket', labels, **where)})",
            legend=f"p{q * 100:g} {legend}".strip(),
        )
        for q in of
    ]


def over(dividend: str, divisor: str) -> str:
    """Return a share that is 0, not missing, where nothing of its kind was counted yet."""
    return f"({dividend} or 0 * {divisor}) / {divisor}"
