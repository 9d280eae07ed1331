"""Every query of every panel and rule, asked of a real Prometheus that scraped a gateway under traffic."""

import math
import re
import subprocess
from collections.abc import Iterator
from xml.etree import ElementTree

import pytest

from dashboards.board import VARIABLES, Board
from dashboards.draw import Window, drawn, substituted
from dashboards.generate import BOARDS
from tests.dashboards.conftest import Observed
from tests.dashboards.test_boards import expressions, rules


def operands(expr: str) -> Iterator[str]:
    """Yield what an alert compares: its parts between `and` and `or`, without bounds and outer parentheses."""
    for part in re.split(r"\band\b(?: on \([^)]*\))?|\n\s*or\b", expr):
        inner = re.sub(r"\s(?:[<>]=?|==|!=) [\d.* ]+\s*\)?\s*$", "", part.strip())
        yield inner.removeprefix("(").strip() if inner.count("(") > inner.count(")") else inner


@pytest.mark.parametrize(
    ("place", "expr"),
    [found for found in expressions() if not found[0].startswith("Gateway")],
)
def test_every_query_has_an_answer(observed: Observed, place: str, expr: str) -> None:
    """Each panel shows a number, and each recording rule records one."""
    found = observed.prometheus.query(substituted(expr, rate_interval="1m", window="5m"))

    assert [value for _, value in found if not math.isnan(value)], place


@pytest.mark.parametrize(
    ("place", "expr"),
    [
        (rule["alert"], expr)
        for rule in rules()
        if "alert" in rule
        for expr in operands(rule["expr"])
    ],
)
def test_every_alert_has_something_to_judge(observed: Observed, place: str, expr: str) -> None:
    """What an alert compares with its bounds is there also while it does not fire."""
    assert observed.prometheus.query(expr), place


def test_every_rule_is_judged_without_error(observed: Observed) -> None:
    """Prometheus itself loaded every rule, and none of them failed."""
    groups = observed.prometheus.ask("rules")["groups"]
    judged = {rule["name"]: rule["health"] for group in groups for rule in group["rules"]}

    assert judged == {rule.get("record") or rule["alert"]: "ok" for rule in rules()}


def test_alerts_notice_what_is_dead(observed: Observed) -> None:
    """The dead store and the dead upstream are pending or firing; the gateway itself is not."""
    observed.prometheus.wait('ALERTS{alertname="GatewayStoreDown"}')
    observed.prometheus.wait('ALERTS{alertname="GatewayUpstreamDown", upstream="dead"}')

    assert observed.prometheus.query('ALERTS{alertname="GatewayDown"}') == []
    assert (
        observed.prometheus.query('ALERTS{alertname="GatewayUpstreamDown", upstream="demo"}') == []
    )


@pytest.mark.parametrize("name", list(VARIABLES))
def test_every_variable_offers_values(observed: Observed, name: str) -> None:
    """A board's variable finds what was configured."""
    metric, _, label = VARIABLES[name].removeprefix("label_values(").rstrip(")").partition(", ")
    values = observed.prometheus.ask(f"label/{label}/values", **{"match[]": metric})
    expected = {"model": {"small", "large"}, "user": {"alice", "bob"}, "upstream": {"demo", "dead"}}

    assert expected[name] <= set(values)


@pytest.mark.parametrize("board", BOARDS, ids=[board.uid for board in BOARDS])
def test_boards_are_drawn_without_grafana(observed: Observed, board: Board) -> None:
    """A drawing is one well-formed picture that has every panel's title and at least a line."""
    now = observed.prometheus.value("vector(time())")
    window = Window(url=observed.prometheus.url, start=now - 60, end=now)
    picture = ElementTree.fromstring(drawn(board, window))
    said = {text.text for text in picture.iter("{http://www.w3.org/2000/svg}text")}

    assert {panel.title for panel in board.panels()} <= said
    assert list(picture.iter("{http://www.w3.org/2000/svg}polyline"))


def test_the_exposition_is_clean(observed: Observed) -> None:
    """`promtool check metrics` finds nothing to say about names, types and help."""
    done = subprocess.run(
        ["promtool", "check", "metrics"],
        input=observed.gateway.exposition(),
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_hostile_names_add_no_series(observed: Observed) -> None:
    """Models, users, keys and paths that clients make up share the series of the first such ones."""

    def hostile(number: int) -> None:
        name = f'made-up-{number}"}} 1\n'
        observed.gateway.chat(model=name)
        observed.gateway.chat(user=f"sk-made-up-{number}")
        observed.gateway.chat(user="alice", **{"safety_identifier": name})
        observed.gateway.ask(f"/v1/made-up/{number}", "alice")

    def series() -> tuple[set[str], float]:
        observed.catch_up()
        seen = observed.prometheus.value('scrape_samples_scraped{job="gateway"}')
        return observed.gateway.series(), seen

    hostile(0)
    before, seen_before = series()
    for number in range(1, 10):
        hostile(number)
    after, seen_after = series()

    assert after - before == set()
    assert seen_after == seen_before
