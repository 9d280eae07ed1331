"""Draws the boards as SVG from what a Prometheus has now, for pages where no Grafana is: a likeness, not a replacement.

`python -m dashboards.draw http://127.0.0.1:9090 300` writes docs/images/board-*.svg of the last 300 seconds.
"""

import json
import math
import sys
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from dashboards.board import GRID_COLUMNS, VARIABLES, Board, Panel, Query, placed
from dashboards.generate import BOARDS

FOLDER = Path(__file__).parent.parent / "docs" / "images"
WIDTH, COLUMN, UNIT, GAP = 1200, 1200 / GRID_COLUMNS, 30, 4
TITLE, POINTS, MOST_LINES = 20, 120, 6
COLORS = ("#3274d9", "#e0752d", "#3f9c35", "#b877d9", "#c4a000", "#d44a3a")
SHADES = {"red": "#d44a3a", "orange": "#e0752d", "green": "#3f9c35", "blue": "#3274d9"}
STYLE = """
text { font: 11px sans-serif; fill: #24292e } .faint { fill: #6a737d } .row { font-weight: bold }
.value { font-size: 20px; font-weight: bold } .panel { fill: #fff; stroke: #d0d7de } .sheet { fill: #f6f8fa }
polyline { fill: none; stroke-width: 1.2 } .limit { stroke-dasharray: 4 3; stroke-width: 1 }
"""

Points = Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One series of a panel, by the name that Grafana would give it."""

    name: str
    points: Points


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Which Prometheus is asked, and of which seconds since 1970."""

    url: str
    start: float
    end: float

    def lines(self, query: Query) -> Iterator[Line]:
        """Yield the series of a query."""
        asked = {
            "query": substituted(query.expr, rate_interval="15s", window=f"{self.seconds:.0f}s"),
            "start": f"{self.start}",
            "end": f"{self.end}",
            "step": f"{self.seconds / POINTS}",
        }
        for series in _ask(self.url, "query_range", asked):
            values = [(float(at), float(value)) for at, value in series["values"]]
            points = [(at, value) for at, value in values if math.isfinite(value)]
            if points:
                yield Line(name=_named(query.legend, series["metric"]), points=points)

    @property
    def seconds(self) -> float:
        """Return its length."""
        return self.end - self.start


def substituted(expr: str, *, rate_interval: str, window: str) -> str:
    """Return a panel's expression as Grafana asks it with everything chosen."""
    expr = expr.replace("$__rate_interval", rate_interval).replace("$__range", window)
    for name in VARIABLES:
        expr = expr.replace(f"${name}", ".*")
    return expr


def drawn(board: Board, window: Window) -> str:
    """Return a board as SVG."""
    parts: list[str] = []
    bottom = 0.0
    for shown, (x, y, width, height) in placed(board.rows):
        left, top = x * COLUMN, y * UNIT
        bottom = top + height * UNIT
        if isinstance(shown, Panel):
            parts.extend(_panel(shown, window, (left, top, width * COLUMN, height * UNIT)))
        else:
            parts.append(_text(left + GAP, top + TITLE, shown.title, "row"))
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {bottom:g}"><style>{STYLE}</style>'
    sheet = f'<rect class="sheet" width="{WIDTH}" height="{bottom:g}"/>'
    return "\n".join([head, f"<title>{escape(board.title)}</title>", sheet, *parts, "</svg>\n"])


Box = tuple[float, float, float, float]


def _panel(panel: Panel, window: Window, box: Box) -> Iterator[str]:
    left, top, width, height = box
    size = f'width="{width - GAP:g}" height="{height - GAP:g}"'
    yield f'<rect class="panel" rx="3" x="{left + GAP / 2:g}" y="{top + GAP / 2:g}" {size}/>'
    yield _text(left + 8, top + TITLE, panel.title)
    lines = [line for query in panel.queries for line in window.lines(query)]
    if panel.kind == "stat":
        yield from _values(panel, lines, left, top)
    else:
        yield from _chart(panel, lines, window, box)


