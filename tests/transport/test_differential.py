"""A large family of replies read by our own client and by aiohttp's: they see the same, or it stands here who is right.

`GATEWAY_DIFFERENTIAL_EXAMPLES=20000` looks at that many replies, other ones each time.
"""

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, Phase, event, given, settings

from gateway.clock import SystemClock
from gateway.deadlines import Deadlines
from gateway.errors import UpstreamError
from gateway.transport import Transport
from gateway.transport.aiohttp_client import AiohttpTransport
from gateway.transport.pool import Pool
from gateway.types import Headers
from tests.loops import new_loop
from tests.support.raw_upstream import HANG_SECONDS, RawUpstream, Say, raw_upstream, say
from tests.support.replies import CHUNKS, ODDITIES, TRAILERS, Script, scripts, smallest
from tests.transport.conftest import request

EXAMPLES = int(os.environ.get("GATEWAY_DIFFERENTIAL_EXAMPLES", "0"))
USUAL_EXAMPLES = 600

WHOLE = "whole"
CUT = "UpstreamCutError"
PROTOCOL = "UpstreamProtocolError"
SLOW = "UpstreamTimeoutError"


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What a client sees of a reply."""

    outcome: str
    # 0 where the head could not be read.
    status: int = 0
    reason: bytes = b""
    headers: Headers = ()
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Difference:
    """What the two make of an oddity at its smallest, and why ours is right."""

    ours: str
    theirs: str
    why: str


def refused(why: str) -> Difference:
    """Return a difference of the usual kind: aiohttp reads it."""
    return Difference(PROTOCOL, WHOLE, why)


LENIENT = "aiohttp has llhttp be lenient; where two readers may differ, replies are smuggled"

DIFFERENCES = {
    "RTSP": refused("another protocol; llhttp takes it for HTTP/1.0"),
    "empty line before the reply": refused(
        "only servers pass over empty lines, before a request (RFC 9112, 2.2)"
    ),
    "bare LF before the reply": refused(LENIENT),
    "bare LF after the status line": refused(LENIENT),
    "bare LF after a field": refused(LENIENT),
    "bare LF ends the head": refused(LENIENT),
    "NUL in the reason": refused("a reason has no control characters (RFC 9112, 4)"),
    "escape in the reason": refused("as with NUL; and it is shown to people, whose terminals obey"),
    "folded field": refused("folding is obsolete: refused, or else unfolded (RFC 9112, 5.2)"),
    "blank before the first field": refused("such a line is no field (RFC 9112, 2.2)"),
    "control character in a value": refused("a value has none (RFC 9110, 5.5)"),
    "blank after a chunk size": refused("a size is hexadecimal digits (RFC 9112, 7.1)"),
    "blank before an extension": refused(
        "to be read (RFC 9112, 7.1.1), but written by nobody, and llhttp's strict mode refuses it"
    ),
    "bare LF after a chunk": refused(LENIENT),
    "bare LF after an extension": refused(LENIENT),
    "bare LF after a trailer": refused(LENIENT),
    "NUL in a trailer": refused(LENIENT),
    "folded trailer": refused(LENIENT),
    "many interim replies": refused("a server that only ever says 102 holds a call without end"),
    "interim reply that closes": Difference(
        WHOLE, PROTOCOL, "an interim reply says nothing of the final one's end (RFC 9110, 15.2)"
    ),
    "junk after the reply": Difference(
        WHOLE, PROTOCOL, "a reply ends where its framing says; what follows costs the connection"
    ),
}

# Read alike at their smallest, and not everywhere: mostly both refuse, and the connection's end comes first for one.
ELSEWHERE = {
    "HTTP/2.0": Difference(PROTOCOL, CUT, "ours looks at the version before all else"),
    "HTTP/0.9": Difference(PROTOCOL, CUT, "as with HTTP/2.0"),
    "trailer too long": Difference(PROTOCOL, CUT, "both refuse it, ours as it comes"),
    "another reply after the reply": Difference(
        WHOLE, PROTOCOL, "as with junk, after a reply that closes its connection"
    ),
}


class Bench:
    """Both clients and the upstream that they ask, in a loop of their own."""

    def __init__(self) -> None:
        self._runner = asyncio.Runner(loop_factory=new_loop)
        self._stack = contextlib.AsyncExitStack()
        self._upstream: RawUpstream = self._runner.run(
            self._stack.enter_async_context(raw_upstream(say()))
        )
        self._clients = self._runner.run(self._stack.enter_async_context(_clients()))

    def look(self, method: str, saying: Say) -> tuple[Seen, Seen]:
        """Return what ours and what aiohttp's sees of a reply."""
        ours, theirs = self._clients
        return (
            self._runner.run(self._look(ours, method, saying)),
            self._runner.run(self._look(theirs, method, saying)),
        )

    async def _look(self, client: Transport, method: str, saying: Say) -> Seen:
        self._upstream.script(saying)
        self._upstream.connections.clear()
        body = bytearray()
        asked = request(self._upstream.port, b"", method=method)
        async with asyncio.timeout(HANG_SECONDS):
            try:
                reply = await client.open(asked, first_byte_seconds=HANG_SECONDS / 2)
            except UpstreamError as error:
                return Seen(outcome=type(error).__name__)
            try:
                await reply.copy(body.extend)
                outcome = WHOLE
            except UpstreamError as error:
                outcome = type(error).__name__
        return Seen(
            outcome=outcome,
            status=reply.status,
            reason=reply.reason,
            headers=reply.headers,
            body=bytes(body),
        )

    def close(self) -> None:
        """End all of it."""
        self._runner.run(self._stack.aclose())
        self._runner.close()


