"""What a board is made of, and the JSON that Grafana imports for it. What stands on which board says its own file."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

# Of Grafana 10.4; newer ones read it too.
SCHEMA_VERSION = 39
GRID_COLUMNS = 24
DATA_SOURCE = {"type": "prometheus", "uid": "${datasource}"}

Json = dict[str, object]
# From which value on which colour holds; the first has no bound.
Thresholds = tuple[tuple[float | None, str], ...]

PLAIN: Thresholds = ((None, "blue"),)
# 1 is well, 0 is not.
UP: Thresholds = ((None, "red"), (1, "green"))

# Where a board's variables take their values from.
VARIABLES = {
    "model": "label_values(gateway_requests_total, model)",
    "user": "label_values(gateway_requests_total, user)",
    "upstream": "label_values(gateway_upstream_requests_total, upstream)",
}


def warning(orange: float, red: float) -> Thresholds:
    """Return the thresholds of a value that is well while it is small."""
    return ((None, "green"), (orange, "orange"), (red, "red"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """An expression, and what its lines are called."""

    expr: str
    legend: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One panel: what it shows, in which unit, and from where on that is bad."""

    title: str
    # What is seen, and what to think of it.
    description: str
    # Grafana's name for it.
    unit: str
    queries: Sequence[Query]
    kind: Literal["timeseries", "stat"] = "timeseries"
    thresholds: Thresholds = PLAIN
    # In columns of 24.
    width: int = 8
    stacked: bool = False
    decimals: int | None = None
    # Words for single values.
    words: Mapping[str, str] | None = None

    @property
    def height(self) -> int:
        """Return the height in Grafana's units."""
        return 4 if self.kind == "stat" else 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """Panels under one heading."""

    title: str
    panels: Sequence[Panel]


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """One dashboard."""

    uid: str
    title: str
    description: str
    rows: Sequence[Row]

    def panels(self) -> Iterator[Panel]:
        """Yield every panel in reading order."""
        for row in self.rows:
            yield from row.panels

    def variables(self) -> tuple[str, ...]:
        """Return the variables that the panels use, in the order in which they are offered."""
        used = {
            name
            for panel in self.panels()
            for query in panel.queries
            for name in re.findall(r'=~"\$(\w+)"', query.expr)
        }
        return tuple(name for name in VARIABLES if name in used)

    def json(self) -> Json:
        """Return what Grafana imports."""
        return {
            "uid": self.uid,
            "title": self.title,
            "description": self.description,
            "tags": ["gateway"],
            "schemaVersion": SCHEMA_VERSION,
            "version": 1,
            "editable": True,
            "graphTooltip": 1,
            "refresh": "30s",
            "time": {"from": "now-3h", "to": "now"},
            "timezone": "browser",
            "links": [_link()],
            "annotations": {"list": [_reloads()]},
            "templating": {"list": [_data_source(), *map(_variable, self.variables())]},
            "panels": list(_laid_out(self.rows)),
        }


def placed(rows: Sequence[Row]) -> Iterator[tuple[Row | Panel, tuple[int, int, int, int]]]:
    """Yield rows and panels from left to right, top to bottom, each with its x, y, width and height in the grid."""
    top = 0
    for row in rows:
        yield row, (0, top, GRID_COLUMNS, 1)
        top += 1
        left = height = 0
        for panel in row.panels:
            if left + panel.width > GRID_COLUMNS:
                top, left, height = top + height, 0, 0
            yield panel, (left, top, panel.width, panel.height)
            left += panel.width
            height = max(height, panel.height)
        top += height


def _laid_out(rows: Sequence[Row]) -> Iterator[Json]:
    for number, (shown, (x, y, width, height)) in enumerate(placed(rows), 1):
        place: Json = {"id": number, "gridPos": {"x": x, "y": y, "w": width, "h": height}}
        if isinstance(shown, Panel):
            yield {**place, **_panel(shown)}
        else:
            yield {**place, "type": "row", "title": shown.title, "collapsed": False, "panels": []}


def _panel(panel: Panel) -> Json:
    steps = [{"value": value, "color": color} for value, color in panel.thresholds]
    defaults: Json = {
        "unit": panel.unit,
        "thresholds": {"mode": "absolute", "steps": steps},
        "color": {"mode": "thresholds" if panel.kind == "stat" else "palette-classic"},
    }
    if panel.decimals is not None:
        defaults["decimals"] = panel.decimals
    if panel.words:
        words = {
            value: {"text": text, "index": i} for i, (value, text) in enumerate(panel.words.items())
        }
        defaults["mappings"] = [{"type": "value", "options": words}]
    if panel.kind == "timeseries":
        defaults |= {"min": 0, "custom": _lines(panel)}
    return {
        "type": panel.kind,
        "title": panel.title,
        "description": panel.description,
        "datasource": DATA_SOURCE,
        "targets": [_target(panel, *found) for found in zip("ABCDEF", panel.queries, strict=False)],
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "options": _STAT if panel.kind == "stat" else _TIME_SERIES,
    }


_STAT: Json = {
    "colorMode": "value",
    "graphMode": "none",
    "textMode": "auto",
    "justifyMode": "auto",
    "orientation": "auto",
    "wideLayout": True,
    "showPercentChange": False,
    "percentChangeColorMode": "standard",
    "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
}
_TIME_SERIES: Json = {
    "legend": {
        "showLegend": True,
        "displayMode": "table",
        "placement": "bottom",
        "calcs": ["mean", "max"],
    },
    "tooltip": {"mode": "multi", "sort": "desc"},
}


def _lines(panel: Panel) -> Json:
    return {
        "lineWidth": 1,
        "fillOpacity": 30 if panel.stacked else 5,
        "showPoints": "never",
        "stacking": {"mode": "normal" if panel.stacked else "none"},
        "thresholdsStyle": {"mode": "off" if len(panel.thresholds) == 1 else "dashed"},
    }


def _target(panel: Panel, letter: str, query: Query) -> Json:
    target: Json = {"refId": letter, "expr": query.expr, "legendFormat": query.legend}
    return {**target, "datasource": DATA_SOURCE, "instant": panel.kind == "stat"}


def _data_source() -> Json:
    return {
        "name": "datasource",
        "label": "Data source",
        "type": "datasource",
        "query": "prometheus",
    }


def _variable(name: str) -> Json:
    return {
        "name": name,
        "label": name.capitalize(),
        "type": "query",
        "datasource": DATA_SOURCE,
        "query": {"query": VARIABLES[name], "refId": name},
        "refresh": 2,
        "sort": 1,
        "multi": True,
        "includeAll": True,
        # Calls that never got as far as a model or an upstream count too.
        "allValue": ".*",
        "current": {"text": "All", "value": "$__all"},
    }


def _link() -> Json:
    return {
        "type": "dashboards",
        "title": "Gateway",
        "tags": ["gateway"],
        "icon": "external link",
        "tooltip": "The gateway's other boards",
        "asDropdown": False,
        "targetBlank": False,
        "keepTime": True,
        "includeVars": True,
    }


def _reloads() -> Json:
    return {
        "name": "Reloads",
        "enable": True,
        "iconColor": "purple",
        "datasource": DATA_SOURCE,
        "expr": "changes(gateway_config_last_reload_success_timestamp_seconds[$__interval]) > 0",
        "titleFormat": "{{instance}} read its configuration",
    }
