"""A gateway that answers from the recordings; with RECORD=1 it asks the real upstream and records it anew."""

import os
import re
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

RECORDINGS = Path(__file__).parent / "recordings"


@pytest.fixture(scope="session", autouse=True)
def gateway() -> Iterator[None]:
    """Run a gateway for the whole suite, and let the SDKs find it."""
    mode = "--replay"
    if os.environ.get("RECORD"):
        mode = "--record"
        for old in RECORDINGS.glob("*.json"):
            old.unlink()
    with subprocess.Popen(
        [
            "gateway",
            "serve",
            mode,
            RECORDINGS,
            "--listen",
            "127.0.0.1:0",
            "--admin-listen",
            "127.0.0.1:0",
        ],
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        found = (re.search(r"listening at (\S+)", line) for line in process.stderr)
        url = next((match[1] for match in found if match), None)
        assert url, "the gateway did not start"
        # It goes on logging: read on, so that the pipe never fills.
        threading.Thread(target=process.stderr.read, daemon=True).start()
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("OPENAI_BASE_URL", url)
            patch.setenv("OPENAI_API_KEY", "none needed")
            yield
        process.terminate()
