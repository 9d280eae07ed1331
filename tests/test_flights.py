"""What a shared call holds of its reply; how clients read one is told in `journey/test_sharing.py`."""

import asyncio

from gateway.cache_entry import Entry, pack, unpack
from gateway.errors import GatewayError, InternalError, RateLimitError
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


async def failures(error: Exception) -> list[BaseException]:
    """Return what each of three readers of a call gets that fails by `error`."""
    flight = Flight(1024, 60.0)
    readers = [Reader(flight) for _ in range(3)]
    reading = [asyncio.ensure_future(one.read(Flight(0, 60.0), as_it_is)) for one in readers]
    await asyncio.sleep(0)
    flight.fail(error)
    told = await asyncio.gather(*reading, return_exceptions=True)
    return [one for one in told if isinstance(one, BaseException)]


async def test_each_who_waited_gets_an_error_of_its_own() -> None:
    """Raising writes on an exception: what one caller does with it changes nothing for the next."""
    error = RateLimitError(
        "Slow down.", code="rate_limit_exceeded", error_type="tokens", headers={"retry-after": "3"}
    )
    told = await failures(error)

    assert len({id(one) for one in told}) == 3
    assert len({id(one.headers) for one in told if isinstance(one, GatewayError)}) == 3
    for one in told:
        assert type(one) is RateLimitError
        assert (one.status, one.body(), one.headers) == (429, error.body(), {"retry-after": "3"})
        assert str(one) == "Slow down."


async def test_a_defect_is_told_in_full_once() -> None:
    """Of fifty who waited one logs where it happened; the others are told what every client is."""
    defect = ZeroDivisionError()
    told = await failures(defect)

    assert told[0] is defect
    assert [type(one) for one in told[1:]] == [InternalError] * 2


async def test_a_defect_in_the_middle_is_not_taken_for_a_break() -> None:
    """What is wrong here, and not upstream, is raised: only then is it logged."""
    flight, client, defect = Flight(1024, 60.0), Flight(0, 60.0), ZeroDivisionError()
    reading = asyncio.ensure_future(Reader(flight).read(client, as_it_is))
    await asyncio.sleep(0)
    flight.start(200, b"OK", (), None)
    flight.fail(defect)

    (told,) = await asyncio.gather(reading, return_exceptions=True)
    assert client.begun
    assert told is defect
