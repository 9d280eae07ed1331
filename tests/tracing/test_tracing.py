"""A tracer where one is configured, and a clear word where its packages are missing."""

import subprocess
import sys

import pytest

from gateway.errors import StartError
from gateway.tracing import open_tracer


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing package is no traceback but the name of the extra."""
    monkeypatch.delitem(sys.modules, "gateway.tracing.otel", raising=False)
    monkeypatch.setitem(sys.modules, "opentelemetry", None)

    with pytest.raises(StartError, match=r"install gateway\[otel\]"):
        open_tracer("http://127.0.0.1:4318")


def test_nothing_is_imported_before_it_is_wanted() -> None:
    """A gateway that does not trace has none of OpenTelemetry in memory: it is imported where a tracer is opened."""
    code = "import sys, gateway.app; print(sorted(m for m in sys.modules if m.startswith('opentelemetry')))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, timeout=60)

    assert done.stdout == b"[]\n"
