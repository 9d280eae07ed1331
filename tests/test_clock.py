"""The real clock, and how a moment is written."""

import asyncio

from gateway.clock import SystemClock, utc_stamp


def test_stamps_are_rfc_3339_in_utc() -> None:
    """A moment is written to the millisecond, and rounds into the next second where it must."""
    assert utc_stamp(0) == "1970-01-01T00:00:00.000Z"
    assert utc_stamp(1_800_000_000.25) == "2027-01-15T08:00:00.250Z"
    assert utc_stamp(1_800_000_000.9996) == "2027-01-15T08:00:01.000Z"


async def test_the_system_clock_calls_back_and_sleeps() -> None:
    """A call comes on the running loop unless it is cancelled; monotonic time does not step back."""
    clock = SystemClock()
    before = clock.monotonic()
    called = asyncio.Event()
    never: list[str] = []
    clock.call_later(0, lambda: never.append("cancelled")).cancel()
    clock.call_later(0, called.set)

    await clock.sleep(0)
    async with asyncio.timeout(5):
        await called.wait()

    assert never == []
    assert clock.monotonic() >= before
    assert clock.time() > 1_700_000_000
