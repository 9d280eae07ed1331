"""Bodies that are streamed up: at the client's pace, framed, never looking whole unless they are."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from gateway.errors import UpstreamCutError, UpstreamTimeoutError
from gateway.types import Upload
from tests.support.clock import FakeClock
from tests.support.raw_upstream import raw_upstream, say, whole
from tests.transport.conftest import MakePool, asked, request, soon, turns

EMPTY = "<Pool [0 active, 0 idle, 0 waiting]>"
TOO_LARGE = whole(b"too large", status=b"413 Payload Too Large")


async def pieces(*parts: bytes, error: Exception | None = None) -> AsyncIterator[bytes]:
    for part in parts:
        yield part
    if error is not None:
        raise error


async def test_uploads(make_pool: MakePool) -> None:
    """A body that is streamed up goes with its length, or in chunks where it has none."""
    async with raw_upstream(say(whole(b"ok"))) as upstream:
        pool = make_pool()
        await asked(
            pool, request(upstream.port, Upload(pieces=pieces(b"ab", b"c"), length_bytes=3))
        )
        await asked(
            pool, request(upstream.port, Upload(pieces=pieces(b"ab", b"c"), length_bytes=None))
        )

    counted, chunks = (bytes(connection.received) for connection in upstream.connections)
    assert counted.endswith(b"Content-Length: 3\r\n\r\nabc")
    assert chunks.endswith(b"Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n")


@pytest.mark.parametrize("parts", [(b"ab",), (b"ab", b"cd")])
async def test_uploads_of_another_length_are_given_up(
    make_pool: MakePool, parts: tuple[bytes, ...]
) -> None:
    """An upload shorter or longer than it announced is never finished."""
    async with raw_upstream(say(then="hang")) as upstream:
        upload = Upload(pieces=pieces(*parts), length_bytes=3)
        with pytest.raises(UpstreamCutError):
            await make_pool().open(request(upstream.port, upload), first_byte_seconds=5)
        await upstream.connections[0].left.wait()


async def test_an_upload_that_fails_never_looks_whole(make_pool: MakePool) -> None:
    """What the client's side raises comes out, and the upstream sees a connection that broke."""
    async with raw_upstream(say(then="hang")) as upstream:
        upload = Upload(pieces=pieces(b"ab", error=KeyError("left")), length_bytes=None)
        with pytest.raises(KeyError):
            await make_pool().open(request(upstream.port, upload), first_byte_seconds=5)
        await upstream.connections[0].left.wait()

    assert not upstream.connections[0].received.endswith(b"0\r\n\r\n")


async def test_an_early_reply_is_taken_and_the_connection_ended(make_pool: MakePool) -> None:
    """An upstream may refuse an upload before it is whole; its connection is not used again."""
    pool = make_pool()

    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b"x" * 65_536
            await asyncio.sleep(0)

    refused = whole(b"too large", status=b"413 Payload Too Large")
    async with raw_upstream(say(refused, then="hang"), eager=True) as upstream:
        upload = Upload(pieces=endless(), length_bytes=None)
        assert await asked(pool, request(upstream.port, upload)) == (413, b"too large")
        await upstream.connections[0].left.wait()
    assert repr(pool) == "<Pool [0 active, 0 idle, 0 waiting]>"


async def stuck(*parts: bytes, begun: asyncio.Event | None = None) -> AsyncIterator[bytes]:
    """Yield the parts of a client that then sends no more, and stays."""
    for part in parts:
        yield part
    if begun is not None:
        begun.set()
    await asyncio.Event().wait()


async def test_an_early_reply_does_not_wait_for_the_clients_next_piece(
    make_pool: MakePool,
) -> None:
    """A refusal is delivered although the client, mid-upload, sends nothing more."""
    pool = make_pool()
    async with raw_upstream(say(TOO_LARGE), eager=True) as upstream:
        upload = Upload(pieces=stuck(b"a"), length_bytes=1000)
        assert await soon(asked(pool, request(upstream.port, upload))) == (413, b"too large")
        await soon(upstream.connections[0].left.wait())

    assert repr(pool) == EMPTY


@pytest.mark.parametrize("then", ["end", "cut"])
async def test_an_upstream_that_dies_mid_upload_is_told_at_once(
    make_pool: MakePool, then: str
) -> None:
    """A connection that ends ends the upload, whatever the client is about to send."""
    async with raw_upstream(say(then=then), eager=True) as upstream:  # type: ignore[arg-type]
        upload = Upload(pieces=stuck(b"a"), length_bytes=None)
        with pytest.raises(UpstreamCutError):
            await soon(asked(make_pool(), request(upstream.port, upload)))


