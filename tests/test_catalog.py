"""What the upstreams list: asked for once by all who need it, and again soon where that failed."""

import asyncio
import json

from gateway.catalog import ASK_AGAIN_SECONDS, FRESH_SECONDS, Catalog
from gateway.errors import UpstreamCutError
from gateway.relay import HeldReply, Peer
from gateway.transport import Sink
from gateway.types import Headers, UpstreamRequest
from gateway.upstreams.openai import Base, OpenAIUpstream
from tests.support.clock import FakeClock

LIST = json.dumps({"data": [{"id": "m"}]}).encode()


class Head:
    """A reply's head, and nothing of its body to come."""

    reason = b""
    headers: Headers = ()
    length_bytes: int | None = None
    whole: bytes | None = None

    def __init__(self, status: int) -> None:
        self.status = status
        self._given_up = asyncio.Event()

    async def copy(self, sink: Sink) -> None:
        """Wait until it is given up."""
        await self._given_up.wait()
        raise UpstreamCutError("given up")

    def pause(self) -> None:
        """Do nothing."""

    def resume(self) -> None:
        """Do nothing."""

    def abort(self) -> None:
        """Give up."""
        self._given_up.set()


class Lists:
    """A transport that answers with what it is given, once it may."""

    def __init__(self, *replies: Head | HeldReply) -> None:
        self.replies = list(replies)
        self.asked = 0
        self.may = asyncio.Event()

    async def open(
        self, request: UpstreamRequest, *, first_byte_seconds: float
    ) -> Head | HeldReply:
        """Answer once that is allowed."""
        self.asked += 1
        await self.may.wait()
        return self.replies.pop(0)

    def retire(self) -> None:
        """Do nothing."""

    async def aclose(self) -> None:
        """Do nothing."""


def listing(transport: Lists, clock: FakeClock) -> Catalog:
    base = Base(scheme="http", host="127.0.0.1", port=1, prefix="/v1")
    peer = Peer(
        upstream=OpenAIUpstream(name="a", base=base, api_key=None, passthrough=False),
        transport=transport,
        passthrough=False,
        retries=0,
        retry_on=frozenset(),
        first_byte_seconds=1,
        idle_seconds=1,
        secret=b"",
    )
    return Catalog(peers={"a": peer}, serves={}, aliases=(), clock=clock, on_listed=lambda _: None)


def listed(status: int = 200) -> HeldReply:
    return HeldReply(Head(status), LIST)


async def test_one_who_leaves_takes_the_list_from_nobody() -> None:
    """The list is asked for once, and comes though the first one who needed it left."""
    lists = Lists(listed())
    catalog = listing(lists, FakeClock())
    first, second = (
        asyncio.create_task(catalog.refresh(["a"], max_age_seconds=FRESH_SECONDS)) for _ in "12"
    )
    await asyncio.sleep(0)
    first.cancel()
    lists.may.set()
    await second

    assert lists.asked == 1
    assert catalog.lists("a", "m")


async def test_a_failure_is_not_remembered_as_long_as_a_list() -> None:
    """An upstream that could not say what it has is asked again soon."""
    clock = FakeClock()
    lists = Lists(listed(503), listed())
    lists.may.set()
    catalog = listing(lists, clock)
    await catalog.refresh(["a"], max_age_seconds=FRESH_SECONDS)
    assert catalog.lists("a", "m") is None

    clock.advance(ASK_AGAIN_SECONDS)
    await catalog.refresh(["a"], max_age_seconds=FRESH_SECONDS)
    assert catalog.lists("a", "m")


async def test_a_list_that_does_not_end_is_given_up() -> None:
    """An upstream that never ends its list holds nobody for ever."""
    clock = FakeClock()
    lists = Lists(Head(200))
    lists.may.set()
    asking = asyncio.create_task(
        listing(lists, clock).refresh(["a"], max_age_seconds=FRESH_SECONDS)
    )
    async with asyncio.timeout(5):
        while not clock.pending:  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0)
        clock.advance(10)
        await asking
