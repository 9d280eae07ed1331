"""Audio, images and moderations: enough of an answer to see that the bytes went both ways."""

import base64
import math
import struct
from collections.abc import Iterator
from functools import cache

import msgspec

from gateway.demo_upstream.reply import CREATED, Reply, invalid_reply, json_reply
from gateway.demo_upstream.script import Asked
from gateway.demo_upstream.text import Content, given, identifier, plain, words

# One transparent pixel.
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
)

_SAMPLES_PER_SECOND = 8_000
_TONE_HERTZ = 440
_BEEP_SECONDS = 0.1
# So much of an uploaded recording is taken for a second of it.
_BYTES_PER_SECOND = 16_000

_MAX_IMAGES = 10

_CATEGORIES = (
    "harassment",
    "harassment/threatening",
    "hate",
    "hate/threatening",
    "illicit",
    "illicit/violent",
    "self-harm",
    "self-harm/instructions",
    "self-harm/intent",
    "sexual",
    "sexual/minors",
    "violence",
    "violence/graphic",
)


def transcription(asked: Asked) -> Reply:
    """Answer an uploaded recording with its name and size."""
    form = asked.form
    file = form.files.get("file") if form is not None else None
    if form is None or file is None or "model" not in form.fields:
        return invalid_reply("A form with 'file' and 'model' is needed.")
    text = asked.script.reply or f"{file.filename}, {file.size_bytes} bytes"
    form_of_answer = form.fields.get("response_format", "json")
    if form_of_answer == "text":
        return Reply(pieces=[f"{text}\n".encode()], content_type="text/plain; charset=utf-8")
    seconds = max(1, file.size_bytes // _BYTES_PER_SECOND)
    answer: dict[str, object] = {"text": text, "usage": {"type": "duration", "seconds": seconds}}
    if form_of_answer == "verbose_json":
        answer |= {
            "task": "transcribe",
            "language": form.fields.get("language", "english"),
            "duration": float(seconds),
            "segments": [],
        }
    return json_reply(answer)


class SpeechRequest(msgspec.Struct):
    """What is looked at in a request; all else is taken and ignored."""

    model: str
    input: str


def speech(asked: Asked) -> Reply:
    """Speak a text: a beep a word, streamed as WAV whatever format was asked for."""
    request = msgspec.json.decode(asked.body, type=SpeechRequest)
    said = words(request.input)
    return Reply(pieces=_wav(len(said)), content_type="audio/wav", length_known=False)


def _wav(beeps: int) -> Iterator[bytes]:
    size = beeps * len(_beep())
    form = struct.pack(
        "<4sIHHIIHH", b"fmt ", 16, 1, 1, _SAMPLES_PER_SECOND, 2 * _SAMPLES_PER_SECOND, 2, 16
    )
    yield (
        struct.pack("<4sI4s", b"RIFF", 36 + size, b"WAVE")
        + form
        + struct.pack("<4sI", b"data", size)
    )
    for _ in range(beeps):
        yield _beep()


@cache
def _beep() -> bytes:
    count = int(_BEEP_SECONDS * _SAMPLES_PER_SECOND)
    # A tone for the first half, then silence.
    samples = [
        int(8_000 * math.sin(2 * math.pi * _TONE_HERTZ * at / _SAMPLES_PER_SECOND))
        * (2 * at < count)
        for at in range(count)
    ]
    return struct.pack(f"<{count}h", *samples)


class ImageRequest(msgspec.Struct):
    """What is looked at in a request; all else is taken and ignored."""

    prompt: str
    n: int | None = None


def images(asked: Asked) -> Reply:
    """Draw a prompt: one pixel."""
    request = msgspec.json.decode(asked.body, type=ImageRequest)
    if not 1 <= given(request.n, 1) <= _MAX_IMAGES:
        return invalid_reply(f"Invalid 'n': expected 1 to {_MAX_IMAGES}.")
    image = {"b64_json": base64.b64encode(PNG).decode(), "revised_prompt": request.prompt}
    return json_reply({"created": CREATED, "data": [image] * given(request.n, 1)})


class ModerationRequest(msgspec.Struct):
    """What is looked at in a request; all else is taken and ignored."""

    input: Content
    model: str = "omni-moderation-latest"


def moderation(asked: Asked) -> Reply:
    """Judge a text: whoever says "violence" is violent."""
    request = msgspec.json.decode(asked.body, type=ModerationRequest)
    flagged = "violence" in plain(request.input)
    result = {
        "flagged": flagged,
        "categories": {name: flagged and name == "violence" for name in _CATEGORIES},
        "category_scores": {
            name: 0.9 if flagged and name == "violence" else 0.01 for name in _CATEGORIES
        },
    }
    return json_reply(
        {"id": identifier("modr-", asked.body), "model": request.model, "results": [result]}
    )
