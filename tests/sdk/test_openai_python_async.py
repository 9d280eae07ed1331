"""The newest openai-python, asynchronous: many calls at once, streams that are left, cancelled waits."""

import asyncio
from collections.abc import AsyncIterator

import openai
import pytest
from openai import AsyncOpenAI

from tests.sdk.conftest import HANG_SECONDS, Demo, Gateway
from tests.sdk.test_openai_python import MESSAGES, SAID, WEATHER, scripted


@pytest.fixture
async def client(gateway: Gateway) -> AsyncIterator[AsyncOpenAI]:
    """Make a client that does not retry by itself."""
    async with AsyncOpenAI(base_url=gateway.base_url, api_key=gateway.key, max_retries=0) as made:
        yield made


async def test_many_calls_at_once(client: AsyncOpenAI) -> None:
    """Each of fifty calls gets its own answer."""

    async def ask(number: int) -> str | None:
        completion = await client.chat.completions.create(
            model="gpt-4o-mini", messages=[{"role": "user", "content": f"call {number}"}]
        )
        return completion.choices[0].message.content

    said = await asyncio.gather(*map(ask, range(50)))

    assert said == [f"call {number}" for number in range(50)]


async def test_a_stream_with_usage(client: AsyncOpenAI) -> None:
    """The pieces come in order, the numbers last."""
    stream = await client.chat.completions.create(
        model="gpt-4o-mini",
        messages=MESSAGES,
        stream=True,
        stream_options={"include_usage": True},
    )
    async with stream:
        *chunks, last = [chunk async for chunk in stream]

    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == SAID
    assert last.usage is not None
    assert last.usage.total_tokens == 10


async def test_tool_calls_stream(client: AsyncOpenAI) -> None:
    """The SDK puts a call together from its deltas."""
    async with client.chat.completions.stream(
        model="gpt-4o-mini", messages=MESSAGES, tools=[WEATHER], tool_choice="required"
    ) as stream:
        completion = await stream.get_final_completion()

    calls = completion.choices[0].message.tool_calls
    assert calls is not None
    assert calls[0].function.arguments == '{"city":"demo","days":1}'


async def test_responses_stream(client: AsyncOpenAI) -> None:
    """Named events arrive as they are."""
    async with client.responses.stream(model="gpt-4o-mini", input=SAID) as stream:
        kinds = [event.type async for event in stream]

    assert kinds[-1] == "response.completed"


async def test_transcription_and_embeddings(client: AsyncOpenAI) -> None:
    """Uploads and small JSON paths work alike."""
    heard, vectors = await asyncio.gather(
        client.audio.transcriptions.create(model="whisper-1", file=("a.wav", b"x" * 500_000)),
        client.embeddings.create(model="text-embedding-3-small", input="a", dimensions=32),
    )

    assert heard.text == "a.wav, 500000 bytes"
    assert len(vectors.data[0].embedding) == 32


async def test_errors_keep_their_kind(client: AsyncOpenAI) -> None:
    """An upstream's 429 is a RateLimitError here too."""
    with pytest.raises(openai.RateLimitError) as caught:
        await client.chat.completions.create(
            model="gpt-4o-mini", messages=MESSAGES, extra_body=scripted(error=429)
        )

    assert caught.value.code == "rate_limit_exceeded"


async def test_a_cancelled_call_ends_the_upstream_s(client: AsyncOpenAI, demo: Demo) -> None:
    """A task that is cancelled while it waits leaves nothing running."""
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1.0):
            await client.chat.completions.create(
                model="gpt-4o-mini", messages=MESSAGES, extra_body=scripted(hang_after=-1)
            )

    (asked,) = await asyncio.to_thread(demo.requests)
    assert asked["aborted"] == "waiting"


async def test_leaving_a_stream_ends_the_upstream_s(client: AsyncOpenAI, demo: Demo) -> None:
    """Closing after the first chunk reaches the upstream."""
    stream = await client.chat.completions.create(
        model="gpt-4o-mini", messages=MESSAGES, stream=True, extra_body=scripted(hang_after=2)
    )
    async with stream:
        await asyncio.wait_for(anext(stream), HANG_SECONDS)

    (asked,) = await asyncio.to_thread(demo.requests)
    assert asked["aborted"] == "streaming"


async def test_a_stream_that_breaks_raises(client: AsyncOpenAI) -> None:
    """A broken stream never looks complete."""
    stream = await client.chat.completions.create(
        model="gpt-4o-mini",
        messages=MESSAGES,
        stream=True,
        extra_body=scripted(cut_after=3, reset=True, pace_ms=10),
    )
    reasons = []

    async def read() -> None:
        async for chunk in stream:
            reasons.append(chunk.choices[0].finish_reason)

    async with stream:
        with pytest.raises(openai.APIConnectionError):
            await read()

    assert reasons == [None] * len(reasons)
    assert 1 <= len(reasons) <= 3
