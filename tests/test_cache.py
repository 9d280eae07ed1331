"""Which calls the cache answers, and what it keeps."""

from dataclasses import dataclass

import pytest

from gateway.cache import Cache, Directives, Wanted, directives
from gateway.cache_entry import Entry
from gateway.json_body import decode
from gateway.stores.values import MemoryValues
from gateway.types import Call, Headers, Target, User
from tests.support.clock import FakeClock

ALICE = User(name="alice")
TARGET = Target(upstream="up", model="m", asked="m")
JSON = ((b"Content-Type", b"application/json"), (b"Content-Length", b"9"))
SSE = ((b"Content-Type", b"text/event-stream; charset=utf-8"),)


def cache(clock: FakeClock | None = None, **changes: object) -> Cache:
    clock = clock or FakeClock()
    options: dict[str, object] = {
        "values": MemoryValues(clock, 1 << 20),
        "clock": clock,
        "ttl_seconds": 60.0,
        "max_entry_bytes": 100_000,
        "shared": False,
        "when": "deterministic",
    }
    return Cache(**{**options, **changes})  # type: ignore[arg-type]


def call(path: str, body: bytes, *, headers: Headers = (), key: str | None = None) -> Call:
    payload = decode(body)
    return Call(
        endpoint="/v1" + path, method="POST", target=path, headers=headers, body=body,
        payload=payload, model="m", credential=key,
    )  # fmt: skip


def wanted(made: Cache, one: Call, user: User = ALICE) -> Wanted | None:
    return made.wanted(user, one, (TARGET,), tuple)


@pytest.mark.parametrize(
    ("path", "body", "repeats", "may_be"),
    [
        ("/chat/completions", b'{"temperature":0}', True, True),
        ("/chat/completions", b'{"temperature":0.0}', True, True),
        ("/chat/completions", b'{"temperature":1,"seed":0}', True, True),
        ("/chat/completions", b'{"temperature":false}', False, True),
        ("/chat/completions", b'{"temperature":0.1}', False, True),
        ("/chat/completions", b'{"seed":null}', False, True),
        ("/chat/completions", b"{}", False, True),
        ("/chat/completions", b'{"temperature":0,"store":true}', False, False),
        ("/chat/completions", b'{"temperature":0,"store":false}', True, True),
        ("/chat/completions", b'{"temperature":0,"web_search_options":{}}', False, False),
        ("/completions", b'{"seed":1}', True, True),
        ("/embeddings", b"{}", True, True),
        ("/responses", b'{"temperature":0}', False, False),
        ("/responses", b'{"temperature":0,"store":null}', False, False),
        ("/responses", b'{"temperature":0,"store":false}', True, True),
        ("/responses", b'{"store":false}', False, True),
        ("/responses", b'{"temperature":0,"store":false,"background":true}', False, False),
        ("/responses", b'{"temperature":0,"store":false,"background":false}', True, True),
        ("/responses", b'{"temperature":0,"store":false,"conversation":"c"}', False, False),
        ("/responses", b'{"temperature":0,"store":false,"previous_response_id":"r"}', False, False),
        ("/responses", b'{"temperature":0,"store":false,"prompt":{"id":"p"}}', False, False),
        (
            "/responses",
            b'{"temperature":0,"store":false,"tools":[{"type":"web_search"}]}',
            False,
            False,
        ),
        (
            "/responses",
            b'{"temperature":0,"store":false,"tools":[{"type":"function"}]}',
            True,
            True,
        ),
        (
            "/responses",
            b'{"temperature":0,"store":false,"input":[{"type":"item_reference"}]}',
            False,
            False,
        ),
        ("/moderations", b"{}", False, False),
        ("/images/generations", b'{"seed":1}', False, False),
    ],
)
def test_which_calls_are_answered(path: str, body: bytes, repeats: bool, may_be: bool) -> None:
    """Those whose answer repeats; `always` and a client's max-age widen it, but never to what has a state."""
    plain = call(path, body)
    asking = call(path, body, headers=((b"Cache-Control", b"max-age=5"),))

    assert (wanted(cache(), plain) is not None) == repeats
    assert (wanted(cache(when="always"), plain) is not None) == may_be
    assert (wanted(cache(), asking) is not None) == may_be


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"", Directives()),
        (b"no-store", Directives(no_store=True)),
        (b"No-Cache, MAX-AGE=0", Directives(no_cache=True, max_age_seconds=0)),
        (b'max-age="30"', Directives(max_age_seconds=30)),
        (b"max-age=30, max-age=20", Directives(max_age_seconds=20)),
        (b"max-age", Directives()),
        (b"max-age=-1", Directives()),
        (b"max-age=1e9", Directives()),
        (b"max-age=99999999999", Directives()),
        (b"no-storex,only-if-cached, no-transform", Directives()),
    ],
)
def test_what_a_client_may_say(value: bytes, expected: Directives) -> None:
    """Three directives are obeyed, however they are spelled; all else is passed over."""
    assert directives(((b"Accept", b"*/*"), (b"cache-CONTROL", value))) == expected


def test_directives_may_come_in_several_fields() -> None:
    """Two fields say what one with a comma says."""
    fields = ((b"Cache-Control", b"no-cache"), (b"Cache-Control", b"max-age=7"))

    assert directives(fields) == Directives(no_cache=True, max_age_seconds=7)


def test_users_never_share_unless_that_is_configured() -> None:
    """Names tell users apart, and keys those that have no name in the configuration."""
    same = call("/embeddings", b"{}")
    bob = User(name="bob")
    stranger = User(name="key-1", configured=False)
    keyed = call("/embeddings", b"{}", key="sk-1")
    other = call("/embeddings", b"{}", key="sk-2")
    own, shared = cache(), cache(shared=True)

    assert wanted(own, same) != wanted(own, same, bob)
    assert wanted(own, keyed) == wanted(own, other)
    assert wanted(own, keyed, stranger) != wanted(own, other, stranger)
    assert wanted(shared, same) == wanted(shared, same, bob)


