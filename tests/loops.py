"""The loop that tests run on: production's, watched where that is asked for."""

import asyncio
import os

import uvloop

# Set by `make check-all`: no callback may hold a test's loop for longer than this many seconds.
LOOP_HELD_SECONDS = float(os.environ.get("GATEWAY_LOOP_HELD_SECONDS", "0"))


def new_loop() -> asyncio.AbstractEventLoop:
    """Return a loop that complains, in debug mode, of callbacks that take as long as may not be."""
    loop = uvloop.new_event_loop()
    if LOOP_HELD_SECONDS:
        loop.slow_callback_duration = LOOP_HELD_SECONDS
    return loop
