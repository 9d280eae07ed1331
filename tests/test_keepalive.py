"""Comments while a stream is silent: when they come, and where they may stand."""

import pytest

from gateway.deadlines import Deadlines
from gateway.downstream import ClientLeftError
from gateway.keepalive import KEEPALIVE, Keepalive
from tests.support.clock import FakeClock


class Client:
    """Takes comments, unless it is behind or gone."""

    def __init__(self) -> None:
        self.paused = False
        self.left = False
        self.comments: list[bytes] = []

    def comment(self, data: bytes) -> None:
        """Take a comment."""
        if self.left:
            raise ClientLeftError
        self.comments.append(data)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def client() -> Client:
    return Client()


@pytest.fixture
def keepalive(client: Client, clock: FakeClock) -> Keepalive:
    return Keepalive(client, Deadlines(clock), 10.0)


def test_silence_is_filled(client: Client, keepalive: Keepalive, clock: FakeClock) -> None:
    """A comment comes after each ten seconds of silence, the first of them too, and none after the end."""
    clock.advance(9.0)
    keepalive.note(b"data: 1\n\n")
    clock.advance(9.0)
    assert client.comments == []
    clock.advance(2.0)
    clock.advance(11.0)
    assert client.comments == [KEEPALIVE] * 2

    keepalive.stop()
    clock.advance(60.0)
    assert client.comments == [KEEPALIVE] * 2


@pytest.mark.parametrize(
    ("pieces", "may_be"),
    [
        ([b"data: 1\n\n"], True),
        ([b"data: 1\r\n\r\n"], True),
        ([b"data: 1\r\r"], True),
        ([b"data: 1\r\n", b"\r\n"], True),
        ([b"data: 1\n", b"\n"], True),
        ([b"data: 1\n"], False),
        ([b"data: 1\n\n", b"d"], False),
    ],
)
def test_comments_stand_between_events(
    pieces: list[bytes], may_be: bool, client: Client, keepalive: Keepalive, clock: FakeClock
) -> None:
    """No event is cut by a comment, whatever its line ends and however it came."""
    for piece in pieces:
        keepalive.note(piece)
    clock.advance(11.0)

    assert bool(client.comments) is may_be


def test_who_is_behind_or_gone_gets_none(
    client: Client, keepalive: Keepalive, clock: FakeClock
) -> None:
    """A client that does not keep up has enough to read; one that left is found by others."""
    client.paused = True
    clock.advance(11.0)
    client.paused, client.left = False, True
    clock.advance(11.0)
    assert client.comments == []

    client.left = False
    clock.advance(11.0)
    assert client.comments == [KEEPALIVE]
    keepalive.stop()
