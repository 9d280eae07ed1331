"""Forms: the same result however the bytes are split."""

import hashlib

import pytest

from gateway.demo_upstream.forms import MAX_KEPT_FILE_BYTES, Form, FormError

CONTENT_TYPE = "multipart/form-data; boundary=xyz"
BODY = (
    b"--xyz\r\n"
    b'Content-Disposition: form-data; name="model"\r\n\r\n'
    b"whisper-1\r\n"
    b"--xyz\r\n"
    b'Content-Disposition: form-data; name="file"; filename="a \\"b\\".wav"\r\n'
    b"Content-Type: audio/wav\r\n\r\n"
    b"RIFF\r\n--xy\r\n\x00\xff\r\n"
    b"--xyz--\r\n"
)


@pytest.mark.parametrize("size", range(1, len(BODY) + 1))
def test_a_form_is_the_same_however_it_is_split(size: int) -> None:
    """Delimiters, heads and contents may be cut anywhere."""
    form = Form(CONTENT_TYPE)

    for at in range(0, len(BODY), size):
        form.feed(BODY[at : at + size])

    assert form.whole
    assert form.fields == {"model": "whisper-1"}
    file = form.files["file"]
    assert (file.filename, bytes(file.content)) == ('a "b".wav', b"RIFF\r\n--xy\r\n\x00\xff")
    assert file.digest.hexdigest() == hashlib.sha256(b"RIFF\r\n--xy\r\n\x00\xff").hexdigest()


def test_a_form_that_breaks_off_is_not_whole() -> None:
    """Without the last delimiter something is missing."""
    form = Form('multipart/form-data; boundary="xyz"')
    form.feed(BODY[:-8])

    assert not form.whole


def test_a_large_file_is_measured_and_not_kept() -> None:
    """What is held of a file is bounded."""
    form = Form(CONTENT_TYPE)
    form.feed(b'--xyz\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\n')
    for _ in range(3):
        form.feed(b"x" * MAX_KEPT_FILE_BYTES)
    form.feed(b"\r\n--xyz--\r\n")

    assert form.files["file"].size_bytes == 3 * MAX_KEPT_FILE_BYTES
    assert len(form.files["file"].content) == MAX_KEPT_FILE_BYTES


@pytest.mark.parametrize(
    ("content_type", "body", "words"),
    [
        ("multipart/form-data", b"", "no boundary"),
        (CONTENT_TYPE, b"--xyz\r\nContent-Type: text/plain\r\n\r\n", "no name"),
        (CONTENT_TYPE, b"--xyz\r\n" + b"x" * 20_000, "head is too large"),
        (
            CONTENT_TYPE,
            b'--xyz\r\nContent-Disposition: form-data; name="a"\r\n\r\n' + b"x" * 70_000,
            "field is too large",
        ),
    ],
)
def test_what_is_no_form_is_refused(content_type: str, body: bytes, words: str) -> None:
    """A wrong form is told, and never held without bound."""
    with pytest.raises(FormError, match=words):
        Form(content_type).feed(body)
