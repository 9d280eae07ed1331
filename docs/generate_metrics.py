"""Writes docs/metrics.md from the families in gateway/metrics.py: `make docs`."""

from gateway.metric_families import Family, Histogram
from gateway.metrics import Metrics

MARK = "<!-- From here on generated from gateway/metrics.py: `make docs` writes it. -->"


def documentation(current: str) -> str:
    """Return docs/metrics.md with all below its mark written anew."""
    families = list(Metrics().families())
    rows = ["| name | type | labels | meaning |", "|---|---|---|---|", *map(_row, families)]
    bounds = [
        f"| `{family.name}` | {', '.join(f'{bound:.9g}' for bound in family.bounds)} |"
        for family in families
        if isinstance(family, Histogram)
    ]
    buckets = ["| histogram | upper bounds of its buckets |", "|---|---|", *bounds]
    sections = [MARK, "## Series", "\n".join(rows), "## Buckets", "\n".join(buckets)]
    return current.partition(MARK)[0] + "\n\n".join(sections) + "\n"


def _row(family: Family) -> str:
    labels = ", ".join(f"`{label}`" for label in family.labels)
    return f"| `{family.name}` | {family.kind} | {labels} | {family.documentation} |"