def _values(panel: Panel, lines: Sequence[Line], left: float, top: float) -> Iterator[str]:
    for number, line in enumerate(lines[:2]):
        value = line.points[-1][1]
        color = [color for bound, color in panel.thresholds if bound is None or value >= bound][-1]
        told = (panel.words or {}).get(f"{value:g}") or said(value, panel.unit)
        x = left + 8 + number * 90
        fill = f'style="fill: {SHADES[color]}"'
        yield f'<text class="value" x="{x:g}" y="{top + 60:g}" {fill}>{escape(told)}</text>'
        yield _text(x, top + 85, line.name, "faint")


def _chart(panel: Panel, lines: Sequence[Line], window: Window, box: Box) -> Iterator[str]:
    """Yield a chart's lines, its bounds where they are in sight, its scale and its legend."""
    left, top, width, height = box
    legend = min(len(lines), MOST_LINES) * 14
    x, y = left + 60, top + TITLE + 10
    wide, high = width - 72, height - TITLE - 24 - legend
    most = max((value for line in lines for _, value in line.points), default=0) or 1

    def down(value: float) -> float:
        return y + high - high * value / most

    for value in (0, most / 2, most):
        yield _text(left + 8, down(value) + 4, said(value, panel.unit), "faint")
    for bound, color in panel.thresholds:
        if bound is not None and 0 < bound <= most:
            yield _polyline([(x, down(bound)), (x + wide, down(bound))], SHADES[color], "limit")
    largest = sorted(lines, key=lambda line: -max(value for _, value in line.points))
    for number, line in enumerate(largest[:MOST_LINES]):
        spots = [
            (x + wide * (at - window.start) / window.seconds, down(value))
            for at, value in line.points
        ]
        yield _polyline(spots, COLORS[number])
        line_top = y + high + 16 + 14 * number
        yield _polyline([(x, line_top - 4), (x + 12, line_top - 4)], COLORS[number])
        yield _text(x + 18, line_top, line.name, "faint")


def said(value: float, unit: str) -> str:
    """Return a value with its unit, as short as Grafana says it."""
    scale = {
        "percentunit": lambda v: f"{v * 100:.4g} %",
        "currencyUSD": lambda v: f"${v:.3g}",
        "bytes": lambda v: f"{v / 2**20:.3g} MiB",
        "reqps": lambda v: f"{v:.3g}/s",
        "ops": lambda v: f"{v:.3g}/s",
        "s": lambda v: f"{v:.3g} s" if v >= 1 or not v else f"{v * 1000:.3g} ms",
    }.get(unit)
    if scale is not None:
        return scale(value)
    return f"{value:.3g}" if value < 1000 else f"{value / 1000:.3g}k"


def _polyline(spots: Points, color: str, kind: str = "") -> str:
    told = " ".join(f"{x:.1f},{y:.1f}" for x, y in spots)
    return f'<polyline class="{kind}" stroke="{color}" points="{told}"/>'


def _text(x: float, y: float, text: str, kind: str = "") -> str:
    return f'<text class="{kind}" x="{x:g}" y="{y:g}">{escape(text)}</text>'


def _named(legend: str, labels: Mapping[str, str]) -> str:
    for name, value in labels.items():
        legend = legend.replace(f"{{{{{name}}}}}", value)
    return legend.replace("{{model}}", "").strip()


def _ask(url: str, path: str, asked: Mapping[str, str]) -> Any:
    whole = f"{url}/api/v1/{path}?{urllib.parse.urlencode(asked)}"
    with urllib.request.urlopen(whole, timeout=30) as reply:  # noqa: S310  the operator's own Prometheus
        return json.load(reply)["data"]["result"]


def main(url: str, seconds: float) -> None:
    """Draw every board's last seconds."""
    now = float(_ask(url, "query", {"query": "time()"})[0])
    FOLDER.mkdir(exist_ok=True)
    for board in BOARDS:
        path = FOLDER / f"{board.uid.replace('gateway-', 'board-')}.svg"
        path.write_text(drawn(board, Window(url=url, start=now - seconds, end=now)), "utf-8")


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]))
