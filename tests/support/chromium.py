"""A real Chromium, driven by its DevTools protocol over aiohttp's WebSocket.

https://chromedevtools.github.io/devtools-protocol/
"""

import asyncio
import base64
import contextlib
import os
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any

import aiohttp
import pytest

# Only to end a hang: a browser on a busy machine is slow.
HANG_SECONDS = 30.0
# How often a page is asked whether something is there.
LOOK_SECONDS = 0.05

PATH = shutil.which("chromium") or shutil.which("chromium-browser")

# Skips a test by name where there is no browser.
needs_chromium = pytest.mark.skipif(PATH is None, reason="chromium is not installed")

Answer = Mapping[str, Any]


class Page:
    """One tab: what it shows, what it asked for, what it complained of."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._number = 0
        self._waiting: dict[int, asyncio.Future[Answer]] = {}
        self.session: str | None = None
        # Errors of the console and of the log, violations of the policy among them.
        self.complaints: list[str] = []
        # Every URL that was asked for.
        self.asked: list[str] = []

    async def listen(self) -> None:
        """Take answers and events until the connection ends."""
        async for message in self._socket:
            told = message.json()
            if (waiting := self._waiting.pop(told.get("id"), None)) is not None:
                waiting.set_result(told)
            else:
                self._note(told.get("method"), told.get("params", {}))

    def _note(self, method: str | None, params: Answer) -> None:
        if method == "Network.requestWillBeSent":
            self.asked.append(params["request"]["url"])
        elif method == "Runtime.exceptionThrown":
            self.complaints.append(str(params["exceptionDetails"]))
        elif method == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
            self.complaints.append(str(params["entry"]["text"]))
        elif method == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning"):
            self.complaints.append(str(params["args"]))
        elif method == "Audits.issueAdded":
            self.complaints.append(str(params["issue"]))

    async def call(self, method: str, **params: object) -> Answer:
        """Call a method of the protocol; return its result."""
        self._number += 1
        answer = asyncio.get_running_loop().create_future()
        self._waiting[self._number] = answer
        told: dict[str, object] = {"id": self._number, "method": method, "params": params}
        if self.session is not None:
            told["sessionId"] = self.session
        await self._socket.send_json(told)
        async with asyncio.timeout(HANG_SECONDS):
            result = await answer
        assert "error" not in result, (method, result)
        found: Answer = result["result"]
        return found

    async def open(
        self, url: str, *, width: int = 1280, height: int = 900, dark: bool = False
    ) -> None:
        """Go to a URL in a window of this size, in CSS pixels."""
        await self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 500,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        await self.call("Emulation.setEmulatedMedia", features=[scheme])
        await self.call("Page.navigate", url=url)

    async def ask(self, expression: str) -> Any:
        """Return the value of a JavaScript expression in the page."""
        answer = await self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    async def until(self, expression: str) -> Any:
        """Wait until an expression is true, what it speaks of being there; return its value."""
        tried = f"(() => {{ try {{ return {expression} }} catch {{ return null }} }})()"
        async with asyncio.timeout(HANG_SECONDS):
            while not (found := await self.ask(tried)):  # noqa: ASYNC110 - the page has no event of ours
                await asyncio.sleep(LOOK_SECONDS)
        return found

    async def screenshot(self) -> bytes:
        """Return what is seen as a PNG."""
        shot = await self.call("Page.captureScreenshot", format="png")
        return base64.b64decode(shot["data"])


@contextlib.asynccontextmanager
async def browsing() -> AsyncIterator[Page]:
    """Run a browser with one empty page."""
    assert PATH is not None
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        process = await asyncio.create_subprocess_exec(
            PATH,
            "--headless=new",
            # As root, as in a container, it has no sandbox of its own.
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-extensions",
            "--hide-scrollbars",
            "--remote-debugging-port=0",
            f"--user-data-dir={profile}",
            "about:blank",
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            port, path = await _debugger(Path(profile) / "DevToolsActivePort")
            async with aiohttp.ClientSession() as session:
                socket = await session.ws_connect(f"ws://127.0.0.1:{port}{path}", max_msg_size=0)
                page = Page(socket)
                listening = asyncio.create_task(page.listen())
                await _attach(page)
                try:
                    yield page
                finally:
                    await socket.close()
                    await listening
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()


async def _attach(page: Page) -> None:
    targets = (await page.call("Target.getTargets"))["targetInfos"]
    target = next(one["targetId"] for one in targets if one["type"] == "page")
    attached = await page.call("Target.attachToTarget", targetId=target, flatten=True)
    page.session = attached["sessionId"]
    for domain in ("Page", "Runtime", "Log", "Network", "Audits"):
        await page.call(f"{domain}.enable")


async def _debugger(file: Path) -> tuple[str, str]:
    """Return the port and path at which the browser listens, once it has written them."""

    def written() -> list[str]:
        return file.read_text().split("\n") if file.exists() else []

    lines = await _until(written)
    return lines[0], lines[1]


async def _until(look: Callable[[], list[str]]) -> list[str]:
    async with asyncio.timeout(HANG_SECONDS):
        while len(found := look()) < 2:  # noqa: ASYNC110 - a file has no event
            await asyncio.sleep(LOOK_SECONDS)
    return found
