"""A small real OpenAI-like server, scripted by its requests: for the demo, tests and benchmarks.

It is an upstream, not a part of the gateway: nothing here is used to carry a call.
docs/demo.md explains the scripts.
"""

from collections.abc import Sequence

from aiohttp import web

from gateway.clock import Clock
from gateway.demo_upstream.journal import Seen
from gateway.demo_upstream.server import MAX_HEADER_BYTES, Service, make_app

__all__ = ["DemoUpstream", "Seen", "start"]


class DemoUpstream:
    """A running demo upstream."""

    def __init__(self, service: Service, runner: web.AppRunner, url: str) -> None:
        # The origin; clients take `url + "/v1"` for their base URL.
        self.url = url
        self._service = service
        self._runner = runner

    @property
    def requests(self) -> Sequence[Seen]:
        """What was asked so far, newest last; the oldest are forgotten."""
        return self._service.journal.requests

    @property
    def last(self) -> Seen:
        """The newest request. Raises IndexError where there was none."""
        return self._service.journal.requests[-1]

    async def settled(self) -> None:
        """Return when no request is being answered."""
        await self._service.journal.settled()

    async def aclose(self) -> None:
        """Stop listening and cut what is still being answered."""
        await self._runner.cleanup()


async def start(host: str, port: int, clock: Clock, *, pace_ms: float = 0) -> DemoUpstream:
    """Listen at `host` and `port` (0: a free one) and answer from then on.

    `pace_ms` is what passes between two pieces of a stream whose request does not say.
    Raises OSError.
    """
    service = Service(clock, pace_ms)
    runner = web.AppRunner(
        make_app(service),
        access_log=None,
        # Bodies are noted as they came.
        auto_decompress=False,
        # A client that leaves is noticed at once.
        handler_cancellation=True,
        max_line_size=MAX_HEADER_BYTES,
        max_field_size=MAX_HEADER_BYTES,
        # Closing cuts at once; 0 would wait for ever.
        shutdown_timeout=0.01,
    )
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port, backlog=4096)
        await site.start()
    except OSError:
        await runner.cleanup()
        raise
    address: tuple[str, int] = runner.addresses[0]
    return DemoUpstream(service, runner, origin(address[0], address[1]))


def origin(host: str, port: int) -> str:
    """Return the URL of a place to listen at; an IPv6 address gets its brackets."""
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
