"""The stream of events: one look for all, bounded viewers, none waited for."""

from collections.abc import Mapping

from gateway.status.feed import MAX_BEHIND, MAX_VIEWERS, Feed, event
from tests.support.clock import FakeClock


class CountingBoard:
    """Counts how often it is looked at."""

    def __init__(self) -> None:
        self.samples = 0
        self.news_told = 0

    def sample(self) -> None:
        self.samples += 1

    def whole(self) -> Mapping[str, object]:
        return {"calls": []}

    def news(self) -> Mapping[str, object]:
        self.news_told += 1
        return {"number": self.news_told}


class Cut:
    """Notes that a connection was cut."""

    def __init__(self) -> None:
        self.done = False

    def __call__(self) -> None:
        self.done = True


async def test_nobody_looks_and_little_is_done() -> None:
    """The counters are noted every ten seconds, and no figures are made."""
    clock, board = FakeClock(), CountingBoard()
    feed = Feed(board, clock)
    feed.start()
    clock.advance(60)

    assert (board.samples, board.news_told) == (7, 0)


async def test_one_look_a_second_serves_all() -> None:
    """Each viewer is told all there is at first, then the news, which are made once."""
    clock, board = FakeClock(), CountingBoard()
    feed = Feed(board, clock)
    feed.start()
    first, second = feed.join(Cut()), feed.join(Cut())
    assert first is not None
    assert second is not None
    clock.advance(1)

    told = [event("whole", {"calls": []}), event("news", {"number": 1})]
    for viewer in (first, second):
        assert [await viewer.next(), await viewer.next()] == told
        feed.leave(viewer)
    clock.advance(30)
    assert board.news_told == 1


async def test_a_viewer_that_does_not_read_is_let_go() -> None:
    """What waits for it is bounded, and the others go on."""
    clock, board = FakeClock(), CountingBoard()
    feed = Feed(board, clock)
    stalled, reading = Cut(), Cut()
    assert feed.join(stalled) is not None
    reader = feed.join(reading)
    assert reader is not None
    for _ in range(MAX_BEHIND + 1):
        await reader.next()
        clock.advance(1)

    assert stalled.done
    assert not reading.done
    assert len(feed) == 1


async def test_viewers_are_bounded() -> None:
    """One too many is turned away until another leaves."""
    feed = Feed(CountingBoard(), FakeClock())
    viewers = [feed.join(Cut()) for _ in range(MAX_VIEWERS)]
    assert None not in viewers
    assert feed.join(Cut()) is None

    first = viewers[0]
    assert first is not None
    feed.leave(first)

    assert feed.join(Cut()) is not None


async def test_the_end_waits_for_nobody() -> None:
    """Every stream ends, every connection is cut, no timer is left and nobody new is let in."""
    clock, cut = FakeClock(), Cut()
    feed = Feed(CountingBoard(), clock)
    feed.start()
    viewer = feed.join(cut)
    assert viewer is not None
    feed.close()

    assert cut.done
    assert await viewer.next() is not None
    assert await viewer.next() is None
    assert clock.pending == 0
    assert feed.join(Cut()) is None


def test_an_event_is_one_line_whatever_names_hold() -> None:
    """Line breaks, separators and surrogates in a name end no event."""
    name = "a\nb\r\u2028\n\ndata: x\ud800"

    assert event("news", {"name": name}) == (
        b'event: news\ndata: {"name":"a\\nb\\r\\u2028\\n\\ndata: x\\ud800"}\n\n'
    )
