"""A gateway as a whole: two listeners around the parts that a configuration makes, and the way to run it.

`compose.py` makes the parts; how a gateway lives (signals, reloads, draining) is `lifecycle.py`'s.
"""

import asyncio
import errno
import logging
import resource
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import uvloop
from aiohttp import web

from gateway import __version__, demo_upstream
from gateway import config as c
from gateway.admin import Admin
from gateway.catalog import is_glob
from gateway.clock import Clock, SystemClock
from gateway.compose import Composer
from gateway.config_loader import Loaded, load
from gateway.config_tree import ConfigError
from gateway.config_types import ListenAddress, TcpAddress, UnixAddress
from gateway.deadlines import Deadlines
from gateway.door import RequestIds
from gateway.downstream import RawReply, head_bytes
from gateway.errors import GatewayError, StartError
from gateway.lifecycle import live, wait_until
from gateway.logs import Log
from gateway.metering import Meter
from gateway.metrics import Metrics
from gateway.server import DataServer
from gateway.tasks import Tasks
from gateway.types import Headers

# How often it is looked whether an upstream's list of models is old; after a reload it is new.
REFRESH_SECONDS = 30.0
# The demo's upstream says a word this often, so that a stream is seen to stream.
DEMO_PACE_MS = 30
DEMO_BANNER = """
The demo gateway runs in front of a built-in upstream that echoes. Try it:

curl {url}/chat/completions -H 'content-type: application/json' \\
  -d '{{"model": "demo", "messages": [{{"role": "user", "content": "Say this is a test"}}]}}'

from openai import OpenAI

client = OpenAI(base_url="{url}", api_key="none needed")
stream = client.chat.completions.create(
    model="demo", messages=[{{"role": "user", "content": "Say this is a test"}}], stream=True
)
for chunk in stream:
    print(chunk.choices[0].delta.content or "", end="", flush=True)

Metrics: {admin}/metrics   Health: {admin}/readyz   Stop: Ctrl-C
"""

log = logging.getLogger("gateway")


