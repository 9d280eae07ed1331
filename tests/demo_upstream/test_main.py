"""`python -m gateway.demo_upstream`: a process that says where it is and ends when told."""

import signal
import subprocess
import sys
import urllib.request

import pytest

from tests.support.gateway import HANG_SECONDS

COMMAND = (sys.executable, "-m", "gateway.demo_upstream")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_prints_its_url_and_ends_on_a_signal(number: int) -> None:
    """The first line is where it listens; a signal ends it with 0."""
    with subprocess.Popen(COMMAND, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        with urllib.request.urlopen(f"{url}/v1/models", timeout=HANG_SECONDS) as reply:
            status = reply.status
        process.send_signal(number)
        code = process.wait(HANG_SECONDS)

    assert (status, code) == (200, 0)


@pytest.mark.parametrize(
    ("listen", "code", "words"),
    [("here", 2, "HOST:PORT is wanted"), ("192.0.2.1:1", 1, "cannot listen at 192.0.2.1:1")],
)
def test_a_wrong_address_is_one_line(listen: str, code: int, words: str) -> None:
    """No traceback: wrong usage is 2, an address that is not ours is 1."""
    ran = subprocess.run(
        (*COMMAND, "--listen", listen), capture_output=True, text=True, timeout=60, check=False
    )

    assert ran.returncode == code
    assert words in ran.stderr
    assert "Traceback" not in ran.stderr
