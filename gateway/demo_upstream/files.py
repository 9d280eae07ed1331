"""/v1/files: a few uploads, kept in memory until they are deleted or pushed out by newer ones."""

from gateway.demo_upstream.forms import File
from gateway.demo_upstream.reply import CREATED, Reply, error_reply, invalid_reply, json_reply
from gateway.demo_upstream.script import Asked, Failure

MAX_FILES = 32


class Files:
    """The files of everybody: one account stands behind all keys, as behind a gateway."""

    def __init__(self) -> None:
        self._files: dict[str, tuple[dict[str, object], File]] = {}

    def upload(self, asked: Asked) -> Reply:
        """Keep a file, for the name that its content has."""
        form = asked.form
        file = form.files.get("file") if form is not None else None
        if form is None or file is None:
            return invalid_reply("A form with 'file' and 'purpose' is needed.")
        name = f"file-{file.digest.hexdigest()[:24]}"
        described: dict[str, object] = {
            "id": name,
            "object": "file",
            "bytes": file.size_bytes,
            "created_at": CREATED,
            "filename": file.filename,
            "purpose": form.fields.get("purpose", "user_data"),
            "status": "processed",
        }
        self._files.pop(name, None)
        self._files[name] = (described, file)
        if len(self._files) > MAX_FILES:
            del self._files[next(iter(self._files))]
        return json_reply(described)

    def list(self, asked: Asked) -> Reply:  # noqa: ARG002 - all answers are called alike
        """Return what there is."""
        data = [described for described, _ in self._files.values()]
        return json_reply({"object": "list", "data": data, "has_more": False})

    def get(self, asked: Asked) -> Reply:
        """Return what is known of a file."""
        kept = self._files.get(asked.id)
        return _missing(asked.id) if kept is None else json_reply(kept[0])

    def content(self, asked: Asked) -> Reply:
        """Return a file's first megabyte."""
        kept = self._files.get(asked.id)
        if kept is None:
            return _missing(asked.id)
        return Reply(pieces=[bytes(kept[1].content)], content_type="application/octet-stream")

    def delete(self, asked: Asked) -> Reply:
        """Forget a file."""
        if self._files.pop(asked.id, None) is None:
            return _missing(asked.id)
        return json_reply({"id": asked.id, "object": "file", "deleted": True})


def _missing(name: str) -> Reply:
    return error_reply(
        Failure(status=404, message=f"No such File object: {name}", param="id", code="not_found")
    )
