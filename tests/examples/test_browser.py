"""The browser page in a real Chromium, served from an origin of its own."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from gateway.demo_upstream import DemoUpstream
from tests.examples.conftest import EXAMPLES, HANG_SECONDS, Serve, Start, command, needs_examples
from tests.support.chromium import Page, browsing, needs_chromium
from tests.support.gateway import RunningGateway

pytestmark = [needs_chromium, needs_examples]

CONFIG = (EXAMPLES / "browser" / "gateway.yaml").read_text(encoding="utf-8")
ORIGIN = "http://127.0.0.1:8000"
ANSWER = 'document.getElementById("answer").textContent'

Show = Callable[[RunningGateway], Awaitable[Page]]


@pytest.fixture
async def origin(start: Start) -> str:
    """Serve the page as its line says, but at a free port; return its origin."""
    words = [word.replace("8000", "0") for word in command("browser/index.html")]
    server = await start(words, PYTHONUNBUFFERED="1")
    assert server.stdout is not None
    async with asyncio.timeout(HANG_SECONDS):
        said = await server.stdout.readline()
    port = said.split(b" port ")[1].split()[0].decode()
    return f"http://127.0.0.1:{port}"


@pytest.fixture
async def show(origin: str) -> AsyncIterator[Show]:
    """Open the page, told where a gateway is."""
    async with browsing() as page:

        async def _show(gateway: RunningGateway) -> Page:
            await page.open(f"{origin}/?base_url={gateway.url}")
            await page.until('document.getElementById("form") && document.readyState == "complete"')
            return page

        yield _show


async def ask(page: Page, question: str) -> None:
    await page.ask(f"document.getElementById('question').value = {question!r}")
    await page.ask("document.getElementById('form').requestSubmit()")


async def test_a_page_gets_its_answer(serve: Serve, show: Show, origin: str) -> None:
    """The configuration lists the page's origin, and its question is answered, without a complaint."""
    page = await show(await serve(CONFIG.replace(ORIGIN, origin), keys=False))

    await ask(page, "Grüße aus dem Browser [DONE]")

    await page.until(f"{ANSWER} == 'Grüße aus dem Browser [DONE]'")
    assert page.complaints == []


async def test_an_answer_is_shown_as_it_comes_and_stopped(
    serve: Serve, show: Show, origin: str, demo: DemoUpstream
) -> None:
    """What was said stands there while the model is silent; Stop ends the call at the upstream."""
    script = {"hang_after": 3, "piece_bytes": 400}
    page = await show(await serve(CONFIG.replace(ORIGIN, origin), script=script, keys=False))
    await ask(page, "one two three four five six seven eight nine ten")
    shown = await page.until(ANSWER)

    await page.ask("document.getElementById('stop').click()")
    await page.until("document.getElementById('stop').disabled")
    await demo.settled()

    assert shown.startswith("one")
    assert demo.last.aborted == "streaming"
    assert await page.ask("document.getElementById('answer').className") == ""


async def test_an_error_is_shown(serve: Serve, show: Show, origin: str) -> None:
    """The page shows an error's own words."""
    script = {"error": {"status": 400, "message": "No such thing."}}
    page = await show(await serve(CONFIG.replace(ORIGIN, origin), script=script, keys=False))

    await ask(page, "What?")

    await page.until(f"{ANSWER} == 'No such thing.'")


async def test_a_page_that_is_not_listed_is_refused(
    serve: Serve, show: Show, demo: DemoUpstream
) -> None:
    """Without its line in the configuration, the browser keeps the page from asking."""
    page = await show(await serve(keys=False))

    await ask(page, "Hello?")

    await page.until("document.getElementById('answer').className == 'error'")
    assert len([one for one in demo.requests if one.method == "POST"]) == 0
