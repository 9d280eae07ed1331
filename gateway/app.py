"""A gateway as a whole: two listeners around the parts that a configuration makes, and the way to run it.

`compose.py` makes the parts; how a gateway lives (signals, reloads, draining) is `lifecycle.py`'s.
"""

import asyncio
import gc
import logging
import resource
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Protocol

import uvloop
from aiohttp import web

from gateway import __version__
from gateway import config as c
from gateway.admin import Admin
from gateway.binding import bind
from gateway.catalog import is_glob
from gateway.clock import Clock, SystemClock
from gateway.compose import Composer
from gateway.compose_sections import status_page
from gateway.config_loader import Loaded
from gateway.config_tree import ConfigError
from gateway.deadlines import Deadlines
from gateway.door import RequestIds
from gateway.downstream import error_reply, head_bytes
from gateway.entries import Entry
from gateway.errors import GatewayError, StartError
from gateway.ledger import Ledger
from gateway.lifecycle import live, wait_until
from gateway.listener import Listener
from gateway.listener.connection import Connection
from gateway.listener.head import Request
from gateway.logs import Log
from gateway.metering import Meter
from gateway.metrics import Metrics
from gateway.replies import http_date
from gateway.status.board import StatusBoard
from gateway.status.routes import StatusPage
from gateway.tasks import Tasks
from gateway.types import Headers

# How often it is looked whether an upstream's list of models is old; after a reload it is new.
REFRESH_SECONDS = 30.0
# How often it is looked how late the event loop is.
LAG_SECONDS = 0.5
# How long a call that was cut at the end may take to settle what it came to.
SETTLE_SECONDS = 2.0
# How long a thread that counts tokens may keep the loop from running: Python's own default is five times as long.
SWITCH_SECONDS = 0.001
# How many objects are made before the collector looks for cycles among them. Calls in flight hold many, and hardly any
# in a cycle: Python's own default of 700 has it look in vain several times in each call.
COLLECT_AFTER = 10_000

log = logging.getLogger("gateway")


class CallLog(Protocol):
    """Where the lines of calls go."""

    def configure(self, level: str, style: str) -> None:
        """Take the settings of `logging`."""

    def access(self, call: Entry) -> None:
        """Take a call that ended."""


