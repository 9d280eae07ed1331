"""Questions that the command line asks of running servers: an upstream's models, our own readiness.

Blocking, for the command line alone; the gateway itself never comes here.
"""

import http.client
import json
import socket
import ssl
import threading
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import IO

from gateway.config import Upstream
from gateway.config_types import ListenAddress, TcpAddress, UnixAddress

PROBE_SECONDS = 10.0
MAX_REPLY_BYTES = 8 * 1024 * 1024
_SHOWN_CHARACTERS = 200
_UNAUTHORIZED = frozenset({401, 403})
_LOOPBACK = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  compared with, never bound


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What became of a question: whether it went well, in words, and which models were listed."""

    good: bool
    words: str
    models: frozenset[str] | None = None


def ask_models(upstreams: Sequence[Upstream]) -> Mapping[str, Answer]:
    """Ask every upstream at once for its models; return an answer by each one's name.

    Redirects are not followed and the environment's proxies not obeyed, as in the gateway itself.
    """
    answers: dict[str, Answer] = {}

    def ask(upstream: Upstream) -> None:
        answers[upstream.name] = _ask_models(upstream)

    # Daemons: one that drips its reply does not keep the command from ending.
    threads = [threading.Thread(target=ask, args=(one,), daemon=True) for one in upstreams]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PROBE_SECONDS)
    late = Answer(good=False, words=f"no whole answer within {PROBE_SECONDS:g} s")
    return {upstream.name: answers.get(upstream.name, late) for upstream in upstreams}
