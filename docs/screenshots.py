"""Takes the screenshots of the status page that stand in docs/images: `python -m docs.screenshots [SECONDS]`.

A gateway runs before two demo upstreams, several users call for a while (ten minutes fill the charts), and a real
Chromium looks at the page.
"""

import asyncio
import random
import sys
import tempfile
from pathlib import Path

import aiohttp

from gateway import demo_upstream
from gateway.app import App
from gateway.clock import SystemClock
from gateway.config_loader import Loaded, load
from tests.support.chromium import browsing

IMAGES = Path(__file__).parent / "images"
SECONDS = 600.0
CONFIG = """\
server: {{listen: "127.0.0.1:0", shutdown_grace: 100ms}}
admin: {{listen: "127.0.0.1:0"}}
upstreams:
  - {{name: openai, base_url: "{first}/v1", models: [gpt-*]}}
  - {{name: vllm, base_url: "{second}/v1", models: [llama-*], retries: 0, cooldown: {{after: 3, for: 20s}}}}
models:
  gpt-4o: {{targets: [{{upstream: openai}}], price: {{input: 2.5, output: 10}}}}
  gpt-4o-mini: {{targets: [{{upstream: openai}}], price: {{input: 0.15, output: 0.6}}}}
  llama-3.3-70b: {{targets: [{{upstream: vllm}}], fallbacks: [gpt-4o-mini], price: {{input: 0, output: 0}}}}
  fast: {{targets: [{{upstream: openai, model: gpt-4o-mini}}], price: {{input: 0.15, output: 0.6}}}}
auth:
  keys:
    - {{user: alice, key: sk-gw-alice-0123456789}}
    - {{user: bob, key: sk-gw-bob-0123456789abc}}
    - {{user: ci, key: sk-gw-ci-0123456789abcd}}
    - {{user: notebooks, key: sk-gw-notebooks-01234}}
limits:
  - {{per: user, match: {{user: ci}}, requests: 40/min, budget: 0.50/day}}
  - {{per: user, requests: 600/min, tokens: 60000/min, concurrency: 20, budget: 5/day}}
cache: {{when: always}}
logging: {{access: false, level: error}}
"""
# Whose key, which model, how long until the next call on average, and how often it streams.
HABITS = (
    ("sk-gw-alice-0123456789", "gpt-4o", 0.9, 0.9),
    ("sk-gw-alice-0123456789", "fast", 1.2, 0.6),
    ("sk-gw-bob-0123456789abc", "llama-3.3-70b", 1.0, 0.8),
    ("sk-gw-ci-0123456789abcd", "gpt-4o-mini", 1.4, 0.1),
    ("sk-gw-notebooks-01234", "gpt-4o", 2.0, 0.5),
)
TEXT = "The harbour lights were late and nobody minded much because the tea was still warm"


async def call(
    session: aiohttp.ClientSession, url: str, key: str, model: str, stream: bool
) -> None:
    """Make one call, as an application would."""
    chance = random.random()
    demo: dict[str, object] = {
        "first_byte_ms": round(random.lognormvariate(5.3, 0.5)),
        "pace_ms": random.choice((5, 10, 20)),
        "prompt_tokens": round(random.lognormvariate(5.6, 0.8)),
    }
    if chance < 0.012 or (model == "llama-3.3-70b" and chance < 0.05):
        demo = {"error": 503}
    asked = random.choice(("What time is it?", "Say this is a test", TEXT))
    reply = " ".join(random.choices(TEXT.split(), k=round(random.lognormvariate(4.2, 0.7))))
    body = {
        "model": model if chance < 0.99 else "gpt-5-nanoo",
        "messages": [{"role": "user", "content": asked}],
        "stream": stream,
        "demo": demo | ({"reply": reply} if "error" not in demo else {}),
    }
    headers = {"authorization": f"Bearer {key}"}
    async with session.post(f"{url}/chat/completions", json=body, headers=headers) as answer:
        await answer.read()


async def visit(url: str, seconds: float) -> None:
    """Let everybody call for so long."""
    until = asyncio.get_running_loop().time() + seconds
    async with aiohttp.ClientSession() as session, asyncio.TaskGroup() as calls:

        async def live(key: str, model: str, pause: float, streams: float) -> None:
            while (left := until - asyncio.get_running_loop().time()) > 0:
                # A slow tide, so that the charts have a shape.
                tide = 0.6 + 0.9 * abs(((left / 240) % 2) - 1)
                await asyncio.sleep(random.expovariate(1 / (pause * tide)))
                calls.create_task(call(session, url, key, model, random.random() < streams))

        for habit in HABITS:
            calls.create_task(live(*habit))


async def take(seconds: float) -> None:
    """Run everything, and write the images."""
    clock = SystemClock()
    first = await demo_upstream.start("127.0.0.1", 0, clock)
    second = await demo_upstream.start("127.0.0.1", 0, clock)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "config.yaml"
        path.write_text(CONFIG.format(first=first.url, second=second.url))

        def read() -> Loaded:
            return load(path, {})

        app = App(read(), read, clock)
        await app.start()
        async with asyncio.TaskGroup() as tasks:
            calling = tasks.create_task(visit(app.base_url, seconds + 30))
            await asyncio.sleep(seconds)
            await look(app.admin_url)
            await calling
        await app.drain()
    await first.aclose()
    await second.aclose()


async def look(url: str) -> None:
    """Take the three screenshots."""
    IMAGES.mkdir(exist_ok=True)
    async with browsing() as page:
        for name, width, height, dark in (
            ("status-light", 1280, 1400, False),
            ("status-dark", 1280, 1400, True),
            ("status-360", 360, 1500, False),
        ):
            await page.open(url, width=width, height=height, dark=dark)
            await page.until("document.querySelectorAll('#calls tbody tr').length > 5")
            (IMAGES / f"{name}.png").write_bytes(await page.screenshot())


if __name__ == "__main__":
    asyncio.run(take(float(sys.argv[1]) if len(sys.argv) > 1 else SECONDS))
