"""The demo: a gateway before a built-in upstream, with a cache, a limit and metrics, and nothing to set up."""

import asyncio
import sys
from dataclasses import replace

import uvloop

from gateway import demo_upstream
from gateway.app import App
from gateway.clock import Clock, SystemClock
from gateway.config import Cache
from gateway.config_access import Limit
from gateway.config_environment import Override
from gateway.config_limit_formats import parse_rate
from gateway.config_loader import Loaded, load
from gateway.config_types import ListenAddress, TcpAddress
from gateway.lifecycle import live
from gateway.logs import Log

# Whoever asks the same thing twice shall see what the cache does, without setting a temperature.
DEMO_CACHE = Cache(when="always")
# Shown in every reply, and reached by nobody who types.
DEMO_LIMIT = Limit(
    per=("user",), requests=(parse_rate("6000/min"),), tokens=(parse_rate("1000000/min"),)
)
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

Ask twice, and the second reply comes from the cache: `curl -i` shows cache-status, age and what is left of a limit.

Status page: {admin}/   Metrics: {admin}/metrics   Health: {admin}/readyz   Stop: Ctrl-C
"""


def demo(listen: ListenAddress, admin_listen: str | None) -> int:
    """Run a gateway before a built-in upstream until it is told to stop; return its exit code.

    Raises StartError. It needs no key wherever it listens: nothing stands behind it that costs or tells anything.
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

    # Elsewhere than on loopback a gateway without keys has to be asked for: here `demo` does.
    anybody = Override(flag="demo", keys=("auth", "mode"), text="open")
    overrides = () if listen.is_loopback else (anybody,)

    def read() -> Loaded:
        loaded = load(None, environ, overrides)
        return replace(
            loaded, config=replace(loaded.config, cache=DEMO_CACHE, limits=(DEMO_LIMIT,))
        )

    try:
        app = App(read(), read, clock, log)
        await app.start()
        app.announce()
        sys.stdout.write(DEMO_BANNER.format(url=app.base_url, admin=app.admin_url))
        sys.stdout.flush()
        await live(app, clock)
    finally:
        await upstream.aclose()
