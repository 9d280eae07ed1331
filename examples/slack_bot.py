"""A Slack bot that answers mentions and direct messages in their thread, and shows each answer as it is written.

It connects by Socket Mode, so it needs no public address. examples/README.md says how to set up the app in Slack.
"""

import html
import os
import re
import time
from collections.abc import Iterator

import openai
from slack_bolt import App
from slack_bolt.adapter.socket_mode import SocketModeHandler
from slack_sdk import WebClient
from slack_sdk.http_retry.builtin_handlers import RateLimitErrorRetryHandler

# Slack takes about one edit a second from an app, and messages of up to 4,000 characters.
SECONDS_BETWEEN_EDITS = 1.2
MAX_TOKENS = 800
INSTRUCTIONS = "You answer in Slack. *Bold* has one asterisk there; there are no headings."

slack = WebClient(
    token=os.environ["SLACK_BOT_TOKEN"],
    base_url=os.environ.get("SLACK_API_URL", WebClient.BASE_URL),
)
slack.retry_handlers.append(RateLimitErrorRetryHandler(max_retry_count=3))
app = App(client=slack)
llm = openai.OpenAI()


def conversation(channel: str, thread: str, bot: str) -> list[dict]:
    """Return a thread as the messages of a chat."""
    replies = slack.conversations_replies(channel=channel, ts=thread, limit=1000)
    messages = [{"role": "system", "content": INSTRUCTIONS}]
    for message in replies["messages"]:
        role = "assistant" if message.get("user") == bot else "user"
        text = re.sub(rf"<@{bot}>\s*", "", message["text"])
        messages.append({"role": role, "content": html.unescape(text)})
    return messages


def answer(messages: list[dict], user: str) -> Iterator[str]:
    """Yield the answer again and again, each time longer."""
    text = ""
    stream = llm.chat.completions.create(
        model="gpt-4o-mini",
        messages=messages,
        max_tokens=MAX_TOKENS,
        user=user,
        stream=True,
        # Of a thread that became too long, the gateway leaves out the oldest turns.
        extra_headers={"x-gateway-context": "trim"},
    )
    for chunk in stream:
        for choice in chunk.choices:
            text += choice.delta.content or ""
            yield text + (" …" if choice.finish_reason == "length" else "")


@app.event("app_mention")
@app.event({"type": "message", "subtype": None})
def reply(event: dict, context: dict) -> None:
    """Answer in the thread of a message, or open one."""
    channel, thread = event["channel"], event.get("thread_ts", event["ts"])
    messages = conversation(channel, thread, context["bot_user_id"])
    post = slack.chat_postMessage(channel=channel, thread_ts=thread, text="_thinking …_")

    def show(text: str) -> None:
        # Escaped, so that no model can call the whole channel by <!channel>.
        slack.chat_update(channel=channel, ts=post["ts"], text=html.escape(text, quote=False))

    text, shown, edited = "", "", 0.0
    try:
        for text in answer(messages, event["user"]):
            if text and time.monotonic() - edited > SECONDS_BETWEEN_EDITS:
                show(text)
                shown, edited = text, time.monotonic()
    except openai.OpenAIError as error:
        text += f"\n:warning: {getattr(error, 'message', error)}"
    if text != shown:
        show(text.strip() or "_nothing to say_")


if __name__ == "__main__":
    SocketModeHandler(app, os.environ["SLACK_APP_TOKEN"]).start()
