"""Recordings: what their files hold, which of them answers, and what is told where none does."""

import json
from pathlib import Path

import pytest

from gateway.recordings import (
    Asked,
    BadRecordingError,
    Recording,
    Shelf,
    differences,
    read_recording,
    reply_recorded,
)
from gateway.types import Headers

JSON: Headers = ((b"Content-Type", b"application/json"),)
TARGET = "/v1/chat/completions"
BODY = b'{"model":"m","messages":[{"role":"user","content":"Hi"}]}'


def asked(body: bytes = BODY, target: str = TARGET, headers: Headers = JSON) -> Asked:
    """Return a request."""
    return Asked.of("POST", target, headers, body)


def put(folder: Path, name: str, body: bytes, reply: bytes) -> None:
    """Write a recording."""
    (folder / name).write_bytes(reply_recorded(asked(body), 200, JSON, reply).content())


@pytest.mark.parametrize(
    ("other", "same"),
    [
        (b'{ "messages" : [{"content":"Hi","role":"user"}], "model":"m" }', True),
        (b'{"model":"m","messages":[{"role":"user","content":"H\\u0069"}]}', True),
        (b'{"model":"m","messages":[{"role":"user","content":"hi"}]}', False),
        (b'{"model":"m","messages":[{"role":"user","content":"Hi"}],"n":1}', False),
    ],
)
def test_meaning_decides_not_spelling(other: bytes, same: bool) -> None:
    """Order, white space and escapes do not tell JSON bodies apart; every value does."""
    assert (asked(other).digest == asked().digest) is same


def test_path_and_query_tell_requests_apart() -> None:
    """The same body elsewhere is another request."""
    assert asked(target="/v1/embeddings").digest != asked().digest
    assert asked(target=f"{TARGET}?a=1").digest != asked().digest


def test_a_form_s_delimiter_does_not_matter() -> None:
    """Each client draws it anew; what stands between decides."""

    def form(boundary: bytes, content: bytes) -> Asked:
        head: Headers = ((b"content-type", b'multipart/form-data; boundary="%b"' % boundary),)
        return asked(b"--%b\r\n\r\n%b\r\n--%b--\r\n" % (boundary, content, boundary), headers=head)

    assert form(b"one", b"x").digest == form(b"other", b"x").digest
    assert form(b"one", b"x").digest != form(b"one", b"y").digest


@pytest.mark.parametrize(
    ("kind", "body", "pieces"),
    [
        (b"application/json", b'{"a": 1}\n', (b'{"a": 1}\n',)),
        (b"text/event-stream", b"data: 1\n\ndata: 2\n\n", (b"data: 1\n\n", b"data: 2\n\n")),
        (b"text/event-stream", b": c\r\n\r\ndata: 1\r\n\r\n", (b": c\r\n\r\n", b"data: 1\r\n\r\n")),
        (b"audio/mpeg", b"\xff\xfb\x00", (b"\xff\xfb\x00",)),
        (b"text/plain", "é \U0001f389".encode(), ("é \U0001f389".encode(),)),
    ],
)
def test_what_is_written_is_read_back(
    tmp_path: Path, kind: bytes, body: bytes, pieces: tuple[bytes, ...]
) -> None:
    """Bytes, status and fields come back as they were; streams event by event, binary ones too."""
    path = tmp_path / "one.json"
    path.write_bytes(reply_recorded(asked(), 201, ((b"Content-Type", kind),), body).content())

    assert read_recording(path) == Recording(
        asked=asked(),
        status=201,
        headers=((b"Content-Type", kind),),
        pieces=pieces,
        name="one.json",
    )


def test_no_framing_and_no_cookie_is_kept() -> None:
    """Those belong to one connection, or to one caller."""
    fields: Headers = (
        (b"Set-Cookie", b"s=1"),
        (b"Content-Length", b"2"),
        (b"Transfer-Encoding", b"chunked"),
        (b"x-request-id", b"req-1"),
    )

    assert reply_recorded(asked(), 200, fields, b"{}").headers == ((b"x-request-id", b"req-1"),)


def test_the_nth_request_gets_the_nth_recording_then_the_last(tmp_path: Path) -> None:
    """In the order of their numbers, the tenth after the ninth."""
    for number in (10, 9, 2):
        put(tmp_path, f"a-{number}.json", BODY, b"%d" % number)
    shelf = Shelf.read(tmp_path)

    taken = [shelf.take(asked()) for _ in range(5)]

    assert [one.pieces[0] for one in taken if one] == [b"2", b"9", b"10", b"10", b"10"]