async def test_empty_pieces_do_not_end_an_upload(make_pool: MakePool) -> None:
    """An empty piece is no last chunk."""
    async with raw_upstream(say(whole(b"ok"))) as upstream:
        upload = Upload(pieces=pieces(b"", b"a", b"", b"b", b""), length_bytes=None)
        await asked(make_pool(), request(upstream.port, upload))

    assert upstream.connections[0].received.endswith(b"\r\n\r\n1\r\na\r\n1\r\nb\r\n0\r\n\r\n")


async def test_the_clients_pace_is_not_held_against_the_upstream(make_pool: MakePool) -> None:
    """The wait for a reply begins when the upload is sent; how long that takes is the client's affair."""
    clock = FakeClock()
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        yield b"a"
        begun.set()
        await go_on.wait()
        yield b"b"

    async with raw_upstream(say(then="hang")) as upstream:
        upload = Upload(pieces=slow(), length_bytes=2)
        asking = asyncio.ensure_future(
            make_pool(clock, idle_seconds=5.0).open(
                request(upstream.port, upload), first_byte_seconds=10
            )
        )
        await soon(begun.wait())
        clock.advance(1000)
        go_on.set()
        await soon(upstream.asked.wait())
        clock.advance(9.9)
        assert not asking.done()
        clock.advance(0.2)

        with pytest.raises(UpstreamTimeoutError):
            await soon(asking)


async def test_an_upstream_that_does_not_read_holds_the_client_back(make_pool: MakePool) -> None:
    """Little is taken ahead of a stalled upstream, and after `idle_seconds` it is given up."""
    clock = FakeClock()
    taken = 0
    piece = b"x" * 65_536

    async def endless() -> AsyncIterator[bytes]:
        nonlocal taken
        while True:
            taken += 1
            yield piece

    async with raw_upstream(say(then="hang"), deaf=True) as upstream:
        pool = make_pool(clock, idle_seconds=10.0)
        asking = asyncio.ensure_future(
            pool.open(
                request(upstream.port, Upload(pieces=endless(), length_bytes=None)),
                first_byte_seconds=1000,
            )
        )
        before = -1
        while before != taken:
            before = taken
            await turns(50)
        assert not asking.done()
        clock.advance(11)

        with pytest.raises(UpstreamTimeoutError):
            await soon(asking)
        # The kernel's buffers took megabytes; of ours two pieces wait.
        assert repr(pool) == EMPTY


async def test_a_cancelled_upload_never_looks_whole(make_pool: MakePool) -> None:
    """A client that leaves mid-upload closes the upstream's connection at once."""
    pool = make_pool()
    begun = asyncio.Event()
    async with raw_upstream(say(then="hang")) as upstream:
        upload = Upload(pieces=stuck(b"a", begun=begun), length_bytes=None)
        asking = asyncio.ensure_future(asked(pool, request(upstream.port, upload)))
        await soon(begun.wait())
        asking.cancel()

        with pytest.raises(asyncio.CancelledError):
            await asking
        await soon(upstream.connections[0].left.wait())

    assert not upstream.connections[0].received.endswith(b"0\r\n\r\n")
    assert repr(pool) == EMPTY


async def test_an_upload_never_goes_on_a_connection_that_may_be_stale(make_pool: MakePool) -> None:
    """What cannot be sent twice is sent on a fresh connection, at the limit in place of an idle one."""
    pool = make_pool(max_connections=1)
    async with raw_upstream(say(whole(b"ok"))) as upstream:
        await asked(pool, request(upstream.port))
        upload = Upload(pieces=pieces(b"a"), length_bytes=1)
        assert await asked(pool, request(upstream.port, upload)) == (200, b"ok")
        assert await asked(pool, request(upstream.port)) == (200, b"ok")

    assert [connection.requests for connection in upstream.connections] == [1, 2]


async def test_a_long_body_that_was_refused_early_uses_its_connection_up(
    make_pool: MakePool,
) -> None:
    """A reply that came before a held body was sent leaves a connection on which the rest would follow."""
    pool = make_pool()
    body = b"x" * 32_000_000
    async with raw_upstream(say(TOO_LARGE), deaf=True) as upstream:
        asking = asyncio.ensure_future(asked(pool, request(upstream.port, body)))
        await soon(upstream.connected.wait())
        upstream.connections[0].transport.write(TOO_LARGE)

        assert await soon(asking) == (413, b"too large")
        assert repr(pool) == EMPTY
