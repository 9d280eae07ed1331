"""The usage log summed up, for whoever asks who used what and what it cost: a table, or CSV."""

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

KEYS = ("user", "group", "end_user", "model", "served", "upstream", "endpoint", "day", "month")
_TOKENS = ("input_tokens", "cached_input_tokens", "output_tokens", "reasoning_tokens")
COLUMNS = ("calls", *_TOKENS, "estimated_calls", "unpriced_calls", "cost_usd")
# How much of a time is its day, and its month.
_CUT = {"day": 10, "month": 7}
# What spreadsheets take for a formula: names are what clients make up.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


@dataclass(slots=True)
class Sums:
    """What calls came to together."""

    calls: int = 0
    tokens: list[int] = field(default_factory=lambda: [0] * len(_TOKENS))
    estimated: int = 0
    unpriced: int = 0
    cost_usd: Decimal = Decimal(0)

    def add(self, call: Mapping[str, object]) -> None:
        """Add a call."""
        self.calls += 1
        for index, name in enumerate(_TOKENS):
            amount = call.get(name)
            self.tokens[index] += amount if isinstance(amount, int) else 0
        self.estimated += call.get("estimated") is True
        cost = call.get("cost_usd")
        if isinstance(cost, Decimal | int):
            self.cost_usd += cost
        else:
            self.unpriced += 1

    def row(self) -> list[str]:
        """Return the sums in the order of COLUMNS; the money to the nanodollar at most."""
        cost = self.cost_usd.quantize(Decimal("0.000000001"))
        numbers = (self.calls, *self.tokens, self.estimated, self.unpriced)
        return [*map(str, numbers), f"{cost:f}".rstrip("0").rstrip(".") or "0"]


@dataclass(slots=True)
class Report:
    """The sums of all calls of some files, by some of their keys."""

    by: Sequence[str]
    groups: dict[tuple[str, ...], Sums] = field(default_factory=dict)
    total: Sums = field(default_factory=Sums)
    # Lines that are none of the usage log's: the last one of a machine that lost its power.
    unread: int = 0

    def read(self, lines: Iterable[bytes]) -> None:
        """Take in the lines of a file."""
        for line in lines:
            call = _parsed(line)
            if call is None:
                self.unread += bool(line.strip())
                continue
            key = tuple(_value(call, name) for name in self.by)
            self.groups.setdefault(key, Sums()).add(call)
            self.total.add(call)

    def table(self) -> Iterator[str]:
        """Yield the lines of a table for people."""
        rows = [[*map(_printable, key), *sums.row()] for key, sums in sorted(self.groups.items())]
        if self.by:
            rows.append(["total", *[""] * (len(self.by) - 1), *self.total.row()])
        else:
            rows = [self.total.row()]
        titles = [*self.by, *COLUMNS]
        widths = [max(map(len, column)) for column in zip(titles, *rows, strict=True)]
        for row in (titles, *rows):
            cells = [
                cell.ljust(width) if index < len(self.by) else cell.rjust(width)
                for index, (cell, width) in enumerate(zip(row, widths, strict=True))
            ]
            yield "  ".join(cells).rstrip()

    def csv(self) -> Iterator[str]:
        """Yield the lines of a CSV file; nothing in it is a formula to a spreadsheet."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow([*self.by, *COLUMNS])
        groups = sorted(self.groups.items()) if self.by else [((), self.total)]
        for key, sums in groups:
            writer.writerow([*map(_harmless, key), *sums.row()])
        yield from text.getvalue().splitlines()


def with_older(paths: Iterable[Path]) -> list[Path]:
    """Return usage logs together with their older files, each once, the oldest first."""
    found: dict[Path, Path] = {}
    for path in paths:
        older = [
            (int(other.suffix[1:]), other)
            for other in path.parent.glob(f"{path.name}.*")
            if other.stem == path.name and other.suffix[1:].isdecimal()
        ]
        for _, other in (*sorted(older, reverse=True), (0, path)):
            found.setdefault(other.resolve(), other)
    return list(found.values())


def _parsed(line: bytes) -> Mapping[str, object] | None:
    try:
        call = json.loads(line, parse_float=Decimal)
    except (ValueError, RecursionError):
        return None
    return call if isinstance(call, dict) and isinstance(call.get("time"), str) else None


def _value(call: Mapping[str, object], name: str) -> str:
    cut = _CUT.get(name)
    value = call.get(name) if cut is None else str(call["time"])[:cut]
    return "" if value is None else str(value)


def _printable(text: str) -> str:
    return text if text.isprintable() else text.encode("unicode_escape").decode("ascii")


def _harmless(text: str) -> str:
    plain = _printable(text)
    return f"'{plain}" if plain.startswith(_FORMULA) else plain
