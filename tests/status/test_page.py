"""The page as a real Chromium shows it, and the policy under which it runs."""

import base64
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from hashlib import sha256
from pathlib import Path

import aiohttp
import pytest

from gateway.demo_upstream import DemoUpstream
from gateway.status.page import FORM_POLICY, PAGE, PAGE_POLICY, form
from tests.journey.conftest import demo as demo  # noqa: PLC0414 - a fixture is handed on by its name
from tests.support.chromium import Page, browsing, needs_chromium
from tests.support.gateway import RunningGateway, running

ALICE = "sk-gw-alice-0123456789"
EVE = "sk-gw-eve-0123456789abc"
TOKEN = "a-token-of-the-operator"
LONG = "sk-gw-long-0123456789ab"
MARKUP = "<img src=x onerror=alert(1)>"
# A model's name, by what makes it hostile, as it has to be read.
HOSTILE = {
    MARKUP: MARKUP,
    "</script><script>alert(2)</script>": "</script><script>alert(2)</script>",
    "safe\u202egpj.exe": "safe\\u{202e}gpj.exe",
    "line\nbreak\u2028\u0000": "line\\u{a}break\\u{2028}\\u{0}",
    "&lt;b&gt; {{x}} ${x}": "&lt;b&gt; {{x}} ${x}",
    "m" * 250: "m" * 200 + "…",
}
Start = Callable[..., Awaitable[RunningGateway]]


@pytest.fixture
async def start(tmp_path: Path, demo: DemoUpstream) -> AsyncIterator[Start]:
    """Start a gateway with users of its own before the demo upstream."""
    async with AsyncExitStack() as stack:

        async def _start(more: str = "", admin: str = "") -> RunningGateway:
            config = (
                'server: {listen: "127.0.0.1:0", shutdown_grace: 100ms}\n'
                f'admin: {{listen: "127.0.0.1:0"{admin}}}\n'
                f'upstreams: [{{name: up, base_url: "{demo.url}/v1", retries: 0}}]\n'
                "models: {gpt-4o: {targets: [{upstream: up}], price: {input: 2.5, output: 10}}}\n"
                f"auth: {{keys: [{{user: alice, key: {ALICE}}}, "
                f'{{user: "{MARKUP}", key: {EVE}}}, {{user: {"u" * 1024}, key: {LONG}}}]}}\n{more}'
            )
            return await stack.enter_async_context(running(config, tmp_path))

        yield _start


@pytest.fixture
async def page() -> AsyncIterator[Page]:
    async with browsing() as page:
        yield page


async def call(
    gateway: RunningGateway, key: str, model: str, stream: bool = False, **demo: object
) -> None:
    body = {
        "model": model,
        "messages": [{"role": "user", "content": "one two three"}],
        "stream": stream,
        "demo": demo,
    }
    async with (
        aiohttp.ClientSession(headers={"authorization": f"Bearer {key}"}) as session,
        session.post(f"{gateway.url}/chat/completions", json=body) as reply,
    ):
        await reply.read()


def assert_quiet(page: Page, origin: str) -> None:
    """Nothing was complained of, no policy violated, nobody else asked."""
    assert page.complaints == []
    assert {url for url in page.asked if not url.startswith((f"{origin}/", "data:"))} == set()


def test_the_policy_names_what_stands_in_the_page() -> None:
    """Its one style and its one script by their digests, and no other source of anything but events."""
    for policy, html in ((PAGE_POLICY, PAGE), (FORM_POLICY, form(""))):
        rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
        assert rules["default-src"] == rules["base-uri"] == rules["frame-ancestors"] == "'none'"
        assert rules["connect-src"] == "'self'"
        assert "unsafe" not in policy
        for tag in ("style", "script"):
            found = re.findall(f"<{tag}>(.*?)</{tag}>", html.decode(), re.DOTALL)
            digests = [base64.b64encode(sha256(one.encode()).digest()).decode() for one in found]
            assert rules[f"{tag}-src"] == (f"'sha256-{digests[0]}'" if digests else "'none'")