class App:
    """One running gateway: two listeners, and the parts that the newest configuration made."""

    def __init__(
        self,
        loaded: Loaded,
        load: Callable[[], Loaded],
        clock: Clock,
        log: CallLog | None = None,
    ) -> None:
        """`load` reads the configuration anew; `log` takes the line of each call."""
        self.config = loaded.config
        self.files: Sequence[Path] = loaded.files
        self.metrics = Metrics()
        self.base_url = ""
        self.admin_url = ""
        self._load = load
        self._clock = clock
        self._deadlines = Deadlines(clock)
        self._ids = RequestIds()
        self._log = log
        self._meter = Meter(self.metrics, clock)
        self._tasks = Tasks()
        self._composer = Composer(
            self._meter,
            self._ids,
            clock,
            self._deadlines,
            self.config.store,
            self.config.recordings,
            tasks=self._tasks,
        )
        self._ledger: Ledger | None = None
        # Usage logs that a reload replaced and that still write what they took.
        self._old_ledgers: list[Ledger] = []
        self._not_ready: str | None = "starting"
        self._status = StatusPage(StatusBoard(self._meter, clock, self._trouble), clock)
        self._server = Listener(
            self._handle,
            deadlines=self._deadlines,
            header_seconds=self.config.server.header_timeout,
            keepalive_seconds=self.config.server.keepalive_timeout,
            refusal=self._refusal,
        )
        self._listener: asyncio.Server | None = None
        self._admin_runner: web.AppRunner | None = None
        self._admin_listener: asyncio.Server | None = None

    async def start(self) -> None:
        """Bind both listeners and be ready.

        Raises StartError where an address cannot be bound or a file cannot be read; nothing stays open then.
        """
        try:
            await self._start()
        except BaseException:
            await self._close()
            raise

    async def _start(self) -> None:
        config = self.config
        self._listener, listen = await bind(self._server, config.server.listen)
        self.base_url = f"{listen}/v1"
        self._keep_ledger(self._ledger_of(config))
        self._door = self._composer.compose(config, self.base_url)
        admin = Admin(
            self.metrics.registry(),
            lambda: self._not_ready,
            lambda: None if self._composer.store.up else "ok, but the store is away",
            self._clock,
            self._status,
        )
        self._admin_runner = web.AppRunner(admin.app(), access_log=None)
        await self._admin_runner.setup()
        self._admin_listener, admin_listen = await bind(
            self._admin_runner.server, config.admin.listen
        )
        self.admin_url = admin_listen
        self._took(config)
        self._not_ready = None

    @property
    def calls_in_flight(self) -> int:
        """How many calls are in progress."""
        return self._meter.in_flight

    def held_bytes(self) -> list[int]:
        """Return what is held of replies for each client that does not keep up, in bytes."""
        return self._server.held_bytes()

    def announce(self) -> None:
        """Say what was read, where it listens and which upstreams it has."""
        files = ", ".join(map(str, self.files)) or "the environment alone"
        log.info("gateway %s: configured by %s", __version__, files)
        for upstream in self.config.upstreams:
            log.info("upstream %s: %s", upstream.name, upstream.base_url)
        recordings = self.config.recordings
        if recordings.mode == "record":
            log.info("every exchange is written to %s", recordings.dir)
        if recordings.mode == "replay":
            log.info("no upstream is asked: %s answers", recordings.dir)
        log.info("listening at %s (metrics and health at %s)", self.base_url, self.admin_url)

    def reload(self) -> None:
        """Take the newest configuration; a bad one, or one that needs a restart, leaves the old in force."""
        try:
            loaded = self._load()
            self._check_restart(loaded.config)
            ledger = self._ledger_of(loaded.config)
            self._door = self._composer.compose(loaded.config, self.base_url)
        except (ConfigError, StartError) as error:
            self.metrics.reloads.add(("failure",))
            self.metrics.reload_ok.set((), 0)
            if isinstance(error, ConfigError):
                # A secret's file may be what is wrong with it.
                self.files = tuple(dict.fromkeys((*self.files, *error.files)))
            problems = "; ".join(str(error).splitlines())
            log.error("the old configuration stays in force: %s", problems)
            return
        self._keep_ledger(ledger)
        self.config, self.files = loaded.config, loaded.files
        self.metrics.reloads.add(("success",))
        self._took(loaded.config)
        log.info("the configuration was read anew")

    async def run(self) -> None:
        """Keep what the upstreams list fresh, and the store at work, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._composer.store.run())
            tasks.create_task(self._refresh())
            tasks.create_task(self._watch_loop())

    async def _refresh(self) -> None:
        while True:
            await self._composer.refresh()
            await self._clock.sleep(REFRESH_SECONDS)

    async def _watch_loop(self) -> None:
        """Note how late the event loop comes to what is due."""
        lag = self.metrics.loop_lag.series(())
        while True:
            due = self._clock.monotonic() + LAG_SECONDS
            await self._clock.sleep(LAG_SECONDS)
            lag.observe(max(0.0, self._clock.monotonic() - due))

    async def drain(self) -> None:
        """Stop taking calls, let those in flight end within the grace, cut what is left."""
        self._not_ready = "draining"
        if self._listener is not None:
            self._listener.close()
        self._server.drain()
        log.info("stopping: %d calls in flight may end", self._meter.in_flight)
        try:
            await wait_until(self._all_told, self.config.server.shutdown_grace, self._clock)
        finally:
            self._server.abort_all()
            # What a call came to is counted after its end; store and usage log are still there for it.
            await wait_until(lambda: not self._meter.in_flight, SETTLE_SECONDS, self._clock)
            await self._close()

    def _all_told(self) -> bool:
        """Return whether every call has ended and its client has taken the reply."""
        return not self._meter.in_flight and not any(self._server.held_bytes())

    async def _close(self) -> None:
        if self._listener is not None:
            self._listener.close()
        await self._tasks.aclose()
        await self._composer.aclose()
        for ledger in (*self._old_ledgers, self._ledger):
            if ledger is not None:
                await asyncio.to_thread(ledger.stop)
        if self._admin_listener is not None:
            self._admin_listener.close()
        if self._admin_runner is not None:
            await self._admin_runner.cleanup()

    def _trouble(self) -> str | None:
        return self._not_ready or (None if self._composer.store.up else "the store is away")

    def _took(self, config: c.Config) -> None:
        """Put in force what outlives the parts of one configuration."""
        self._server.header_seconds = config.server.header_timeout
        self._server.keepalive_seconds = config.server.keepalive_timeout
        if self._log is not None:
            self._log.configure(config.logging.level, config.logging.format)
            self._meter.access = self._log.access if config.logging.access else None
        self._status.access, self._status.board.about = status_page(config, self.base_url)
        self.metrics.reload_ok.set((), 1)
        self.metrics.reload_at.set((), self._clock.time())
        self.metrics.user.limit = config.metrics.max_users
        self.metrics.model.limit = config.metrics.max_models
        self.metrics.user.admit(key.user for key in config.auth.keys)
        self.metrics.model.admit(name for name in config.models if not is_glob(name))
        targets = [target for model in config.models.values() for target in model.targets]
        self.metrics.model.admit(target.model for target in targets if target.model is not None)

    def _ledger_of(self, config: c.Config) -> Ledger | None:
        """Return the usage log of a configuration: the one that is open, where nothing changed. Raises StartError."""
        settings = config.usage.log
        if self._ledger is not None and settings == self.config.usage.log:
            return self._ledger
        if settings.path is None:
            return None
        return Ledger(settings.path, max_bytes=settings.max_size, keep=settings.keep)

    def _keep_ledger(self, ledger: Ledger | None) -> None:
        if self._ledger is not None and self._ledger is not ledger:
            self._ledger.retire()
            self._old_ledgers = [old for old in (*self._old_ledgers, self._ledger) if old.writing]
        self._ledger = ledger
        self._meter.account = None if ledger is None else ledger.write

    def _check_restart(self, config: c.Config) -> None:
        for section in ("server", "admin"):
            if getattr(config, section).listen != getattr(self.config, section).listen:
                raise StartError(f"{section}.listen has changed, which needs a restart")
        if config.store.url != self.config.store.url:
            raise StartError("store.url has changed, which needs a restart")
        if config.recordings != self.config.recordings:
            raise StartError("recordings has changed, which needs a restart")

    def _handle(self, request: Request, connection: Connection) -> Awaitable[bool]:
        if request.line.target == "/healthz":
            return self._healthz(request, connection)
        return self._door.serve(request, connection)

    async def _healthz(self, request: Request, connection: Connection) -> bool:
        body = b"draining\n" if self._not_ready else b"ok\n"
        stays = request.keep_alive and not self._not_ready
        fields: Headers = (
            (b"content-type", b"text/plain"),
            (b"content-length", b"%d" % len(body)),
            *self._named(),
            *((b"connection", b"close") for _ in range(not stays)),
        )
        head = head_bytes(503 if self._not_ready else 200, fields)
        connection.write(head if request.method == "HEAD" else head + body)
        return stays

    def _refusal(self, error: GatewayError) -> bytes:
        """Note a request that never became a call; return what its client is told."""
        fields = self._named()
        self._meter.unread(error, fields[0][1].decode())
        head, body = error_reply(error, fields, close=True)
        return head + body

    def _named(self) -> Headers:
        """Return the fields that every reply has, for one that belongs to no call."""
        name = self._ids.new()
        self._ids.in_flight.discard(name)
        date = http_date(int(self._clock.time()))
        return (
            (b"x-gateway-request-id", name.encode()),
            (b"x-request-id", name.encode()),
            (b"date", date),
        )


def serve(loaded: Loaded, *, reload: Callable[[], Loaded]) -> int:
    """Run a gateway until it is told to stop; return its exit code.

    Raises StartError where it cannot start.
    """
    settings = loaded.config.logging
    clock = SystemClock()
    log = Log(settings.level, settings.format, clock)
    sys.setswitchinterval(SWITCH_SECONDS)
    try:
        _raise_descriptor_limit()
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_serve(loaded, reload, clock, log))
    finally:
        log.stop()
    return 0


async def _serve(loaded: Loaded, reload: Callable[[], Loaded], clock: Clock, log: Log) -> None:
    app = App(loaded, reload, clock, log)
    await app.start()
    # What is there by now stays: the collector need not look through it again and again.
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER, 20, 20)
    app.announce()
    await live(app, clock)


def _raise_descriptor_limit() -> None:
    # A stream takes two descriptors: the usual soft limit of 1,024 would hold five hundred.
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
