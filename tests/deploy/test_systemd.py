"""The systemd unit: what systemd itself says of it, and that it fits the code."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.config import Server
from gateway.console import WRONG
from tests.test_architecture import ROOT

UNIT = ROOT / "examples" / "systemd" / "gateway.service"
TEXT = UNIT.read_text(encoding="utf-8")
# Of ten; below two systemd says OK.
EXPOSURE = 2.0

needs_systemd = pytest.mark.external("GATEWAY_SYSTEMD_ANALYZE")


def setting(name: str) -> str:
    """Return what the unit sets once."""
    (value,) = re.findall(rf"^{name}=(.*)$", TEXT, re.MULTILINE)
    return str(value)


def analyzed(*arguments: str | Path) -> str:
    done = subprocess.run(
        [os.environ["GATEWAY_SYSTEMD_ANALYZE"], *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


@needs_systemd
def test_systemd_knows_every_setting(tmp_path: Path) -> None:
    """`systemd-analyze verify` finds nothing, but for the program, which is not installed here."""
    copy = tmp_path / "gateway.service"
    copy.write_text(TEXT.replace("/opt/gateway/bin/gateway", sys.executable), encoding="utf-8")

    assert "gateway.service" not in analyzed("verify", "--man=no", copy)


@needs_systemd
def test_it_is_hardened() -> None:
    """`systemd-analyze security` finds little that the gateway could do beyond its work."""
    said = analyzed("security", "--offline=true", "--no-pager", UNIT)
    (level,) = re.findall(r"Overall exposure level for gateway.service: ([\d.]+)", said)

    assert float(level) < EXPOSURE


def test_stopping_takes_as_long_as_draining() -> None:
    """The service manager waits for the gateway's grace and ten seconds."""
    assert float(setting("TimeoutStopSec")) == Server().shutdown_grace + 10


def test_a_wrong_configuration_is_not_tried_again() -> None:
    """Exit code 2 ends it; a crash starts it anew; HUP reads the configuration."""
    assert setting("RestartPreventExitStatus") == str(WRONG)
    assert setting("Restart") == "on-failure"
    assert setting("ExecReload") == "/bin/kill -HUP $MAINPID"
    assert setting("ExecStart") == "/opt/gateway/bin/gateway serve -c /etc/gateway/config.yaml"
