"""multipart/form-data as it streams in (RFC 7578): small fields are kept, files measured and hashed."""

import hashlib
import re
from dataclasses import dataclass, field

MAX_FIELD_BYTES = 65_536
# Above it a file's content is not kept.
MAX_KEPT_FILE_BYTES = 1_048_576
_MAX_PART_HEAD_BYTES = 16_384

_BOUNDARY = re.compile(r'boundary=(?:"([^"]+)"|([^\s;]+))', re.IGNORECASE)
_PARAMETER = re.compile(r'\b(name|filename)="((?:[^"\\]|\\.)*)"')


class FormError(ValueError):
    """The body is no form."""


@dataclass(slots=True, kw_only=True)
class File:
    """A file of a form."""

    filename: str
    size_bytes: int = 0
    # The first megabyte.
    content: bytearray = field(default_factory=bytearray)
    digest: "hashlib._Hash" = field(default_factory=hashlib.sha256, repr=False)

    def take(self, data: bytes) -> None:
        """Note a piece of the content."""
        self.size_bytes += len(data)
        self.digest.update(data)
        self.content += data[: MAX_KEPT_FILE_BYTES - len(self.content)]


class Form:
    """A form that is fed piece by piece; whole once `whole` is true."""

    def __init__(self, content_type: str) -> None:
        found = _BOUNDARY.search(content_type)
        if found is None:
            raise FormError("the form has no boundary")
        self.fields: dict[str, str] = {}
        self.files: dict[str, File] = {}
        self.whole = False
        self._delimiter = b"\r\n--" + (found[1] or found[2]).encode()
        # The first delimiter has no line before it.
        self._buffer = bytearray(b"\r\n")
        self._in_head = False
        self._part: tuple[str, bytearray | File] | None = None

    def feed(self, data: bytes) -> None:
        """Take the next bytes. Raises FormError."""
        self._buffer += data
        while not self.whole and (self._read_head() if self._in_head else self._read_content()):
            pass

    def _read_content(self) -> bool:
        """Take content up to the next delimiter; return whether it was there."""
        at = self._buffer.find(self._delimiter)
        # What may be the beginning of a delimiter, and the two bytes behind one, are waited for.
        end = at if at >= 0 else len(self._buffer) - len(self._delimiter)
        behind = at + len(self._delimiter)
        if at >= 0 and len(self._buffer) < behind + 2:
            return False
        if end > 0:
            self._take(bytes(self._buffer[:end]))
            del self._buffer[:end]
        if at < 0:
            return False
        del self._buffer[: len(self._delimiter)]
        self._finish_part()
        self.whole = self._buffer.startswith(b"--")
        self._in_head = True
        return True

    def _read_head(self) -> bool:
        """Take a part's head; return whether it was whole."""
        at = self._buffer.find(b"\r\n\r\n")
        if at < 0:
            if len(self._buffer) > _MAX_PART_HEAD_BYTES:
                raise FormError("a part's head is too large")
            return False
        head = self._buffer[:at].decode(errors="replace")
        del self._buffer[: at + 4]
        names = {key: value.replace('\\"', '"') for key, value in _PARAMETER.findall(head)}
        if "name" not in names:
            raise FormError("a part has no name")
        filename = names.get("filename")
        content = bytearray() if filename is None else File(filename=filename)
        self._part = (names["name"], content)
        self._in_head = False
        return True

    def _take(self, data: bytes) -> None:
        if self._part is None:
            return
        _, content = self._part
        if isinstance(content, File):
            content.take(data)
        elif len(content) + len(data) > MAX_FIELD_BYTES:
            raise FormError("a field is too large")
        else:
            content += data

    def _finish_part(self) -> None:
        if self._part is None:
            return
        name, content = self._part
        if isinstance(content, File):
            self.files[name] = content
        else:
            self.fields[name] = content.decode(errors="replace")
        self._part = None
