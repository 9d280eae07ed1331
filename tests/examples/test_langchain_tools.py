"""LangChain: a chain and a tool by way of the gateway."""

import json
import re

from tests.examples.conftest import Serve, Start, command, ended, needs_examples
from tests.support.raw_upstream import STREAM_HEAD, chunked, raw_upstream, say, whole

pytestmark = needs_examples

CALL = {"name": "weather", "arguments": '{"city":"Paris"}'}


def stream(*texts: str) -> bytes:
    """Return a stream that says these."""
    deltas = [{"choices": [{"index": 0, "delta": {"content": text}}]} for text in texts]
    events = [f"data: {json.dumps(delta)}\n\n".encode() for delta in deltas]
    return STREAM_HEAD + chunked(*events, b"data: [DONE]\n\n")


async def test_a_chain_streams_and_a_tool_is_called(serve: Serve, start: Start) -> None:
    """The chain's text is printed; the tool's answer goes up, and the model's last word is printed."""
    message = {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": "call_1", "type": "function", "function": CALL}],
    }
    choice = {"index": 0, "finish_reason": "tool_calls", "message": message}
    calls = whole(json.dumps({"choices": [choice]}).encode(), b"Content-Type: application/json")
    sayings = (say(stream("The", " Louvre")), say(calls), say(stream("Yes,", " it rains.")))
    async with raw_upstream(*sayings) as upstream:
        gateway = await serve(upstream=upstream.url)
        ran = await ended(await start(command("langchain_tools.py"), gateway))
        sent = b"".join(bytes(connection.received) for connection in upstream.connections)

    assert ran.out == "The Louvre\n[weather {'city': 'Paris'}]\nYes, it rains.\n"
    assert sent.count(b'"name":"weather"') >= 2
    (answer,) = re.findall(rb'\{[^{}]*"role":"tool"[^{}]*\}', sent)
    assert json.loads(answer)["content"] == "It rains in Paris."
    assert json.loads(answer)["tool_call_id"] == "call_1"
