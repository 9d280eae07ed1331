"""What comes of a request's body: counted, in chunks, held up to a bound."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import InvalidRequestError
from gateway.listener.body import HELD_BYTES, Body, Chunks


class Sender:
    """Notes whether it has to wait."""

    waits = False

    def pause_reading(self) -> None:
        self.waits = True

    def resume_reading(self) -> None:
        self.waits = False


def fed(raw: bytes, step: int) -> tuple[bytes, bool, bytes]:
    """Feed a chunked body in pieces of `step` bytes; return the body, whether it is whole, and what is behind it."""
    chunks = Chunks()
    body = b""
    for at in range(0, len(raw), step):
        body += chunks.feed(raw[at : at + step])
        if chunks.complete:
            return body, True, chunks.surplus + raw[at + step :]
    return body, False, b""


GOOD = {
    "one": b"5\r\nhello\r\n0\r\n\r\n",
    "several": b"2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
    "zeros and capitals": b"0000000000000000000000005\r\nhello\r\n000\r\n\r\n",
    "extensions": b'5;a=b;c="d"\r\nhello\r\n0;e\r\n\r\n',
    "a long extension": b"5;" + b"a" * 100_000 + b"\r\nhello\r\n0\r\n\r\n",
    "trailers": b"5\r\nhello\r\n0\r\nX-Sum: 1\r\nX-B:\r\n\r\n",
}


@pytest.mark.parametrize("step", [1, 2, 3, 7, 1000_000])
@pytest.mark.parametrize("raw", GOOD.values(), ids=GOOD)
def test_chunks(raw: bytes, step: int) -> None:
    """However they come, chunks are the same body, and what is behind it is left."""
    assert fed(raw + b"GET /", step) == (b"hello", True, b"GET /")


BAD = {
    "no size": b"\r\nhello",
    "a sign": b"+5\r\nhello\r\n",
    "hex": b"0x5\r\nhello\r\n",
    "an underscore": b"0_5\r\nhello\r\n",
    "a blank before": b" 5\r\nhello\r\n",
    "a blank behind": b"5 \r\nhello\r\n",
    "too large": b"1234567890123456\r\nhello",
    "digits without end": b"0" * 100,
    "a bare line feed": b"5\nhello\r\n",
    "a bare line feed behind an extension": b"5;a\nhello\r\n",
    "a NUL in an extension": b"5;a\x00\r\nhello\r\n",
    "too long": b"5\r\nhello!\r\n",
    "a line feed behind": b"5\r\nhello\n0\r\n\r\n",
    "a trailer without a colon": b"0\r\nX\r\n\r\n",
    "a folded trailer": b"0\r\nX: a\r\n b\r\n\r\n",
    "a trailer with a NUL": b"0\r\nX: \x00\r\n\r\n",
    "a length behind": b"0\r\nContent-Length: 5\r\n\r\n",
    "trailers without end": b"0\r\n" + b"X: %b\r\n" % (b"x" * 1000) * 70,
}


@pytest.mark.parametrize("step", [1, 3, 1000_000])
@pytest.mark.parametrize("raw", BAD.values(), ids=BAD)
def test_bad_chunks(raw: bytes, step: int) -> None:
    """What is no chunk is refused, however it comes."""
    with pytest.raises(InvalidRequestError, match="framing"):
        fed(raw, step)


@given(
    st.lists(st.binary(min_size=1, max_size=40), max_size=6),
    st.integers(1, 50),
    st.binary(max_size=20),
)
def test_any_body_comes_back(pieces: list[bytes], step: int, behind: bytes) -> None:
    """Whatever is put in chunks comes out of them."""
    raw = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
    body = b"".join(pieces)
    assert fed(raw + b"0\r\n\r\n" + behind, step) == (body, True, behind)


async def test_a_counted_body_ends_where_it_said() -> None:
    """What is behind it is not of it, and at its end there is nothing more."""
    body = Body(5, Sender())
    assert body.feed(b"hel") == b""
    assert await body.read() == b"hel"
    assert body.feed(b"loGET") == b"GET"
    assert body.complete
    assert await body.read() == b"lo"
    assert await body.read() == b""


async def test_who_reads_waits_for_what_comes() -> None:
    """A reader is told as soon as there is something."""
    body = Body(None, Sender())
    reading = asyncio.create_task(body.read())
    await asyncio.sleep(0)
    body.feed(b"5\r\nhe")
    assert await reading == b"he"


async def test_a_sender_that_is_too_fast_waits() -> None:
    """No more is held than the bound and one read; who reads lets it go on."""
    sender = Sender()
    body = Body(1_000_000, sender)
    body.feed(b"x" * HELD_BYTES)
    assert not sender.waits
    body.feed(b"x")
    assert sender.waits
    await body.read()
    assert not sender.waits


async def test_what_fails_is_told_to_who_reads() -> None:
    """Bad framing, or a deadline, ends the reading, and what still comes is dropped."""
    body = Body(None, Sender())
    reading = asyncio.create_task(body.read())
    await asyncio.sleep(0)
    assert body.feed(b"nonsense") == b""
    with pytest.raises(InvalidRequestError, match="framing"):
        await reading
    assert body.feed(b"more") == b""
    with pytest.raises(InvalidRequestError, match="framing"):
        await body.read()
