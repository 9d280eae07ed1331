"""The boards as they are written: fresh, whole, and of metrics that exist."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

from dashboards.board import Board, Panel
from dashboards.generate import BOARDS, files
from gateway.metrics import Metrics
from tests.test_architecture import ROOT
from tests.test_documentation import anchors

RULE_FILES = sorted((ROOT / "dashboards" / "rules").glob("*.yml"))

# Metrics that stand on no board, and why.
NOT_SHOWN = {
    "process_virtual_memory_bytes": "says little: what is reserved is not used",
    "python_gc_objects_collected": "of use to those who change the gateway, not to those who run it",
    "python_gc_objects_uncollectable": "likewise",
    "python_gc_collections": "likewise",
}
# What Prometheus itself knows of a target and of alerts.
OF_PROMETHEUS = {"up", "ALERTS"}
SUFFIXES = ("_total", "_bucket", "_sum", "_count", "_created")

every_board = pytest.mark.parametrize("board", BOARDS, ids=[board.uid for board in BOARDS])


def rules() -> Iterator[dict[str, str]]:
    """Yield every rule."""
    for path in RULE_FILES:
        for group in yaml.safe_load(path.read_text(encoding="utf-8"))["groups"]:
            yield from group["rules"]


def panels() -> Iterator[tuple[Board, Panel]]:
    """Yield every panel and its board."""
    for board in BOARDS:
        for panel in board.panels():
            yield board, panel


def named_in(expr: str) -> set[str]:
    """Return the metrics that an expression names: words that are neither labels, functions nor strings."""
    bare = re.sub(r'"[^"]*"', "", expr)
    bare = re.sub(r"\b(?:by|on|without|ignoring) \([^)]*\)", "", bare)
    bare = re.sub(r"\{[^}]*\}|\[[^\]]*\]", "", bare)
    words = set(re.findall(r"(?<![\w:.])[a-zA-Z_:][\w:]*(?!\s*\()(?![\w:])", bare))
    return words - {"and", "or", "unless", "by", "on"} - set(re.findall(r"(\w+)\s*\(", bare))


def families() -> set[str]:
    """Return the names of all families that a gateway exposes."""
    return {family.name for family in Metrics().registry().collect()}


def exposed() -> set[str]:
    """Return the names of all series that a gateway can expose."""
    return {f"{name}{suffix}" for name in families() for suffix in ("", *SUFFIXES)}


def expressions() -> Iterator[tuple[str, str]]:
    """Yield the place and text of every expression of boards and rules."""
    for board, panel in panels():
        for query in panel.queries:
            yield f"{board.uid}: {panel.title}", query.expr
    for rule in rules():
        yield rule.get("record") or rule["alert"], rule["expr"]


def test_the_json_is_fresh() -> None:
    """The files are what the boards' descriptions make; `make docs` writes them anew."""
    there = sorted((ROOT / "dashboards" / "boards").iterdir())

    assert sorted(files()) == there
    stale = [path.name for path, text in files().items() if path.read_text("utf-8") != text]
    assert stale == [], "run `make docs`"


@pytest.mark.parametrize(("place", "expr"), list(expressions()))
def test_every_metric_exists(place: str, expr: str) -> None:
    """A board or rule names series of gateway/metrics.py, and what the recording rules make of them."""
    recorded = {rule["record"] for rule in rules() if "record" in rule}
    named = named_in(expr)

    assert named, place
    assert named - exposed() - recorded - OF_PROMETHEUS == set()


def test_every_metric_is_shown_somewhere() -> None:
    """A metric stands on a board, or here with the reason why not."""
    shown = {
        name for _, panel in panels() for query in panel.queries for name in named_in(query.expr)
    }
    unseen = {
        name
        for name in families()
        if not shown & {name, *(f"{name}{suffix}" for suffix in SUFFIXES)}
    }

    assert unseen == {name for name in NOT_SHOWN if name in families()}


@every_board
def test_every_panel_says_what_it_shows(board: Board) -> None:
    """A title of its own, a description in a sentence, a unit, a colour from the bottom up, named lines."""
    titles = [panel.title for panel in board.panels()]

    assert len(titles) == len(set(titles))
    for panel in board.panels():
        assert panel.description.endswith("."), panel.title
        assert panel.unit, panel.title
        assert panel.thresholds[0][0] is None, panel.title
        assert all(query.legend for query in panel.queries), panel.title


@every_board
def test_panels_neither_overlap_nor_overhang(board: Board) -> None:
    """Each panel has a place of its own in the 24 columns."""
    shown = json.loads(json.dumps(board.json()))["panels"]
    cells = [
        (x, y)
        for place in (panel["gridPos"] for panel in shown)
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]

    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24
    assert len({panel["id"] for panel in shown}) == len(shown)


def test_the_variables_are_offered() -> None:
    """Every board lets choose its data source, and what its panels can be narrowed to."""
    offered = {
        board.uid: [one["name"] for one in board.json()["templating"]["list"]]  # type: ignore[index]
        for board in BOARDS
    }

    assert offered == {
        "gateway-overview": ["datasource", "model", "user", "upstream"],
        "gateway-usage": ["datasource", "model", "user"],
        "gateway-upstreams": ["datasource", "model", "upstream"],
    }


def test_rates_take_their_window_from_the_board() -> None:
    """No panel has a window of its own: Grafana knows the scrape interval and the zoom."""
    windows = {
        window
        for _, panel in panels()
        for query in panel.queries
        for window in re.findall(r"[}\w]\[([^\]]+)\]", query.expr)
    }

    assert windows == {"$__rate_interval", "$__range"}


def test_every_alert_says_what_to_do() -> None:
    """An alert has a severity, a summary, a description, and a heading of docs/alerts.md with the same name."""
    page = ROOT / "docs" / "alerts.md"
    alerts = [rule for rule in rules() if "alert" in rule]

    for rule in alerts:
        notes: dict[str, str] = rule["annotations"]  # type: ignore[assignment]
        assert set(notes) == {"summary", "description", "runbook"}
        assert notes["runbook"] == f"docs/alerts.md#{rule['alert'].lower()}"
        assert rule["labels"]["severity"] in ("page", "ticket")  # type: ignore[index]
    assert {rule["alert"].lower() for rule in alerts} == anchors(page) - {"alerts"}
    assert len({rule["alert"] for rule in alerts}) == len(alerts)


@pytest.mark.parametrize("path", sorted(files()), ids=lambda path: path.name)
def test_grafana_is_given_a_data_source_by_variable(path: Path) -> None:
    """No panel is bound to the data source of one installation."""
    sources = re.findall(r'"uid": "(\$?[^"]*)"', path.read_text(encoding="utf-8"))

    assert {uid for uid in sources if not uid.startswith("gateway-")} == {"${datasource}"}


def lost(ours: object, theirs: object, path: str = "") -> Iterator[str]:
    """Yield where `theirs` lacks something of `ours`, or says it otherwise."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for name, value in ours.items():
            yield from lost(value, theirs.get(name), f"{path}.{name}")
    elif isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        for number, (one, other) in enumerate(zip(ours, theirs, strict=True)):
            yield from lost(one, other, f"{path}[{number}]")
    elif ours != theirs:
        yield path


@every_board
def test_grafana_s_own_schema_knows_all_of_a_board(board: Board) -> None:
    """Read into Grafana's published types and written again, nothing of it is gone or different."""
    register_default_plugins()
    written = JSONEncoder().encode(Dashboard.from_json(board.json()))

    # What the Prometheus data source adds to an annotation is in nobody's schema.
    assert list(lost(board.json(), json.loads(written))) == [".annotations.list[0].titleFormat"]