ENTRY = Entry(status=200, headers=(), body=b"body", stored_at=1_800_000_000.0)


async def test_what_is_kept_is_found_while_it_is_fresh() -> None:
    """A hit says how old it is and how long it lasts; a client may want it younger, or not at all."""
    clock = FakeClock()
    kept = cache(clock)
    await kept.keep(Wanted(key="k"), ENTRY)
    clock.advance(20.5)

    hit = await kept.find(Wanted(key="k"))
    assert hit is not None
    assert (hit.entry, hit.age_seconds, hit.ttl_seconds) == (ENTRY, 20, 39)
    assert await kept.find(Wanted(key="k", max_age_seconds=21)) is not None
    assert await kept.find(Wanted(key="k", max_age_seconds=20)) is None
    assert await kept.find(Wanted(key="k", anew=True)) is None
    assert await kept.find(Wanted(key="other")) is None
    clock.advance(39.5)
    assert await kept.find(Wanted(key="k")) is None


async def test_a_clock_that_steps_makes_nothing_older_than_it_may_be() -> None:
    """A stamp from the future counts as new, and the store's own time still ends it."""
    clock = FakeClock()
    kept = cache(clock)
    await kept.keep(Wanted(key="k"), ENTRY)
    clock.step(-3600)
    hit = await kept.find(Wanted(key="k"))
    assert hit is not None
    assert (hit.age_seconds, hit.ttl_seconds) == (0, 60)
    clock.advance(60)
    assert await kept.find(Wanted(key="k")) is None


async def test_a_shorter_time_holds_for_what_is_kept_already() -> None:
    """After a reload nothing older than the new `ttl` is served."""
    clock = FakeClock()
    values = MemoryValues(clock, 1 << 20)
    await cache(clock, values=values).keep(Wanted(key="k"), ENTRY)
    clock.advance(20)

    assert await cache(clock, values=values, ttl_seconds=10.0).find(Wanted(key="k")) is None


async def test_what_is_too_large_is_not_kept() -> None:
    """`max_entry` is the largest body."""
    small = cache(max_entry_bytes=3)
    await small.keep(Wanted(key="k"), ENTRY)

    assert await small.find(Wanted(key="k")) is None


async def test_what_stands_there_by_others_is_a_miss() -> None:
    """Bytes that are no entry answer nothing."""
    made = cache()
    await made.values.set("k", b"garbage", 60)

    assert await made.find(Wanted(key="k")) is None


@dataclass(frozen=True)
class Noted:
    """What was noted of a reply."""

    ended: bool = True
    complete: bool = True
    error: object | None = None


@pytest.mark.parametrize(
    ("status", "headers", "noted", "size", "target", "expected"),
    [
        (200, JSON, Noted(), 9, TARGET, True),
        (200, SSE, Noted(), 9, TARGET, True),
        (200, JSON, Noted(), 9, Target(upstream="up", model="m"), True),
        (200, JSON, Noted(), 9, Target(upstream="up", model="x", asked="other"), False),
        (201, JSON, Noted(), 9, TARGET, False),
        (404, JSON, Noted(), 9, TARGET, False),
        (200, JSON, Noted(error="busy"), 9, TARGET, False),
        (200, JSON, Noted(complete=False), 9, TARGET, False),
        (200, JSON, Noted(complete=False), 70_000, TARGET, True),
        (200, JSON, Noted(complete=False, ended=False), 70_000, TARGET, False),
        (200, JSON[:1], Noted(complete=False), 70_000, TARGET, False),
        (200, SSE, Noted(complete=False), 70_000, TARGET, False),
        (200, JSON, Noted(), 100_001, TARGET, False),
        (200, ((b"Content-Type", b"text/html"),), Noted(), 9, TARGET, False),
        (200, (), Noted(), 9, TARGET, False),
    ],
)
def test_which_replies_are_kept(
    status: int, headers: Headers, noted: Noted, size: int, target: Target, expected: bool
) -> None:
    """Whole and successful ones of the model that was asked for, in a form that shows it."""
    one = call("/embeddings", b"{}")

    assert cache().may_keep(one, target, status, headers, noted, size) is expected


class Copying:
    """Values that come as a copy each time, as from a server."""

    def __init__(self, clock: FakeClock) -> None:
        self.inner = MemoryValues(clock, 1 << 20)

    async def get(self, key: str) -> bytes | None:
        value = await self.inner.get(key)
        return None if value is None else bytes(bytearray(value))

    async def set(self, key: str, value: bytes, ttl_seconds: float) -> None:
        await self.inner.set(key, value, ttl_seconds)


async def test_what_several_read_is_held_once_whatever_the_store_gives() -> None:
    """Hits that are read at the same time share one copy, until the store has another reply."""
    clock = FakeClock()
    made = cache(clock, values=Copying(clock))
    asked = Wanted(key="k")
    await made.keep(asked, Entry(status=200, headers=(), body=b"one", stored_at=clock.time()))
    first, second = await made.find(asked), await made.find(asked)
    await made.keep(asked, Entry(status=200, headers=(), body=b"two", stored_at=clock.time()))
    third = await made.find(asked)

    assert first is not None
    assert second is not None
    assert third is not None
    assert second.entry is first.entry
    assert (bytes(first.entry.body), bytes(third.entry.body)) == (b"one", b"two")
    del first, second, third
    assert not made._read