def test_the_page_makes_no_markup_of_text() -> None:
    """Nor does it ask for anything but its events: no address of another site stands in it."""
    text = PAGE.decode()

    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b", text)
    assert set(re.findall(r"https?://[\w.]+", text)) == {"http://www.w3.org"}


@needs_chromium
async def test_an_empty_page_says_what_to_do_first(start: Start, page: Page) -> None:
    """A curl line that can be pasted, and in each table a word on why it is empty."""
    gateway = await start()
    await page.open(gateway.app.admin_url)
    await page.until("document.getElementById('state').textContent == 'Live'")

    curl = await page.ask("document.getElementById('curl').textContent")
    assert curl == (
        f"curl {gateway.url}/chat/completions \\\n"
        "  -H 'content-type: application/json' \\\n"
        '  -H "authorization: Bearer $GATEWAY_KEY" \\\n'
        '  -d \'{"model":"gpt-4o","messages":[{"role":"user","content":"Say this is a test"}]}\''
    )
    assert (
        await page.ask("document.querySelectorAll('#users .nothing, #calls .nothing').length") == 2
    )
    assert_quiet(page, gateway.app.admin_url)


@needs_chromium
async def test_calls_are_seen_as_they_come(start: Start, page: Page) -> None:
    """An open page shows a call within a moment: its figures, its upstream, its user, itself."""
    gateway = await start("limits: [{per: user, requests: 10/min}]\n")
    await page.open(gateway.app.admin_url)
    await page.until("document.getElementById('state').textContent == 'Live'")
    await call(gateway, ALICE, "gpt-4o", stream=True, prompt_tokens=1000)
    await call(gateway, ALICE, "gpt-4o", error=503)
    await page.until("document.querySelectorAll('#calls tbody tr').length == 2")

    rows = await page.ask(
        "[...document.querySelectorAll('#calls tbody tr')].map(row => row.innerText.split(/\\s+/))"
    )
    assert {"alice", "gpt-4o", "up", "503"} <= set(rows[0])
    assert {"alice", "gpt-4o", "up", "200", "in", "out"} <= set(rows[1])
    assert "alice" in await page.ask("document.getElementById('users').innerText")
    assert "20%" in await page.ask("document.getElementById('users').innerText")
    cards = await page.ask("document.getElementById('cards').innerText")
    assert "2 since the start" in cards
    assert "50%" in cards
    assert await page.ask("document.getElementById('first').hidden")
    assert_quiet(page, gateway.app.admin_url)


@needs_chromium
async def test_hostile_names_stay_text(start: Start, page: Page) -> None:
    """Markup runs nothing, what turns the reading round is spelled out, a long name breaks nothing."""
    gateway = await start()
    for name in HOSTILE:
        await call(gateway, EVE, name)
    await call(gateway, LONG, "m" * 1024)  # too long to be asked for
    await page.open(gateway.app.admin_url, width=360, height=800)
    await page.until(f"document.querySelectorAll('#calls tbody tr').length == {len(HOSTILE) + 1}")

    shown = await page.ask(
        "[...document.querySelectorAll('#calls td[data-of=Model] bdi:first-child')].map(b => b.textContent)"
    )
    assert set(shown) >= set(HOSTILE.values())
    names = await page.ask("[...document.querySelectorAll('#users bdi')].map(b => b.textContent)")
    assert set(names) == {MARKUP, "u" * 200 + "…"}
    assert await page.ask("document.querySelectorAll('img, b, script').length") == 1
    width = await page.ask("document.documentElement.scrollWidth")
    assert width == 360
    assert_quiet(page, gateway.app.admin_url)


@needs_chromium
@pytest.mark.parametrize("width", [360, 768, 1280])
async def test_it_fits_its_window(start: Start, page: Page, width: int) -> None:
    """Nothing has to be scrolled sideways, with calls and without."""
    gateway = await start("limits: [{per: user, requests: 10/min, tokens: 1000000/day}]\n")
    await page.open(gateway.app.admin_url, width=width)
    await page.until("document.getElementById('state').textContent == 'Live'")
    assert await page.ask("document.documentElement.scrollWidth") == width

    await call(gateway, ALICE, "gpt-4o", stream=True)
    await page.until("document.querySelectorAll('#calls tbody tr').length == 1")
    assert await page.ask("document.documentElement.scrollWidth") == width


