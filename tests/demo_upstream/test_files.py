"""/v1/files: kept until deleted, bounded in number."""

import json
from typing import Any

from gateway.demo_upstream.files import MAX_FILES, Files
from gateway.demo_upstream.forms import Form
from gateway.demo_upstream.reply import Reply
from gateway.demo_upstream.script import Asked


def upload(files: Files, content: bytes) -> dict[str, Any]:
    """Upload a file and return what is said of it."""
    form = Form("multipart/form-data; boundary=b")
    form.feed(b'--b\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nbatch\r\n')
    form.feed(b'--b\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\n')
    form.feed(content + b"\r\n--b--\r\n")
    return decoded(files.upload(Asked(form=form)))


def decoded(reply: Reply) -> dict[str, Any]:
    """Return a JSON body."""
    body: dict[str, Any] = json.loads(b"".join(reply.pieces))
    return body


def test_a_file_comes_back_until_it_is_deleted() -> None:
    """Its description, its content, its place in the list; then 404."""
    files = Files()
    described = upload(files, b"{}\n")
    asked = Asked(id=described["id"])

    assert described == {
        "id": "file-ca3d163bab05538182722614",
        "object": "file",
        "bytes": 3,
        "created_at": 1760000000,
        "filename": "f",
        "purpose": "batch",
        "status": "processed",
    }
    assert decoded(files.get(asked)) == described
    assert decoded(files.list(asked))["data"] == [described]
    assert b"".join(files.content(asked).pieces) == b"{}\n"
    assert decoded(files.delete(asked))["deleted"] is True
    for missing in (files.get(asked), files.content(asked), files.delete(asked)):
        assert (missing.status, decoded(missing)["error"]["code"]) == (404, "not_found")


def test_the_oldest_file_makes_room() -> None:
    """What is held of all files is bounded."""
    files = Files()
    first = upload(files, b"0")
    for number in range(1, MAX_FILES + 1):
        upload(files, str(number).encode())

    assert len(decoded(files.list(Asked()))["data"]) == MAX_FILES
    assert files.get(Asked(id=first["id"])).status == 404


def test_an_upload_without_a_file_is_400() -> None:
    """There is nothing to keep."""
    assert Files().upload(Asked()).status == 400
