"""A scripted Slack: the few methods of its Web API that a bot calls, and the socket by which it hears of events.

https://api.slack.com/apis/socket-mode
"""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field

from aiohttp import web

BOT = "U0BOT"
CHANNEL = "C0CHAT"
BOT_TOKEN = "xoxb-bot"
APP_TOKEN = "xapp-app"

Form = Mapping[str, object]


@dataclass(slots=True)
class Slack:
    """One channel with one thread."""

    url: str = ""
    # What stands in the thread, in order: each message as `conversations.replies` tells it.
    thread: list[dict[str, str]] = field(default_factory=list)
    # What each message of the bot's said, from its posting on.
    said: list[tuple[str, str]] = field(default_factory=list)
    # Errors of `chat.update` still to come, as its status and body.
    refusals: list[web.Response] = field(default_factory=list)
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    _sockets: "asyncio.Queue[web.WebSocketResponse]" = field(default_factory=asyncio.Queue)
    _numbers: "itertools.count[int]" = field(default_factory=itertools.count)

    async def tell(self, kind: str, user: str, text: str, **more: str) -> None:
        """Post a message in the thread, and tell the bot's next connection of it as an event of this kind."""
        stamp = self._stamp()
        first = self.thread[0]["ts"] if self.thread else stamp
        message = {"type": "message", "user": user, "text": text, "ts": stamp}
        self.thread.append(message)
        event = {**message, "type": kind, "channel": CHANNEL, **more}
        if first != stamp:
            event["thread_ts"] = first
        socket = await self._sockets.get()
        await socket.send_json(
            {
                "type": "events_api",
                "envelope_id": f"envelope-{stamp}",
                "accepts_response_payload": False,
                "payload": {
                    "type": "event_callback",
                    "team_id": "T0TEAM",
                    "api_app_id": "A0APP",
                    "event": event,
                    "authorizations": [{"team_id": "T0TEAM", "user_id": BOT, "is_bot": True}],
                },
            }
        )
        self._sockets.put_nowait(socket)

    async def until_said(self, *texts: str) -> None:
        """Wait until the bot's newest message says one of these."""
        while not self.said or self.said[-1][1] not in texts:
            self.changed.clear()
            await self.changed.wait()

    def _stamp(self) -> str:
        return f"1700000000.{next(self._numbers):06}"

    async def method(self, request: web.Request) -> web.Response:
        """Answer a method of the Web API."""
        name = request.match_info["method"]
        token = APP_TOKEN if name == "apps.connections.open" else BOT_TOKEN
        assert request.headers["authorization"] == f"Bearer {token}"
        is_json = request.content_type == "application/json"
        form = await request.json() if is_json else await request.post()
        if name == "apps.connections.open":
            answer: dict[str, object] = {"url": self.url.replace("http", "ws", 1) + "link"}
        elif name == "auth.test":
            answer = {"user_id": BOT, "bot_id": "B0BOT", "team_id": "T0TEAM", "user": "bot"}
        elif name == "conversations.replies":
            assert (form["channel"], form["ts"]) == (CHANNEL, self.thread[0]["ts"])
            answer = {"messages": self.thread}
        elif name == "chat.postMessage":
            answer = self._posted(form)
        elif self.refusals:
            return self.refusals.pop()
        else:
            answer = self._updated(form)
        return web.json_response({"ok": True, **answer})

    def _posted(self, form: Form) -> dict[str, object]:
        assert (form["channel"], form["thread_ts"]) == (CHANNEL, self.thread[0]["ts"])
        message = {"type": "message", "user": BOT, "text": str(form["text"]), "ts": self._stamp()}
        self.thread.append(message)
        self._note(message)
        return {"ts": message["ts"]}

    def _updated(self, form: Form) -> dict[str, object]:
        (message,) = (one for one in self.thread if one["ts"] == form["ts"])
        message["text"] = str(form["text"])
        self._note(message)
        return {"ts": message["ts"]}

    def _note(self, message: dict[str, str]) -> None:
        self.said.append((message["ts"], message["text"]))
        self.changed.set()

    async def link(self, request: web.Request) -> web.WebSocketResponse:
        """Greet a bot, and take what it acknowledges until it leaves."""
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.send_json({"type": "hello", "num_connections": 1})
        self._sockets.put_nowait(socket)
        async for _ in socket:
            pass
        return socket


@contextlib.asynccontextmanager
async def scripted_slack() -> AsyncIterator[Slack]:
    """Run it at a free port."""
    slack = Slack()
    app = web.Application()
    app.add_routes(
        [web.post("/api/{method}", slack.method), web.get("/api/link", slack.link)],
    )
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.01)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    slack.url = f"http://127.0.0.1:{runner.addresses[0][1]}/api/"
    try:
        yield slack
    finally:
        await runner.cleanup()