def test_a_body_edited_by_hand_counts_as_it_stands(tmp_path: Path) -> None:
    """The digest in the file is that of the machine; the text is that of its reader."""
    put(tmp_path, "a-1.json", BODY, b"1")
    path = tmp_path / "a-1.json"
    path.write_text(path.read_text().replace('"Hi"', '"Ho"'))
    shelf = Shelf.read(tmp_path)

    assert shelf.take(asked()) is None
    assert shelf.take(asked(BODY.replace(b"Hi", b"Ho"))) is not None


def test_the_nearest_is_told_with_what_differs(tmp_path: Path) -> None:
    """Of the recordings for the same path, the one with the fewest differences."""
    put(tmp_path, "far-1.json", b'{"model":"other","messages":[],"n":2}', b"1")
    put(tmp_path, "near-1.json", BODY, b"1")
    shelf = Shelf.read(tmp_path)

    told = shelf.told_missing(asked(BODY.replace(b"Hi", b"Ho").replace(b"{", b'{"seed":7,', 1)))

    assert told == (
        f"No recording in {tmp_path} answers this POST /v1/chat/completions. The nearest is near-1.json,"
        ' which differs in messages[0].content (recorded "Hi", asked "Ho"); seed (recorded nothing, asked 7).'
    )


def test_another_path_is_told_what_there_is(tmp_path: Path) -> None:
    """Where nothing was recorded for a path, the paths that were are named."""
    put(tmp_path, "a-1.json", BODY, b"1")

    assert Shelf.read(tmp_path).told_missing(asked(target="/v1/x")) == (
        f"No recording in {tmp_path} answers this POST /v1/x. Recorded is: POST /v1/chat/completions."
    )


def test_differences_are_few_words() -> None:
    """Long values are cut, lists are compared item by item."""
    found = list(differences({"a": [1, {"b": "x" * 99}]}, {"a": [1, {"b": 1}, 2]}))

    assert found == [f'a[1].b (recorded "{"x" * 59}…, asked 1)', "a[2] (recorded nothing, asked 2)"]


@pytest.mark.parametrize(
    "text",
    [" ", "[]", "{}", "{", json.dumps({"digest": "", "request": {}, "reply": {}}), "\x00", '"x"'],
)
def test_what_is_no_recording_is_named(tmp_path: Path, text: str) -> None:
    """A file of another kind is an error with its name, not a reply that nobody gave."""
    (tmp_path / "bad.json").write_text(text)

    with pytest.raises(BadRecordingError, match=r"bad\.json is no recording"):
        Shelf.read(tmp_path)


@pytest.mark.parametrize("name", ["api-key", "API_KEY", "key", "access_token", "sig"])
def test_a_key_in_the_query_is_not_kept(name: str) -> None:
    """Its name is, so that the same request with another key gets the same reply."""
    one, other = (asked(target=f"{TARGET}?v=1&{name}=secret-{n}&w=2") for n in (1, 2))

    assert one.digest == other.digest
    assert one.target == f"{TARGET}?v=1&{name}=-&w=2"
    assert b"secret" not in reply_recorded(one, 200, JSON, b"{}").content()


def test_what_has_no_utf8_is_kept_as_well(tmp_path: Path) -> None:
    """Half of a surrogate pair in a body, and a byte of another encoding in a path, come back as they were."""
    odd = asked(b'{"a":"\\ud800"}', target="/v1/x?\udcff")
    path = tmp_path / "odd-1.json"
    path.write_bytes(reply_recorded(odd, 200, JSON, b"{}").content())

    assert read_recording(path).asked == odd


def test_a_name_taken_by_a_gateway_that_was_killed_is_passed_over(tmp_path: Path) -> None:
    """An empty file, or one that is not finished, makes no folder unusable."""
    put(tmp_path, "a-2.json", BODY, b"2")
    (tmp_path / "a-1.json").touch()
    (tmp_path / "a-3.part").write_text("{")
    shelf = Shelf.read(tmp_path)

    assert (taken := shelf.take(asked())) is not None
    assert taken.pieces == (b"2",)


def test_bodies_nested_too_deeply_are_told_apart_without_a_walk(tmp_path: Path) -> None:
    """A miss on one is a message, not a failure."""
    deep = asked(b"[" * 900 + b"]" * 900)
    shelf = Shelf(
        str(tmp_path), {deep.digest: [Recording(asked=deep, status=200, headers=(), pieces=())]}
    )

    assert "differs in" in shelf.told_missing(asked(b"[" * 901 + b"]" * 901))
