"""Log lines: one a record, readable, never the cause of a stop."""

import io
import json
import logging
import threading

import pytest

from gateway.entries import Entry
from gateway.logs import MAX_WAITING_LINES, Log
from tests.support.clock import FakeClock


def written(style: str, *calls: tuple[str, dict[str, object]]) -> list[str]:
    stream = io.StringIO()
    log = Log("info", style, FakeClock(), stream)
    logger = logging.getLogger("gateway.test")
    for message, fields in calls:
        logger.info(message, extra={"fields": fields})
    log.stop()
    return stream.getvalue().splitlines()


def test_json_lines_carry_their_fields() -> None:
    """Each record is one JSON object with its time, level, message and fields."""
    (line,) = written("json", ("call", {"status": 200, "user": "alice"}))

    entry = json.loads(line)
    assert (entry["level"], entry["message"]) == ("info", "call")
    assert (entry["status"], entry["user"]) == (200, "alice")
    assert entry["time"].endswith("Z")


@pytest.mark.parametrize("style", ["json", "text"])
def test_control_characters_cannot_forge_lines(style: str) -> None:
    """Whatever a name holds, a record stays one line without control characters."""
    lines = written(style, ("call", {"model": "x\ny\x1b[31m\u2028"}), ("two\nlines", {}))

    assert len(lines) == 2
    assert all(line.isprintable() for line in lines)


def test_text_lines_are_for_people() -> None:
    """The text style shows fields as name=value and leaves out what is not known."""
    (line,) = written("text", ("call", {"status": 200, "code": None, "path": "a b"}))

    assert line.endswith('info    call status=200 path="a b"')


def test_a_value_cannot_pose_as_other_fields() -> None:
    """In the text style a value with quotes or equal signs in it stays one value."""
    (line,) = written("text", ("call", {"model": 'x" user=root', "status": 404}))

    assert line.endswith('model="x\\" user=root" status=404')


def test_a_closed_stream_costs_lines_alone() -> None:
    """Logging to a closed stderr drops lines and stops nothing."""
    stream = io.StringIO()
    log = Log("info", "json", FakeClock(), stream)
    stream.close()

    logging.getLogger("gateway.test").info("lost")

    log.stop()


def test_access_lines_are_written_beside() -> None:
    """The line of a call has its fields, as far as they are known, and the time at which the call ended."""
    stream = io.StringIO()
    log = Log("info", "text", FakeClock(), stream)
    log.access(Entry(1_800_000_000.25, "call-1", 200))
    log.stop()

    assert stream.getvalue() == (
        "08:00:00 info    call request_id=call-1 attempts=0 status=200 sent_bytes=0"
        " queue_ms=0.0 total_ms=0.0 own_ms=0.0\n"
    )


def test_lines_that_nobody_takes_are_dropped() -> None:
    """A stderr that stands still costs lines, not memory and not time."""
    standing = threading.Event()

    class Stuck(io.StringIO):
        def write(self, text: str) -> int:
            standing.wait()
            return super().write(text)

    stream = Stuck()
    log = Log("info", "json", FakeClock(), stream)
    for number in range(3 * MAX_WAITING_LINES):
        log.access(Entry(0.0, str(number), 200))
    standing.set()
    log.stop()

    assert 0 < stream.getvalue().count("\n") <= 2 * MAX_WAITING_LINES


def test_warnings_are_rationed() -> None:
    """An upstream that is away fills no disk: ten warnings a second, then a count of those that were not written."""
    stream, clock = io.StringIO(), FakeClock()
    log = Log("info", "json", clock, stream)
    logger = logging.getLogger("gateway.test")
    for number in range(50):
        logger.warning("away %d", number)
        logger.info("fine %d", number)
    clock.advance(1)
    logger.warning("away still")
    log.stop()

    entries = [json.loads(line) for line in stream.getvalue().splitlines()]
    warnings = [entry for entry in entries if entry["level"] == "warning"]
    assert [entry["message"] for entry in warnings] == [
        *(f"away {number}" for number in range(10)),
        "away still",
    ]
    assert warnings[-1]["lines_not_logged"] == 40
    assert len(entries) == 61
