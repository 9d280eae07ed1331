"""Audio, images, moderations: each answer shows what came."""

import base64
import io
import json
import wave

import pytest

from gateway.demo_upstream.forms import Form
from gateway.demo_upstream.media import PNG, images, moderation, speech, transcription
from gateway.demo_upstream.script import Asked, Script


def recording(*fields: tuple[str, str], size: int = 40_000) -> Form:
    """Return a form with a recording of so many bytes."""
    form = Form("multipart/form-data; boundary=b")
    for name, value in fields:
        form.feed(
            f'--b\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        )
    form.feed(b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n')
    form.feed(b"x" * size + b"\r\n--b--\r\n")
    return form


@pytest.mark.parametrize(
    ("kind", "content_type", "body"),
    [
        (
            "json",
            "application/json",
            b'{"text":"a.wav, 40000 bytes","usage":{"type":"duration","seconds":2}}',
        ),
        ("text", "text/plain; charset=utf-8", b"a.wav, 40000 bytes\n"),
        (
            "verbose_json",
            "application/json",
            b'{"text":"a.wav, 40000 bytes","usage":{"type":"duration","seconds":2},'
            b'"task":"transcribe","language":"english","duration":2.0,"segments":[]}',
        ),
    ],
)
def test_a_transcription_tells_name_and_size(kind: str, content_type: str, body: bytes) -> None:
    """An upload that arrived whole can be told by its size, in each form of answer."""
    reply = transcription(Asked(form=recording(("model", "whisper-1"), ("response_format", kind))))

    assert reply.content_type == content_type
    assert b"".join(reply.pieces) == body


def test_a_transcription_needs_a_file_and_a_model() -> None:
    """Without one of them it is 400."""
    assert transcription(Asked()).status == 400
    assert transcription(Asked(form=recording())).status == 400


def test_a_scripted_transcription() -> None:
    """The script's words go before the file's."""
    asked = Asked(form=recording(("model", "m")), script=Script(reply="hello"))

    assert b'"text":"hello"' in b"".join(transcription(asked).pieces)


def test_speech_is_a_beep_a_word() -> None:
    """Two words are a fifth of a second of valid WAV, in a piece each."""
    reply = speech(Asked(body=b'{"model":"tts-1","voice":"alloy","input":"one two"}'))
    pieces = list(reply.pieces)

    assert not reply.length_known
    assert len(pieces) == 3
    with wave.open(io.BytesIO(b"".join(pieces))) as sound:
        assert (sound.getframerate(), sound.getnframes()) == (8_000, 1_600)


def test_an_image_is_a_pixel() -> None:
    """`n` images come as base64."""
    reply = json.loads(b"".join(images(Asked(body=b'{"prompt":"a cat","n":2}')).pieces))

    assert [base64.b64decode(image["b64_json"]) for image in reply["data"]] == [PNG, PNG]
    assert reply["data"][0]["revised_prompt"] == "a cat"
    assert images(Asked(body=b'{"prompt":"a cat","n":0}')).status == 400


@pytest.mark.parametrize(("text", "flagged"), [("peace", False), ("violence", True)])
def test_violence_is_flagged(text: str, flagged: bool) -> None:
    """One word decides, in its own category."""
    body = json.dumps({"input": text}).encode()

    (result,) = json.loads(b"".join(moderation(Asked(body=body)).pieces))["results"]

    assert result["flagged"] is flagged
    assert result["categories"]["violence"] is flagged
    assert result["categories"]["hate"] is False
