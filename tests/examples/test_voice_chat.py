"""The voice chat, before a scripted VOICEVOX engine or the gateway's own speech: what is heard, and when."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import web

from gateway.demo_upstream import DemoUpstream
from tests.examples.conftest import Serve, Start, command, ended, needs_examples
from tests.support.raw_upstream import STREAM_HEAD, chunked, raw_upstream, say, whole

pytestmark = needs_examples

RECORDING = b"RIFF\x24\x00\x00\x00WAVEfmt "


@dataclass(slots=True)
class Voicevox:
    """An engine that speaks a sentence as its own text; each one waits for the event that is named for it.

    https://voicevox.github.io/voicevox_engine/api/
    """

    url: str = ""
    waits: dict[str, asyncio.Event] = field(default_factory=dict)
    spoken: dict[str, asyncio.Event] = field(default_factory=dict)

    async def audio_query(self, request: web.Request) -> web.Response:
        """Answer with what `/synthesis` shall be asked."""
        assert request.query["speaker"] == "3"
        return web.json_response({"accent_phrases": [], "kana": request.query["text"]})

    async def synthesis(self, request: web.Request) -> web.Response:
        """Speak a query."""
        assert request.query["speaker"] == "3"
        text = (await request.json())["kana"]
        if text in self.waits:
            await self.waits[text].wait()
        self.spoken.setdefault(text, asyncio.Event()).set()
        return web.Response(body=text.encode(), content_type="audio/wav")


@contextlib.asynccontextmanager
async def scripted_voicevox() -> AsyncIterator[Voicevox]:
    """Run it at a free port."""
    engine = Voicevox()
    app = web.Application()
    app.router.add_post("/audio_query", engine.audio_query)
    app.router.add_post("/synthesis", engine.synthesis)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.01)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    engine.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield engine
    finally:
        await runner.cleanup()


def record(folder: Path) -> str:
    """Put a recording and a player into a folder; return the PATH on which the player is."""
    (folder / "question.wav").write_bytes(RECORDING)
    player = folder / "bin" / "aplay"
    player.parent.mkdir()
    player.write_text('#!/bin/sh\n/bin/cat "$1" >>played; echo >>played\n')
    player.chmod(0o755)
    return str(player.parent)


async def test_each_sentence_is_spoken_in_turn(
    serve: Serve, start: Start, demo: DemoUpstream, tmp_path: Path
) -> None:
    """The recording goes up, its text is asked, and sentences of two scripts are played in their order."""
    gateway = await serve(script={"reply": "It is 3.5 degrees. 今日は寒い。コートを着て！ Bye"})
    sentences = ["It is 3.5 degrees.", "今日は寒い。", "コートを着て！", "Bye"]
    async with scripted_voicevox() as engine:
        # The first is ready last.
        engine.spoken["Bye"] = engine.waits["It is 3.5 degrees."] = asyncio.Event()
        path = record(tmp_path)
        ran = await ended(
            await start(command("voice_chat.py"), gateway, VOICEVOX_URL=engine.url, PATH=path)
        )

    assert ran.out.splitlines()[1:] == sentences
    assert (tmp_path / "played").read_text().splitlines() == sentences
    transcription, chat = demo.requests
    assert RECORDING in transcription.body
    assert json.loads(chat.body)["messages"][1]["content"] == "".join(ran.out[2:].splitlines()[:1])


async def test_speech_does_not_wait_for_the_whole_answer(
    serve: Serve, start: Start, tmp_path: Path
) -> None:
    """The first sentence is spoken while the model has not begun the second."""

    def event(text: str) -> bytes:
        delta = {"choices": [{"index": 0, "delta": {"content": text}}]}
        return f"data: {json.dumps(delta)}\n\n".encode()

    async with scripted_voicevox() as engine:
        first = engine.spoken["One."] = asyncio.Event()
        stream = (
            STREAM_HEAD + chunked(event("One. "), end=False),
            first,
            chunked(event("Two."), b"data: [DONE]\n\n"),
        )
        heard = whole(b'{"text":"Count"}', b"Content-Type: application/json")
        async with raw_upstream(say(heard), say(*stream)) as upstream:
            gateway = await serve(upstream=upstream.url)
            path = record(tmp_path)
            ran = await ended(
                await start(command("voice_chat.py"), gateway, VOICEVOX_URL=engine.url, PATH=path)
            )

    assert ran.out == "> Count\nOne.\nTwo.\n"
    assert (tmp_path / "played").read_text() == "One.\nTwo.\n"


async def test_openai_speaks_too(
    serve: Serve, start: Start, demo: DemoUpstream, tmp_path: Path
) -> None:
    """Without a VOICEVOX engine the sentences are spoken by way of the gateway, into files."""
    gateway = await serve(script={"reply": "One. Two."})
    record(tmp_path)
    words = command("voice_chat.py")
    short = words[: words.index("--voice")]

    await ended(await start(short, gateway))

    asked = [json.loads(one.body) for one in demo.requests if one.target == "/v1/audio/speech"]
    assert {one["input"] for one in asked} == {"One.", "Two."}
    assert [(tmp_path / f"answer-{number}.wav").read_bytes()[:4] for number in (1, 2)] == [
        b"RIFF"
    ] * 2
