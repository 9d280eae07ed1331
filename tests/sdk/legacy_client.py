# ruff: noqa: D401 - Cases are tests, of a Python that has no pytest.
# mypy: ignore-errors
# The types that mypy sees are those of the newest openai.
"""What programs written for openai before 1.0 do; run by that version's own Python, one JSON line a case.

`api_base` and `api_key` come from OPENAI_API_BASE and OPENAI_API_KEY, as such programs have them.
"""

import asyncio
import inspect
import io
import json
import os
import sys
import traceback
import urllib.request

import openai
from openai import error as errors

SAID = "Say this is a tést"
ASK = {"model": "gpt-3.5-turbo", "messages": [{"role": "user", "content": SAID}]}
FUNCTION = {"name": "weather", "parameters": {"properties": {"city": {"type": "string"}}}}
TOOLS = [{"type": "function", "function": FUNCTION}]


def raised(kind, **script):
    """Ask under a script that must fail; return the SDK's exception, which is of this very kind."""
    try:
        openai.ChatCompletion.create(**ASK, demo=script)
    except errors.OpenAIError as error:
        assert type(error) is kind, repr(error)
        return error
    raise AssertionError("nothing was raised")


def asked():
    """Return what the upstream was asked since the last time, once nothing is in flight."""
    url = os.environ["DEMO_ORIGIN"] + "/demo/requests?settled"
    with urllib.request.urlopen(urllib.request.Request(url, method="DELETE")) as reply:
        return json.load(reply)


def case_chat():
    """ChatCompletion.create returns the reply, with the upstream's headers behind it."""
    asked()
    reply = openai.ChatCompletion.create(**ASK)
    (request,) = asked()
    headers = {name.lower(): value for name, value in request["headers"]}

    assert reply.choices[0].message.content == SAID
    assert reply["usage"]["total_tokens"] == 10
    assert reply.organization == "demo"
    assert reply.response_ms == 1
    assert headers["user-agent"] == "OpenAI/v1 PythonBindings/0.28.1"
    assert headers["authorization"] != f"Bearer {openai.api_key}"


def case_chat_stream():
    """A stream's pieces joined are the text."""
    chunks = list(openai.ChatCompletion.create(**ASK, stream=True))

    assert "".join(chunk.choices[0].delta.get("content", "") for chunk in chunks) == SAID
    assert chunks[-1].choices[0].finish_reason == "stop"


def case_chat_stream_of_unusual_bytes():
    """CR LF, comments and pieces of a byte change nothing."""
    script = {"crlf": True, "comments": True, "piece_bytes": 1}
    chunks = list(openai.ChatCompletion.create(**ASK, stream=True, demo=script))

    assert "".join(chunk.choices[0].delta.get("content", "") for chunk in chunks) == SAID


def case_chat_stream_with_usage():
    """Newer parameters go through an old client."""
    options = {"include_usage": True}
    *_, last = openai.ChatCompletion.create(**ASK, stream=True, stream_options=options)

    assert last.choices == []
    assert last.usage.total_tokens == 10


def case_chat_n_and_stop():
    """Several choices end where they are told."""
    reply = openai.ChatCompletion.create(**ASK, n=2, stop=["is"])

    assert [choice.message.content for choice in reply.choices] == ["Say th", "Say th"]


def case_chat_tools():
    """A tool is called whole and as a stream."""
    whole = openai.ChatCompletion.create(**ASK, tools=TOOLS, tool_choice="required")
    chunks = openai.ChatCompletion.create(**ASK, tools=TOOLS, tool_choice="required", stream=True)
    deltas = [call for c in chunks for call in c.choices[0].delta.get("tool_calls", [])]

    assert whole.choices[0].message.tool_calls[0].function.arguments == '{"city":"demo"}'
    assert "".join(delta.function.arguments for delta in deltas) == '{"city":"demo"}'


async def case_chat_acreate():
    """ChatCompletion.acreate returns the reply."""
    reply = await openai.ChatCompletion.acreate(**ASK)

    assert reply.choices[0].message.content == SAID


async def case_chat_acreate_stream():
    """An asynchronous stream's pieces joined are the text."""
    stream = await openai.ChatCompletion.acreate(**ASK, stream=True)
    chunks = [chunk async for chunk in stream]

    assert "".join(chunk.choices[0].delta.get("content", "") for chunk in chunks) == SAID


async def case_chat_acreate_many():
    """Twenty at once get their own answers."""

    async def ask(text):
        messages = [{"role": "user", "content": text}]
        reply = await openai.ChatCompletion.acreate(model="m", messages=messages)
        return reply.choices[0].message.content

    texts = [f"call {number}" for number in range(20)]

    assert await asyncio.gather(*map(ask, texts)) == texts


async def case_errors_acreate():
    """Errors have their kind there too."""
    try:
        await openai.ChatCompletion.acreate(**ASK, demo={"error": 429})
    except errors.RateLimitError as error:
        assert error.http_status == 429
    else:
        raise AssertionError("nothing was raised")


