"""The demo: it runs without a key and without a file, and shows what the gateway does."""

import re
import subprocess
import sys
import urllib.request
from collections.abc import Iterator

import pytest

from gateway.__main__ import main


def test_the_demo_listens_where_the_environment_says(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a flag the variable decides, and is named where it is wrong."""
    monkeypatch.setenv("GATEWAY_LISTEN", "4000")

    assert main(["demo"]) == 2
    assert capsys.readouterr().err == (
        "GATEWAY_LISTEN: expected an address such as 127.0.0.1:4000\n"
    )


@pytest.fixture
def url() -> Iterator[str]:
    """Run the demo at a free port."""
    with subprocess.Popen(
        [sys.executable, "-m", "gateway", "demo", "--listen", "127.0.0.1:0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as demo:
        try:
            for line in demo.stdout or ():
                if found := re.search(r"curl (http://\S+)/chat", line):
                    yield found.group(1)
                    break
        finally:
            demo.terminate()


def test_the_demo_shows_its_cache_and_its_limit(url: str) -> None:
    """What is asked twice is answered from the cache, and each reply says what is left of the limit."""
    replies = []
    for _ in range(2):
        request = urllib.request.Request(
            f"{url}/chat/completions",
            b'{"model":"demo","messages":[{"role":"user","content":"Say this is a test"}]}',
            {"content-type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=10) as reply:
            replies.append((reply.headers, reply.read()))

    (first, body), (second, again) = replies
    assert first["cache-status"] == "gateway; fwd=miss"
    assert second["cache-status"].startswith("gateway; hit; ttl=")
    assert again == body
    assert second["x-ratelimit-limit-requests"] == "6000"
