"""The picture of the report: bars on a logarithmic scale, as an SVG that fits light and dark pages."""

import math
from collections.abc import Sequence
from html import escape

from benchmarks.results import Results

WIDTH = 860
LEFT = 170
BAR = 16
ROW = 22
# Title, figure, unit.
PANELS = (
    ("CPU per request of 0.5 KB", "0.5 KB, cpu", "µs"),
    ("CPU per request of 10 KB, 20 turns", "10 KB, 20 turns, cpu", "µs"),
    ("CPU per chunk of a stream, 20 streams", "20 streams, cpu", "µs"),
    ("Memory per open stream", "memory per stream", "KiB"),
    ("Start to first answer", "start to first answer", "s"),
)
STYLE = (
    "text{font:13px system-ui,sans-serif;fill:#444}.title{font-weight:600}"
    ".other{fill:#9aa7b4}.peer{fill:#c98b5a}.own{fill:#2f7d5b}"
    "@media (prefers-color-scheme:dark){text{fill:#ccc}}"
)


def draw(found: Results) -> str:
    """Return the picture."""
    y = 10
    parts = []
    for title, figure, unit in PANELS:
        bars = [
            (one.name, value, "own" if one.name == "gateway" else "peer" if one.peer else "other")
            for one in found.targets
            if (value := found.median(figure, one.name)) is not None and value > 0
        ]
        if bars:
            parts.append(_panel(y, title, unit, sorted(bars, key=lambda bar: bar[1])))
            y += 34 + ROW * len(bars)
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y}" role="img">\n'
        f"<title>The gateway beside others</title>\n<style>{STYLE}</style>\n{body}\n</svg>\n"
    )


def _panel(y: int, title: str, unit: str, bars: Sequence[tuple[str, float, str]]) -> str:
    least = math.log10(bars[0][1]) - 0.4
    span = math.log10(bars[-1][1]) - least
    lines = [
        f'<text class="title" x="0" y="{y + 12}">{escape(title)}, {unit} (logarithmic; less is better)</text>'
    ]
    for place, (name, value, kind) in enumerate(bars):
        top = y + 22 + place * ROW
        length = (math.log10(value) - least) / span * (WIDTH - LEFT - 90)
        said = f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
        lines.append(
            f'<text x="{LEFT - 8}" y="{top + 13}" text-anchor="end">{escape(name)}</text>'
            f'<rect class="{kind}" x="{LEFT}" y="{top}" width="{length:.0f}" height="{BAR}" rx="2"/>'
            f'<text x="{LEFT + length + 6:.0f}" y="{top + 13}">{said}</text>'
        )
    return "\n".join(lines)
