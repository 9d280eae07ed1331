"""The Slack bot, before a scripted Slack and a gateway: what stands in the thread, and when."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from aiohttp import web

from gateway.demo_upstream import DemoUpstream
from tests.examples.conftest import HANG_SECONDS, Serve, Start, command, needs_examples
from tests.examples.slack import APP_TOKEN, BOT, BOT_TOKEN, Slack, scripted_slack
from tests.support.gateway import RunningGateway
from tests.support.raw_upstream import STREAM_HEAD, chunked, raw_upstream, say

pytestmark = needs_examples

THINKING = "_thinking …_"

Run = Callable[[RunningGateway], Awaitable[None]]


@pytest.fixture
async def slack() -> AsyncIterator[Slack]:
    async with scripted_slack() as slack:
        yield slack


@pytest.fixture
def run_bot(slack: Slack, start: Start) -> Run:
    """Start the bot; it is ended with the test."""

    async def _run(gateway: RunningGateway) -> None:
        tokens = {"SLACK_BOT_TOKEN": BOT_TOKEN, "SLACK_APP_TOKEN": APP_TOKEN}
        await start(command("slack_bot.py"), gateway, SLACK_API_URL=slack.url, **tokens)

    return _run


def events(*texts: str, end: bool = True) -> bytes:
    """Return a part of a stream that says these."""
    deltas = [{"choices": [{"index": 0, "delta": {"content": text}}]} for text in texts]
    whole = [f"data: {json.dumps(delta)}\n\n".encode() for delta in deltas]
    return chunked(*whole, *([b"data: [DONE]\n\n"] if end else []), end=end)


async def test_an_answer_grows_by_edits(slack: Slack, run_bot: Run, serve: Serve) -> None:
    """The first words are shown while the model goes on, and not each further one is an edit."""
    go_on = asyncio.Event()
    words = [f" word{number}" for number in range(50)]
    pieces = (STREAM_HEAD + events("Hello", end=False), go_on, events(*words))
    async with raw_upstream(say(*pieces)) as upstream, asyncio.timeout(HANG_SECONDS):
        await run_bot(await serve(upstream=upstream.url))
        await slack.tell("app_mention", "U0ANN", f"<@{BOT}> Say something")
        await slack.until_said("Hello")
        go_on.set()
        await slack.until_said("Hello" + "".join(words))

    assert [text for _, text in slack.said][:2] == [THINKING, "Hello"]
    assert len(slack.said) < len(words) / 2
    assert len({stamp for stamp, _ in slack.said}) == 1


async def test_the_thread_is_the_conversation(
    slack: Slack, run_bot: Run, serve: Serve, demo: DemoUpstream
) -> None:
    """The model is told what was said in the thread, by whom, without the mention; and who asks."""
    async with asyncio.timeout(HANG_SECONDS):
        await run_bot(await serve())
        await slack.tell("app_mention", "U0ANN", f"<@{BOT}> My name is Ann")
        await slack.until_said("My name is Ann")
        await slack.tell("message", "U0ANN", "And yours?", channel_type="im")
        await slack.until_said("And yours?")

    told = json.loads(demo.last.body)
    assert told["messages"][1:] == [
        {"role": "user", "content": "My name is Ann"},
        {"role": "assistant", "content": "My name is Ann"},
        {"role": "user", "content": "And yours?"},
    ]
    assert told["user"] == "U0ANN"


async def test_nobody_is_called_by_an_answer(
    slack: Slack, run_bot: Run, serve: Serve, demo: DemoUpstream
) -> None:
    """Slack's signs are escaped in what it is told, and read in what it tells."""
    async with asyncio.timeout(HANG_SECONDS):
        await run_bot(await serve())
        await slack.tell("message", "U0ANN", "&lt;!channel&gt; 1 &lt; 2", channel_type="im")
        await slack.until_said("&lt;!channel&gt; 1 &lt; 2")

    assert json.loads(demo.last.body)["messages"][-1]["content"] == "<!channel> 1 < 2"


async def test_a_long_thread_is_trimmed(
    slack: Slack, run_bot: Run, serve: Serve, demo: DemoUpstream
) -> None:
    """Where a thread no longer fits, its newest turns are what is asked."""
    window = "context_window: 900, tokenizer: o200k_base"
    long = "word " * 1000
    async with asyncio.timeout(HANG_SECONDS):
        await run_bot(await serve(f"models: {{gpt-4o-mini: {{{window}}}}}"))
        slack.thread = [{"type": "message", "user": "U0ANN", "text": long, "ts": "1600000000.0"}]
        await slack.tell("message", "U0ANN", "And now?", channel_type="im")
        await slack.until_said("And now?")

    told = json.loads(demo.last.body)["messages"]
    assert [message["content"] for message in told[1:]] == ["And now?"]


async def test_an_edited_message_is_not_answered(
    slack: Slack, run_bot: Run, serve: Serve, demo: DemoUpstream
) -> None:
    """An event with a subtype, as the bot's own edits cause them, is passed over."""
    async with asyncio.timeout(HANG_SECONDS):
        await run_bot(await serve())
        await slack.tell("message", "U0ANN", "Old", subtype="message_changed")
        await slack.tell("message", "U0ANN", "New", channel_type="im")
        await slack.until_said("New")

    assert len(demo.requests) == 1


async def test_an_error_is_shown(slack: Slack, run_bot: Run, serve: Serve) -> None:
    """Whoever asked reads why there is no answer."""
    async with asyncio.timeout(HANG_SECONDS):
        await run_bot(await serve("limits: [{per: end_user, tokens: 100/min}]"))
        await slack.tell("app_mention", "U0ANN", f"<@{BOT}> Say something")
        while len(slack.said) < 2:
            slack.changed.clear()
            await slack.changed.wait()

    assert slack.said[-1][1].startswith(":warning: ")
    assert "Request too large" in slack.said[-1][1]


async def test_a_broken_answer_says_so(slack: Slack, run_bot: Run, serve: Serve) -> None:
    """What came before a break stays, and does not look whole."""
    pieces = STREAM_HEAD + events("Once upon", end=False)
    async with (
        raw_upstream(say(pieces, then="cut")) as upstream,
        asyncio.timeout(HANG_SECONDS),
    ):
        await run_bot(await serve(upstream=upstream.url))
        await slack.tell("app_mention", "U0ANN", f"<@{BOT}> Tell")
        while ":warning:" not in slack.said[-1][1] if slack.said else True:
            slack.changed.clear()
            await slack.changed.wait()

    assert slack.said[-1][1].startswith("Once upon\n:warning: ")


async def test_slack_s_own_limit_is_waited_for(slack: Slack, run_bot: Run, serve: Serve) -> None:
    """An edit that Slack takes too early is made again."""
    slack.refusals = [
        web.json_response(
            {"ok": False, "error": "ratelimited"}, status=429, headers={"retry-after": "0"}
        )
    ]
    async with asyncio.timeout(HANG_SECONDS):
        await run_bot(await serve())
        await slack.tell("app_mention", "U0ANN", f"<@{BOT}> Hello")
        await slack.until_said("Hello")

    assert slack.refusals == []