@contextlib.asynccontextmanager
async def _clients() -> AsyncIterator[tuple[Pool, AiohttpTransport]]:
    deadlines = Deadlines(SystemClock())
    ours = Pool(
        ssl_context=None,
        connect_seconds=5.0,
        idle_seconds=1.0,
        max_connections=10,
        deadlines=deadlines,
    )
    theirs = AiohttpTransport(
        proxy=None,
        ssl_context=None,
        connect_seconds=5.0,
        idle_seconds=1.0,
        max_connections=10,
        deadlines=deadlines,
    )
    yield ours, theirs
    await ours.aclose()
    await theirs.aclose()


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    made = Bench()
    yield made
    made.close()


def same(ours: Seen, theirs: Seen) -> bool:
    """Tell whether a client would notice no difference: of a reply that fails, how much came before is chance."""
    if ours.outcome == theirs.outcome == WHOLE:
        return ours == theirs
    heads = {(seen.status, seen.reason, seen.headers) for seen in (ours, theirs) if seen.status}
    return ours.outcome == theirs.outcome and len(heads) <= 1


def explained(script: Script, ours: Seen, theirs: Seen) -> bool:
    """Tell whether a difference is known; what is odd in two ways may be whole only where each may."""
    if (ours.outcome, theirs.outcome) == (PROTOCOL, SLOW):
        # A bad chunk inside a reply can leave aiohttp's reader waiting for ever, whatever it is.
        return bool(script.oddities & (CHUNKS.keys() | TRAILERS.keys()))
    if script.outcome == "cut" and {ours.outcome, theirs.outcome} == {PROTOCOL, CUT}:
        # What is odd and breaks off as well fails by whichever is seen first.
        return bool(script.oddities)
    table = DIFFERENCES | ELSEWHERE
    known = [table[oddity] for oddity in script.oddities if oddity in table]
    return bool(known) and (ours.outcome != WHOLE or all(row.ours == WHOLE for row in known))


@settings(
    max_examples=EXAMPLES or USUAL_EXAMPLES,
    derandomize=not EXAMPLES,
    database=None,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(script=scripts())
def test_both_see_the_same_or_it_is_known_why(bench: Bench, script: Script) -> None:
    """Every reply is read alike, as it was meant where nothing is odd; where it is not, the table says who is right."""
    ours, theirs = bench.look(script.method, script.saying)

    event(f"{len(script.oddities)} oddities, ours: {ours.outcome}")
    if not script.oddities:
        assert ours.outcome == {"whole": WHOLE, "cut": CUT}[script.outcome]
        assert (
            ours.body == script.body if ours.outcome == WHOLE else script.body.startswith(ours.body)
        )
    assert same(ours, theirs) or explained(script, ours, theirs), (ours, theirs, script)


@pytest.mark.parametrize("oddity", ODDITIES)
def test_each_oddity_by_itself(bench: Bench, oddity: str) -> None:
    """An oddity at its smallest is read alike, or as the table says."""
    ours, theirs = bench.look("POST", say(smallest(oddity), then="end"))

    difference = DIFFERENCES.get(oddity)
    if difference is None:
        assert same(ours, theirs)
    else:
        # In Python's development mode aiohttp has llhttp be strict.
        strict = {PROTOCOL} if sys.flags.dev_mode else set()
        assert ours.outcome == difference.ours
        assert theirs.outcome in {difference.theirs, *strict}


def test_the_tables_name_what_there_is() -> None:
    """A row tells of an oddity that replies are built with, once."""
    assert set(DIFFERENCES) | set(ELSEWHERE) <= set(ODDITIES)
    assert not DIFFERENCES.keys() & ELSEWHERE.keys()