@needs_chromium
async def test_light_and_dark_can_be_read(start: Start, page: Page) -> None:
    """The page follows the system; every text keeps WCAG's contrast of 4.5 to 1."""
    gateway = await start()
    await call(gateway, ALICE, "gpt-4o", error=503)
    grounds = []
    for dark in (False, True):
        await page.open(gateway.app.admin_url, dark=dark)
        await page.until("document.querySelectorAll('#calls tbody tr').length == 1")
        grounds.append(await page.ask("getComputedStyle(document.body).backgroundColor"))
        assert await page.ask(LEAST_CONTRAST) >= 4.5

    assert grounds == ["rgb(251, 250, 248)", "rgb(20, 20, 19)"]


@needs_chromium
async def test_it_can_be_heard(start: Start, page: Page) -> None:
    """Headings, named tables and charts, and one word that is read out when it changes."""
    gateway = await start()
    await call(gateway, ALICE, "gpt-4o")
    await page.open(gateway.app.admin_url, width=360)
    await page.until("document.querySelectorAll('#calls tbody tr').length == 1")
    tree = (await page.call("Accessibility.getFullAXTree"))["nodes"]
    roles: dict[str, list[str]] = {}
    for node in tree:
        if not node["ignored"]:
            name = node.get("name", {}).get("value", "")
            roles.setdefault(node["role"]["value"], []).append(name)

    assert "Gateway" in roles["heading"]
    assert len(roles["table"]) == 3
    assert {"Status", "Model", "Took"} <= set(roles["columnheader"])
    assert all(
        name.startswith(("In", "Re", "To", "Co", "Ti", "Th", "Er", "Ca")) for name in roles["image"]
    )
    assert len(roles["status"]) == 1


@needs_chromium
async def test_the_form_lets_in_who_has_the_token(start: Start, page: Page) -> None:
    """A wrong token is told so; the right one shows the page, and stands in no address."""
    gateway = await start(admin=f", token: {TOKEN}")
    url = gateway.app.admin_url
    await page.open(url)
    for sent, then in (("wrong", ".said:not(:empty)"), (TOKEN, "#cards article")):
        await page.until("!!document.getElementById('token')")
        await page.ask(
            f"document.getElementById('token').value = '{sent}', document.forms[0].submit()"
        )
        await page.until(f"!!document.querySelector('{then}')")
    await page.until("document.getElementById('state').textContent == 'Live'")

    assert not [asked for asked in page.asked if TOKEN in asked]
    assert await page.ask("document.cookie") == ""


@needs_chromium
async def test_it_says_when_the_gateway_is_gone(start: Start, page: Page) -> None:
    """The last figures stay, and are marked as old."""
    gateway = await start()
    await page.open(gateway.app.admin_url)
    await page.until("document.getElementById('state').textContent == 'Live'")
    await gateway.app.drain()

    await page.until("document.getElementById('state').textContent.startsWith('Not connected')")
    assert await page.ask("document.body.classList.contains('stale')")


# The least contrast of any text that is seen, by WCAG 2.2's formula.
LEAST_CONTRAST = """(() => {
  const light = (color) => {
    const [r, g, b] = color.match(/[\\d.]+/g).map(Number).map((c) => c / 255)
      .map((c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = (element) => {
    const own = getComputedStyle(element).backgroundColor;
    return own.startsWith("rgba") && own.endsWith(" 0)") ? ground(element.parentElement) : own;
  };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  let least = 21;
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || ["SCRIPT", "NOSCRIPT", "title"].includes(element.tagName)) continue;
    const [a, b] = [light(getComputedStyle(element).color), light(ground(element))].sort((x, y) => y - x);
    least = Math.min(least, (a + 0.05) / (b + 0.05));
  }
  return least;
})()"""
