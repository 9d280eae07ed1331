"""What a shared call holds of its reply; how clients read one is told in `journey/test_sharing.py`."""

import asyncio

from gateway.cache_entry import Entry, pack, unpack
from gateway.flights import Flight, Head, Reader
from gateway.types import Headers

PIECE = b"x" * 65_536


def as_it_is(head: Head) -> Headers:
    """Return the head's own fields."""
    return head.headers


async def test_one_who_is_lost_before_it_reads_holds_nothing() -> None:
    """A client that waits for its limits while a long reply passes makes nobody keep that reply for it."""
    flight, quick_client = Flight(1024, 60.0), Flight(0, 60.0)
    quick, waiting = Reader(flight), Reader(flight)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(quick.read(quick_client, as_it_is))
        await asyncio.sleep(0)
        flight.start(200, b"OK", (), None)
        for _ in range(10):
            flight.write(PIECE)
        held = len(flight.body)
        flight.finish()

    assert waiting.lost
    assert held == 0
    assert quick_client.end == 10 * len(PIECE)


async def test_however_many_read_a_kept_reply_it_is_held_once() -> None:
    """A hit copies nothing of what the store has."""
    value = pack(Entry(status=200, headers=(), body=PIECE, stored_at=1.0))
    entry = unpack(value)
    assert entry is not None
    head = Head(200, None, (), "pieces")

    flights = [Flight.of(head, entry.body, 60.0, by_event=False) for _ in range(2)]

    for flight in flights:
        assert isinstance(flight.body, memoryview)
        assert flight.body.obj is value
        assert flight.body == PIECE
