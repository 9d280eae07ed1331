"""Exchanges are kept on file, and answer later without an upstream."""

import json
from pathlib import Path

import pytest

from gateway.demo_upstream import DemoUpstream
from tests.journey.conftest import KEY, Connect, Start
from tests.support.raw_upstream import STREAM_HEAD, chunked, raw_upstream, say, whole

CHAT = b'{"model":"echo","messages":[{"role":"user","content":"Say this"}]}'
STREAM = CHAT.replace(b"{", b'{"stream":true,', 1)
NOBODY = "http://127.0.0.1:9"


def mode(mode: str, folder: Path) -> str:
    """Return the configuration's section."""
    return f'recordings: {{mode: {mode}, dir: "{folder}"}}\n'


async def test_a_recorded_exchange_answers_without_an_upstream(
    demo: DemoUpstream, start: Start, connect: Connect, tmp_path: Path
) -> None:
    """Whole replies and streams come back byte for byte, to a request of another spelling too."""
    folder = tmp_path / "recordings"
    client = await connect(await start(demo.url, mode("record", folder)))
    live = []
    for body in (CHAT, STREAM):
        client.request(
            "POST", "/v1/chat/completions", body, (("Authorization", "Bearer client-key-1"),)
        )
        live.append(await client.reply())

    client = await connect(await start(NOBODY, mode("replay", folder)))
    for body, first in zip((CHAT, STREAM), live, strict=True):
        client.request("POST", "/v1/chat/completions", body.replace(b":", b" : "))
        again = await client.reply()
        assert (again.status, again.body, again.whole) == (200, first.body, True)
        assert again.header("content-type") == first.header("content-type")
    kept = "".join(path.read_text() for path in folder.iterdir())
    assert len(list(folder.iterdir())) == 2
    assert "Say this" in kept
    assert KEY not in kept
    assert "client-key-1" not in kept


@pytest.mark.parametrize(
    ("how", "said"),
    [("record", "every exchange is written to {}"), ("replay", "no upstream is asked: {} answers")],
)
async def test_the_start_says_what_becomes_of_calls(
    start: Start, tmp_path: Path, caplog: pytest.LogCaptureFixture, how: str, said: str
) -> None:
    """Whoever reads the first lines of the log does not take recordings for an upstream."""
    folder = tmp_path / "recordings"
    folder.mkdir()
    gateway = await start(NOBODY, mode(how, folder))
    with caplog.at_level("INFO"):
        gateway.app.announce()

    assert said.format(folder) in caplog.messages


async def test_the_same_request_gets_its_recordings_in_turn(
    start: Start, connect: Connect, tmp_path: Path
) -> None:
    """The n-th time the n-th recording, errors among them, then always the last."""
    bodies = (whole(b"first"), whole(b"no", status=b"400 Bad Request"), whole(b"last"))
    async with raw_upstream(*map(say, bodies)) as upstream:
        client = await connect(await start(upstream.url, mode("record", tmp_path / "r")))
        for _ in bodies:
            client.request("POST", "/v1/chat/completions", CHAT)
            await client.reply()

    client = await connect(await start(NOBODY, mode("replay", tmp_path / "r")))
    seen = []
    for _ in range(4):
        client.request("POST", "/v1/chat/completions", CHAT)
        reply = await client.reply()
        seen.append((reply.status, reply.body))

    assert seen == [(200, b"first"), (400, b"no"), (200, b"last"), (200, b"last")]


async def test_a_miss_names_the_nearest(
    demo: DemoUpstream, start: Start, connect: Connect, tmp_path: Path
) -> None:
    """What differs is told in a 404, which no SDK retries."""
    client = await connect(await start(demo.url, mode("record", tmp_path / "r")))
    client.request("POST", "/v1/chat/completions", CHAT)
    await client.reply()

    client = await connect(await start(NOBODY, mode("replay", tmp_path / "r")))
    client.request("POST", "/v1/chat/completions", CHAT.replace(b"this", b"that"))
    reply = await client.reply()

    error = json.loads(reply.body)["error"]
    (name,) = (path.name for path in (tmp_path / "r").iterdir())
    assert (reply.status, error["code"]) == (404, "recording_not_found")
    assert error["message"].endswith(
        f'The nearest is {name}, which differs in messages[0].content (recorded "Say this", asked "Say that").'
    )


async def test_an_upload_is_recorded_whatever_its_delimiter(
    start: Start, connect: Connect, tmp_path: Path
) -> None:
    """A form that another client sends with another delimiter is the same request."""

    def form(boundary: str) -> tuple[bytes, tuple[tuple[str, str], ...]]:
        part = 'Content-Disposition: form-data; name="model"\r\n\r\nwhisper-1\r\n'
        body = f"--{boundary}\r\n{part}--{boundary}--\r\n".encode()
        return body, (("Content-Type", f"multipart/form-data; boundary={boundary}"),)

    async with raw_upstream(say(whole(b'{"text":"hello"}'))) as upstream:
        client = await connect(await start(upstream.url, mode("record", tmp_path / "r")))
        client.request("POST", "/v1/audio/transcriptions", *form("one"))
        await client.reply()

    client = await connect(await start(NOBODY, mode("replay", tmp_path / "r")))
    client.request("POST", "/v1/audio/transcriptions", *form("other"))

    assert (await client.reply()).body == b'{"text":"hello"}'


async def test_a_cut_reply_is_not_recorded(start: Start, connect: Connect, tmp_path: Path) -> None:
    """Only what passed whole is kept."""
    cut = say(STREAM_HEAD, chunked(b"data: 1\n\n", end=False), then="cut")
    async with raw_upstream(cut) as upstream:
        client = await connect(await start(upstream.url, mode("record", tmp_path / "r")))
        client.request("POST", "/v1/chat/completions", STREAM)
        assert not (await client.reply()).whole

    assert not (tmp_path / "r").exists()


@pytest.mark.parametrize(
    "reply",
    [
        whole(b'{"error":{"message":"no such key: ' + KEY.encode() + b'"}}', status=b"403 No"),
        whole(b'{"text":"' + KEY.encode() + b'"}'),
        STREAM_HEAD + chunked(b"data: " + KEY.encode() + b"\n\n"),
        whole(b"{}", b"X-Asked-With: " + KEY.encode()),
    ],
)
async def test_a_reply_that_holds_the_key_is_not_recorded(
    start: Start, connect: Connect, tmp_path: Path, reply: bytes
) -> None:
    """What an upstream echoes of its key, in an error or anywhere else, comes into no file; the next one is kept."""
    async with raw_upstream(say(reply), say(whole(b"{}"))) as upstream:
        client = await connect(await start(upstream.url, mode("record", tmp_path / "r")))
        for body in (CHAT, STREAM):
            client.request("POST", "/v1/chat/completions", body)
            await client.reply()

    kept = [path.read_text() for path in (tmp_path / "r").iterdir()]
    assert len(kept) == 1
    assert KEY not in kept[0]


async def test_what_cannot_be_written_costs_the_client_nothing(
    demo: DemoUpstream, start: Start, connect: Connect, tmp_path: Path
) -> None:
    """A folder that is none, as a full disk would, loses the recording and not the reply."""
    (tmp_path / "r").write_text("a file")
    client = await connect(await start(demo.url, mode("record", tmp_path / "r")))
    client.request("POST", "/v1/chat/completions", STREAM)
    reply = await client.reply()

    assert (reply.status, reply.whole) == (200, True)
