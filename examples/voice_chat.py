"""Ask by voice: a recording is transcribed, and each sentence of the answer is spoken while the next one is written."""

import argparse
import asyncio
import os
import re
import shlex
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
from openai import AsyncOpenAI

# Where a sentence ends: a full stop may stand in a number, unless a blank follows.
SENTENCE_END = re.compile(r"(?<=[.!?])\s+|(?<=[。！？])")

llm = AsyncOpenAI()
voicevox = httpx.AsyncClient(
    base_url=os.environ.get("VOICEVOX_URL", "http://127.0.0.1:50021"), timeout=60
)


async def answer(question: str) -> AsyncIterator[str]:
    """Yield the answer sentence by sentence."""
    stream = await llm.chat.completions.create(
        model="gpt-4o-mini",
        messages=[
            {"role": "system", "content": "You are spoken to: answer in a few short sentences."},
            {"role": "user", "content": question},
        ],
        stream=True,
    )
    rest = ""
    async for chunk in stream:
        rest += "".join(choice.delta.content or "" for choice in chunk.choices)
        *sentences, rest = SENTENCE_END.split(rest)
        for sentence in sentences:
            yield sentence.strip()
    if rest.strip():
        yield rest.strip()


async def speak_by_openai(sentence: str) -> bytes:
    """Return a sentence as WAV, spoken by OpenAI."""
    speech = await llm.audio.speech.create(
        model="tts-1", voice="alloy", input=sentence, response_format="wav"
    )
    return speech.content


async def speak_by_voicevox(sentence: str) -> bytes:
    """Return a sentence as WAV, spoken by a VOICEVOX engine; speaker 3 is Zundamon."""
    query = await voicevox.post("/audio_query", params={"text": sentence, "speaker": 3})
    query.raise_for_status()
    speech = await voicevox.post("/synthesis", params={"speaker": 3}, json=query.json())
    return speech.raise_for_status().content


async def play(spoken: asyncio.Queue, player: str, folder: Path) -> None:
    """Keep each sentence in a file, and play it, in their order."""
    number = 0
    while (speech := await spoken.get()) is not None:
        number += 1
        file = folder / f"answer-{number}.wav"
        file.write_bytes(await speech)
        if player:
            process = await asyncio.create_subprocess_exec(*shlex.split(player), file)
            await process.wait()


async def main() -> None:
    """Transcribe, answer, speak."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("recording", type=Path, help="e.g. question.wav")
    arguments.add_argument("--voice", choices=["openai", "voicevox"], default="openai")
    arguments.add_argument("--player", default="", help="e.g. aplay, afplay, 'mpv --no-video'")
    arguments.add_argument("--folder", type=Path, default=Path(), help="where the answer is kept")
    args = arguments.parse_args()
    speak = speak_by_voicevox if args.voice == "voicevox" else speak_by_openai

    question = await llm.audio.transcriptions.create(model="whisper-1", file=args.recording)
    print(f"> {question.text}")
    async with asyncio.TaskGroup() as tasks:
        spoken = asyncio.Queue()
        tasks.create_task(play(spoken, args.player, args.folder))
        async for sentence in answer(question.text):
            print(sentence)
            spoken.put_nowait(tasks.create_task(speak(sentence)))
        spoken.put_nowait(None)


asyncio.run(main())
