"""Clients in other environments: a script of named cases is run once, and each case is a test of its own.

The script prints a JSON line for each case: its name, and what went wrong or null.
"""

import json
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.sdk.conftest import HANG_SECONDS, Demo, Gateway

HERE = Path(__file__).parent
ROOT = HERE.parent.parent


def names(script: Path, pattern: str) -> list[str]:
    """Return the names of a script's cases, by the expression that finds their definitions."""
    return re.findall(pattern, script.read_text(encoding="utf-8"), re.MULTILINE)


def outcomes(command: Sequence[str], gateway: Gateway, demo: Demo) -> dict[str, str | None]:
    """Run a script against a gateway; return for each case what went wrong, None where nothing did.

    The clients find the gateway where programs tell it: in the environment.
    """
    ran = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=HANG_SECONDS,
        check=False,
        env={
            "OPENAI_API_BASE": gateway.base_url,
            "OPENAI_BASE_URL": gateway.base_url,
            "OPENAI_API_KEY": gateway.key,
            "DEMO_ORIGIN": demo.origin,
        },
    )
    if ran.returncode:
        pytest.fail(ran.stderr)
    lines = [json.loads(line) for line in ran.stdout.splitlines()]
    return {line["case"]: line["error"] for line in lines}
