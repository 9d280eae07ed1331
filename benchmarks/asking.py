"""One call at a time on one connection, and how long it took: what load generators for throughput do not tell."""

import http.client
import json
import socket
import time
import urllib.request

from benchmarks.cases import KEY, REPLY, chat
from benchmarks.loads import LoadFailedError
from benchmarks.targets import Running

ANSWER_SECONDS = 60.0


def first_answer(target: Running) -> tuple[float, bool]:
    """Ask until it answers; return the seconds since its start, and whether the bytes are the upstream's.

    Raises LoadFailedError.
    """
    why = ""
    while time.monotonic() < target.began + ANSWER_SECONDS:
        try:
            said = _ask(target)
        except (OSError, http.client.HTTPException) as error:
            why = str(error)
            time.sleep(0.005)
            continue
        took = time.monotonic() - target.began
        if json.loads(said)["choices"][0]["message"] != json.loads(REPLY)["choices"][0]["message"]:
            raise LoadFailedError(f"{target.name} changes the answer")
        return took, said == REPLY
    raise LoadFailedError(f"no answer within {ANSWER_SECONDS:g} s: {why}")


def _ask(target: Running) -> bytes:
    fields = dict(field.split(": ", 1) for field in target.fields)
    ask = urllib.request.Request(
        f"http://127.0.0.1:{target.port}/v1/chat/completions",
        data=chat(),
        headers={"content-type": "application/json", "authorization": f"Bearer {KEY}", **fields},
    )
    with urllib.request.urlopen(ask, timeout=ANSWER_SECONDS) as reply:
        body: bytes = reply.read()
        return body
