"""A reply between its connection and the relay: what is kept, when reading stops, what ends it."""

import asyncio
import math

import pytest

from gateway.errors import UpstreamCutError, UpstreamProtocolError, UpstreamTimeoutError
from gateway.transport.reply import Reply
from tests.transport.conftest import soon, turns

HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n"
IDLE_SECONDS = 300.0


class FakeWire:
    """Notes what the reply wants of its connection."""

    def __init__(self) -> None:
        self.due = 0.0
        self.reading = True
        self.ended = ""

    def due_at(self, when: float) -> None:
        """Note a deadline."""
        self.due = when

    def due_in_idle_seconds(self) -> None:
        """Note the longest pause."""
        self.due = IDLE_SECONDS

    def pause_reading(self) -> None:
        """Note that nothing is read."""
        self.reading = False

    def resume_reading(self) -> None:
        """Note that it is read on."""
        self.reading = True

    def release(self, *, reusable: bool, keepalive_seconds: int | None) -> None:
        """Note the end of the exchange."""
        self.ended = "reusable" if reusable else "used up"

    def abort(self) -> None:
        """Note the end of the connection."""
        self.ended = "aborted"


@pytest.fixture
def wire() -> FakeWire:
    return FakeWire()


@pytest.fixture
def reply(wire: FakeWire) -> Reply:
    return Reply(wire, "POST")


def give(reply: Reply, data: bytes) -> None:
    reply.take(memoryview(data))


async def test_bytes_are_handed_on_as_they_come(reply: Reply, wire: FakeWire) -> None:
    """Each read's bytes are with the sink before the read is over, in one piece."""
    pieces: list[bytes] = []
    give(reply, HEAD)
    copying = asyncio.ensure_future(reply.copy(pieces.append))
    await turns()

    give(reply, b"hello")
    assert pieces == [b"hello"]
    give(reply, b"world")
    assert pieces == [b"hello", b"world"]

    await soon(copying)
    assert wire.ended == "reusable"


async def test_a_body_that_nobody_takes_yet_stops_the_reading(reply: Reply, wire: FakeWire) -> None:
    """One read at most is kept before the body is asked for; then it comes first."""
    pieces: list[bytes] = []
    give(reply, HEAD + b"hello")
    assert not wire.reading
    assert wire.due == math.inf

    copying = asyncio.ensure_future(reply.copy(pieces.append))
    await turns()
    assert pieces == [b"hello"]
    assert wire.reading
    assert wire.due == IDLE_SECONDS

    give(reply, b"world")
    await soon(copying)


async def test_a_reply_in_one_read_is_copied_at_once(reply: Reply, wire: FakeWire) -> None:
    """A reply that came whole frees its connection before its body is taken."""
    pieces: list[bytes] = []
    give(reply, HEAD + b"helloworld")
    assert wire.ended == "reusable"

    await reply.copy(pieces.append)

    assert pieces == [b"helloworld"]


async def test_a_pause_stops_reading_and_the_clock(reply: Reply, wire: FakeWire) -> None:
    """While the client does not keep up nothing is read and nothing held against the upstream, from the start on."""
    give(reply, HEAD)
    reply.pause()
    copying = asyncio.ensure_future(reply.copy(lambda data: None))
    await turns()
    assert (wire.reading, wire.due) == (False, math.inf)

    reply.resume()
    assert (wire.reading, wire.due) == (True, IDLE_SECONDS)
    reply.pause()
    assert (wire.reading, wire.due) == (False, math.inf)

    copying.cancel()
    await asyncio.gather(copying, return_exceptions=True)


async def test_a_whole_reply_does_not_touch_its_connection(reply: Reply, wire: FakeWire) -> None:
    """Pausing, resuming or giving up a reply that is whole leaves the connection to the next one."""
    give(reply, HEAD + b"helloworld")
    wire.reading, wire.due = True, 1.0

    reply.pause()
    reply.resume()
    reply.abort()

    assert (wire.reading, wire.due, wire.ended) == (True, 1.0, "reusable")


async def test_what_the_sink_raises_comes_out_and_closes(reply: Reply, wire: FakeWire) -> None:
    """A sink that fails, at once or later, ends the reply and its connection."""

    def sink(data: bytes) -> None:
        raise LookupError(data)

    give(reply, HEAD)
    copying = asyncio.ensure_future(reply.copy(sink))
    await turns()
    give(reply, b"helloworld")

    with pytest.raises(LookupError, match="helloworld"):
        await soon(copying)
    assert wire.ended == "aborted"

    early, early_wire = Reply(wire := FakeWire(), "POST"), wire
    give(early, HEAD + b"hello")
    with pytest.raises(LookupError):
        await early.copy(sink)
    assert early_wire.ended == "aborted"


async def test_cancelling_the_copy_closes(reply: Reply, wire: FakeWire) -> None:
    """A copy whose task is cancelled closes its connection at once."""
    give(reply, HEAD)
    copying = asyncio.ensure_future(reply.copy(lambda data: None))
    await turns()

    copying.cancel()
    await asyncio.gather(copying, return_exceptions=True)

    assert wire.ended == "aborted"
    give(reply, b"helloworld")


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (None, UpstreamCutError),
        (ConnectionResetError(), UpstreamCutError),
        (OSError(110, "timed out"), UpstreamCutError),
    ],
)
async def test_a_connection_that_ends_early_cuts(
    reply: Reply, error: Exception | None, expected: type[Exception]
) -> None:
    """What came before the cut is handed on, and then the cut is told."""
    pieces: list[bytes] = []
    give(reply, HEAD + b"hello")
    reply.ended(error)

    with pytest.raises(expected):
        await reply.copy(pieces.append)
    assert pieces == [b"hello"]


async def test_an_end_in_order_completes_what_it_delimits() -> None:
    """A reply without length or chunks is whole on a clean end, and cut by any other."""
    for error in (None, ConnectionResetError()):
        reply = Reply(FakeWire(), "POST")
        give(reply, b"HTTP/1.1 200 OK\r\n\r\n")
        copying = asyncio.ensure_future(reply.copy(lambda data: None))
        await turns()
        give(reply, b"hello")

        reply.ended(error)

        if error is None:
            await soon(copying)
        else:
            with pytest.raises(UpstreamCutError):
                await soon(copying)


async def test_the_first_failure_is_the_one_that_is_told(reply: Reply) -> None:
    """What follows a failure, the aborted connection's end included, does not hide it."""
    give(reply, HEAD)
    reply.fail(UpstreamTimeoutError("slow"))
    reply.ended(ConnectionResetError())
    reply.abort()

    with pytest.raises(UpstreamTimeoutError):
        await reply.copy(lambda data: None)


async def test_bad_framing_in_the_middle_ends_the_reply(wire: FakeWire) -> None:
    """A bad chunk is a protocol error for who copies, and the connection is closed."""
    reply = Reply(wire, "POST")
    give(reply, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    copying = asyncio.ensure_future(reply.copy(lambda data: None))
    await turns()

    give(reply, b"0x5\r\nhello\r\n")

    with pytest.raises(UpstreamProtocolError):
        await soon(copying)
    assert wire.ended == "aborted"


async def test_bytes_after_a_reply_use_its_connection_up(reply: Reply, wire: FakeWire) -> None:
    """A reply with something behind it is whole, and its connection is not used again."""
    give(reply, HEAD + b"helloworld!")

    await reply.copy(lambda data: None)

    assert wire.ended == "used up"
