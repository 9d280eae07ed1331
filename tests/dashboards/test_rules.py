"""The rules by Prometheus's own tool: well formed, firing and silent where they should be."""

import shutil
import subprocess

import pytest

from tests.test_architecture import ROOT

needs_promtool = pytest.mark.skipif(
    shutil.which("promtool") is None,
    reason="promtool is not installed (Debian's package prometheus)",
)


def promtool(*arguments: str) -> None:
    """Run promtool. Raises AssertionError with what it says where it finds fault."""
    done = subprocess.run(
        ["promtool", *arguments],
        cwd=ROOT / "dashboards",
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@needs_promtool
def test_the_rules_are_well_formed() -> None:
    """Prometheus takes both files."""
    promtool("check", "rules", "rules/recording.yml", "rules/alerts.yml")


@needs_promtool
@pytest.mark.parametrize(
    "name", sorted(path.name for path in (ROOT / "dashboards" / "tests").glob("*.yml"))
)
def test_alerts_fire_when_they_should(name: str) -> None:
    """Each file's series make the alerts fire, or not, as it says."""
    promtool("test", "rules", f"tests/{name}")


def test_every_alert_is_tested_both_ways() -> None:
    """Of each alert the files say when it fires and when it does not."""
    text = "".join(
        path.read_text("utf-8") for path in (ROOT / "dashboards" / "tests").glob("*.yml")
    )
    rules = (ROOT / "dashboards" / "rules" / "alerts.yml").read_text(encoding="utf-8")
    alerts = [line.split(": ")[1] for line in rules.splitlines() if "- alert: " in line]

    for alert in alerts:
        assert f"alertname: {alert}\n        exp_alerts:\n" in text, alert
        assert f"alertname: {alert}, exp_alerts: []" in text, alert