class CallLog(Protocol):
    """Where the lines of calls go."""

    def configure(self, level: str, style: str) -> None:
        """Take the settings of `logging`."""

    def access(self, fields: Mapping[str, object]) -> None:
        """Take the line of a call that ended."""


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
            self._meter, self._ids, clock, self._deadlines, self.config.store, self._tasks
        )
        self._not_ready: str | None = "starting"
        self._server = DataServer(
            self._handle,
            deadlines=self._deadlines,
            header_seconds=self.config.server.header_timeout,
            keepalive_seconds=self.config.server.keepalive_timeout,
            on_parser_error=self._unread,
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
        self._listener, listen = await _bind(self._server, config.server.listen)
        self.base_url = f"{listen}/v1"
        self._door = self._composer.compose(config, self.base_url)
        admin = Admin(
            self.metrics.registry(),
            lambda: self._not_ready,
            lambda: None if self._composer.store.up else "ok, but the store is away",
            self._clock,
        )
        self._admin_runner = web.AppRunner(admin.app(), access_log=None)
        await self._admin_runner.setup()
        self._admin_listener, admin_listen = await _bind(
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
        log.info("listening at %s (metrics and health at %s)", self.base_url, self.admin_url)

    def reload(self) -> None:
        """Take the newest configuration; a bad one, or one that needs a restart, leaves the old in force."""
        try:
            loaded = self._load()
            self._check_restart(loaded.config)
            self._door = self._composer.compose(loaded.config, self.base_url)
        except (ConfigError, StartError) as error:
            self.metrics.reloads.add(("failure",))
            self.metrics.reload_ok.set((), 0)
            problems = "; ".join(str(error).splitlines())
            log.error("the old configuration stays in force: %s", problems)
            return
        self.config, self.files = loaded.config, loaded.files
        self.metrics.reloads.add(("success",))
        self._took(loaded.config)
        log.info("the configuration was read anew")

    async def run(self) -> None:
        """Keep what the upstreams list fresh, and the store at work, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._composer.store.run())
            tasks.create_task(self._refresh())

    async def _refresh(self) -> None:
        while True:
            await self._composer.refresh()
            await self._clock.sleep(REFRESH_SECONDS)

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
            await self._close()

    def _all_told(self) -> bool:
        """Return whether every call has ended and its client has taken the reply."""
        return not self._meter.in_flight and not any(self._server.held_bytes())

    async def _close(self) -> None:
        if self._listener is not None:
            self._listener.close()
        await self._tasks.aclose()
        await self._composer.aclose()
        if self._admin_listener is not None:
            self._admin_listener.close()
        if self._admin_runner is not None:
            await self._admin_runner.cleanup()

    def _took(self, config: c.Config) -> None:
        """Put in force what outlives the parts of one configuration."""
        self._server.header_seconds = config.server.header_timeout
        self._server.keepalive_seconds = config.server.keepalive_timeout
        if self._log is not None:
            self._log.configure(config.logging.level, config.logging.format)
            self._meter.access = self._log.access if config.logging.access else None
        self.metrics.reload_ok.set((), 1)
        self.metrics.reload_at.set((), self._clock.time())
        self.metrics.user.admit(key.user for key in config.auth.keys)
        self.metrics.model.admit(name for name in config.models if not is_glob(name))
        targets = [target for model in config.models.values() for target in model.targets]
        self.metrics.model.admit(target.model for target in targets if target.model is not None)

    def _check_restart(self, config: c.Config) -> None:
        for section in ("server", "admin"):
            if getattr(config, section).listen != getattr(self.config, section).listen:
                raise StartError(f"{section}.listen has changed, which needs a restart")
        if config.store.url != self.config.store.url:
            raise StartError("store.url has changed, which needs a restart")

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.raw_path == "/healthz":
            return self._healthz(request)
        return await self._door.serve(request)

    def _healthz(self, request: web.BaseRequest) -> web.StreamResponse:
        body = b"draining\n" if self._not_ready else b"ok\n"
        stays = request.keep_alive and not self._not_ready
        fields: Headers = (
            (b"content-type", b"text/plain"),
            (b"content-length", b"%d" % len(body)),
            *((b"connection", b"close") for _ in range(not stays)),
        )
        head = head_bytes(503 if self._not_ready else 200, fields)
        data = head if request.method == "HEAD" else head + body
        return RawReply(request, data, keep_alive=stays)

    def _unread(self, error: GatewayError) -> Headers:
        """Note a request that the parser refused; return what names it in the reply."""
        name = self._ids.new()
        self._ids.in_flight.discard(name)
        self._meter.unread(error, name)
        return ((b"x-gateway-request-id", name.encode()), (b"x-request-id", name.encode()))


def serve(loaded: Loaded, *, reload: Callable[[], Loaded]) -> int:
    """Run a gateway until it is told to stop; return its exit code.

    Raises StartError where it cannot start.
    """
    settings = loaded.config.logging
    clock = SystemClock()
    log = Log(settings.level, settings.format, clock)
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
    app.announce()
    await live(app, clock)


def _raise_descriptor_limit() -> None:
    # A stream takes two descriptors: the usual soft limit of 1,024 would hold five hundred.
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


async def _bind(
    protocol_factory: Callable[[], asyncio.BaseProtocol] | None, address: ListenAddress
) -> tuple[asyncio.Server, str]:
    """Listen at `address`; return the listener and the URL at which it is reached."""
    if protocol_factory is None:
        raise StartError("the admin listener could not be made")
    loop = asyncio.get_running_loop()
    try:
        if isinstance(address, UnixAddress):
            _remove_stale_socket(address.path)
            return await loop.create_unix_server(protocol_factory, address.path), str(address)
        listener = await loop.create_server(
            protocol_factory, address.host, address.port, backlog=2048
        )
    except OSError as error:
        raise StartError(f"cannot listen at {address}: {error.strerror or error}") from None
    port = listener.sockets[0].getsockname()[1]
    host = f"[{address.host}]" if ":" in address.host else address.host
    return listener, f"http://{host}:{port}"


def _remove_stale_socket(path: str) -> None:
    """Remove the socket that a killed gateway left. Raises OSError where somebody still answers at it."""
    if not Path(path).is_socket():
        return
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(path)
        except OSError:
            Path(path).unlink()
            return
    raise OSError(errno.EADDRINUSE, "address already in use")


def demo(listen: ListenAddress, admin_listen: str | None) -> int:
    """Run a gateway before a built-in upstream until it is told to stop; return its exit code.

    Raises StartError, and ConfigError for an address that others could reach: the demo needs no key.
    """
    clock = SystemClock()
    log = Log("info", "auto", clock)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_demo(listen, admin_listen, clock, log))
    finally:
        log.stop()
    return 0


async def _demo(listen: ListenAddress, admin_listen: str | None, clock: Clock, log: Log) -> None:
    upstream = await demo_upstream.start("127.0.0.1", 0, clock, pace_ms=DEMO_PACE_MS)
    if admin_listen is None and isinstance(listen, TcpAddress) and listen.port == 0:
        # Whoever takes any port for one listener takes any for the other.
        admin_listen = "127.0.0.1:0"
    environ = {
        "GATEWAY_UPSTREAM_URL": f"{upstream.url}/v1",
        "GATEWAY_LISTEN": str(listen),
        **({"GATEWAY_ADMIN_LISTEN": admin_listen} if admin_listen else {}),
    }

    def read() -> Loaded:
        return load(None, environ)

    try:
        app = App(read(), read, clock, log)
        await app.start()
        app.announce()
        sys.stdout.write(DEMO_BANNER.format(url=app.base_url, admin=app.admin_url))
        sys.stdout.flush()
        await live(app, clock)
    finally:
        await upstream.aclose()