def case_api_base():
    """A call may name its own `api_base` and key."""
    base, key = openai.api_base, openai.api_key
    openai.api_base, openai.api_key = "http://127.0.0.1:9/v1", "unused"
    try:
        reply = openai.ChatCompletion.create(**ASK, api_base=base, api_key=key)
    finally:
        openai.api_base, openai.api_key = base, key

    assert reply.choices[0].message.content == SAID


def case_completion():
    """The old completions work whole and as a stream."""
    whole = openai.Completion.create(model="gpt-3.5-turbo-instruct", prompt=["a b", "c"])
    chunks = openai.Completion.create(model="m", prompt="a b", stream=True)

    assert [choice.text for choice in whole.choices] == ["a b", "c"]
    assert "".join(chunk.choices[0].text for chunk in chunks) == "a b"


def case_embedding():
    """Embedding.create gives plain numbers."""
    reply = openai.Embedding.create(
        model="text-embedding-ada-002", input=["a", "b"], encoding_format="float"
    )

    assert [len(entry.embedding) for entry in reply.data] == [8, 8]


def case_transcribe():
    """An upload arrives whole; text comes back as text."""
    recording = io.BytesIO(b"x" * 1_000_000)
    recording.name = "a b.wav"
    reply = openai.Audio.transcribe("whisper-1", recording)
    recording.seek(0)
    text = openai.Audio.transcribe("whisper-1", recording, response_format="text")

    assert reply.text == "a b.wav, 1000000 bytes"
    assert text == "a b.wav, 1000000 bytes\n"


def case_moderation_and_image():
    """The smaller paths are relayed."""
    judged = openai.Moderation.create(input="violence")
    image = openai.Image.create(prompt="a cat", n=2)

    assert judged.results[0].flagged
    assert len(image.data) == 2


def case_models():
    """Models can be listed and looked up."""
    assert "gpt-4o-mini" in {model.id for model in openai.Model.list().data}
    assert openai.Model.retrieve("gpt-4o-mini").id == "gpt-4o-mini"


def case_error_authentication():
    """A wrong key is the gateway's 401."""
    try:
        openai.ChatCompletion.create(**ASK, api_key="sk-gw-wrong")
    except errors.AuthenticationError as error:
        assert error.http_status == 401
        assert error.error.code == "invalid_api_key"
    else:
        raise AssertionError("nothing was raised")


def case_error_invalid_request():
    """A 400 keeps code and param; a 404 is of the same kind."""
    failure = {"status": 400, "code": "context_length_exceeded", "param": "messages"}
    wrong = raised(errors.InvalidRequestError, error=failure)
    missing = raised(errors.InvalidRequestError, error=404)

    assert (wrong.code, wrong.param) == ("context_length_exceeded", "messages")
    assert missing.http_status == 404


def case_error_rate_limit():
    """A 429 keeps its `retry-after`, and is not retried by this version."""
    asked()
    limited = raised(errors.RateLimitError, error=429)

    assert limited.headers["retry-after"] == "1"
    assert limited.headers["x-request-id"].startswith("req_demo_")
    assert len(asked()) == 1


def case_error_server():
    """A 500 and a 503 have kinds of their own."""
    raised(errors.APIError, error=500)
    raised(errors.ServiceUnavailableError, error=503)


def case_error_upstream():
    """Half a reply is a 502 of the gateway's."""
    cut = raised(errors.APIError, piece_bytes=50, cut_after=2)

    assert cut.http_status == 502


def case_error_timeout():
    """A client that gives up ends the upstream's work too."""
    asked()
    try:
        openai.ChatCompletion.create(**ASK, request_timeout=1.0, demo={"hang_after": -1})
    except errors.Timeout:
        pass
    else:
        raise AssertionError("nothing was raised")

    assert {request["aborted"] for request in asked()} == {"waiting"}


def case_broken_stream():
    """A stream that breaks raises, and never looks complete."""
    chunks = []
    try:
        for chunk in openai.ChatCompletion.create(
            **ASK, stream=True, demo={"cut_after": 3, "pace_ms": 10}
        ):
            chunks.append(chunk)
    # This version lets its HTTP client's own exceptions through.
    except OSError as error:
        assert "ended prematurely" in str(error) or "Connection" in str(error), repr(error)
    else:
        raise AssertionError("nothing was raised")

    assert 1 <= len(chunks) <= 3


def run(case):
    """Run one case; return what went wrong, None where nothing did."""
    try:
        if inspect.iscoroutinefunction(case):
            asyncio.run(case())
        else:
            case()
    except Exception:  # noqa: BLE001 - whatever it is, it is the case's outcome
        return traceback.format_exc()
    return None


for name, case in list(globals().items()):
    if name.startswith("case_"):
        outcome = {"case": name.removeprefix("case_"), "error": run(case)}
        sys.stdout.write(json.dumps(outcome) + "\n")
