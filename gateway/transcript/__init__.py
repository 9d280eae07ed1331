"""A sans-IO observer of a reply: it is fed the bytes as they pass and asked afterwards what they said.

Bytes are gathered and looked at some 8 KiB at a time, the last of them after the end; whatever comes, nothing is
raised, and at most about 200 KiB are held: for an ordinary stream 5 KiB on average.
"""

from typing import Self

import gateway.transcript.wire as wire  # noqa: PLR0402 - the package itself would close a circle
from gateway.inflate import Inflater
from gateway.transcript.framing import Document, EventStream, Opaque
from gateway.transcript.reading import Reading
from gateway.transcript.wire import ReplyError
from gateway.types import Call, Headers, Output, Usage

__all__ = ["ReplyError", "Transcript"]

# How much is gathered before it is looked at, and what each piece adds to its own bytes.
BATCH_BYTES = 8 * 1024
PIECE_BYTES = 64


class Transcript:
    """Notes a reply as it passes: usage, whether it is whole, its error, and its words where no usage comes."""

    __slots__ = (
        "_body",
        "_choices",
        "_clean",
        "_coding",
        "_document",
        "_gathered",
        "_gathered_bytes",
        "_inflater",
        "_kind",
        "_over",
        "_reading",
        "_stream",
        "_usage_expected",
    )

    def __init__(
        self,
        *,
        content_type: bytes,
        content_encoding: bytes = b"",
        stream: bool = False,
        choices: int = 1,
        usage_expected: bool = False,
    ) -> None:
        """Make one for a reply's head: empty values where it has no such field.

        `stream`: a stream was asked for, and what is no JSON is taken for one. `choices`: how many answers were
        asked for. `usage_expected`: the stream was asked to report its usage, so its words are not gathered.
        """
        self._kind = content_type
        self._coding = content_encoding
        self._stream = stream
        self._choices = choices
        self._usage_expected = usage_expected
        self._gathered: list[bytes] = []
        self._gathered_bytes = 0
        self._clean = False
        self._over = False
        # Made where they are needed: of most replies that are no streams a single text is read, and that once.
        self._reading: Reading | None = None
        self._inflater: Inflater | None = None
        self._body: EventStream | Document | Opaque | None = None
        self._document: wire.Reply | None = None

    @classmethod
    def of(cls, call: Call, headers: Headers) -> Self:
        """Return a transcript for the reply to `call` whose head has the fields `headers`."""
        options = call.payload.get("stream_options")
        content_type = content_encoding = b""
        for name, value in headers:
            # Most names are told apart by their length.
            if len(name) == 12 and not content_type and name.lower() == b"content-type":
                content_type = value
            elif len(name) == 16 and not content_encoding and name.lower() == b"content-encoding":
                content_encoding = value
        return cls(
            content_type=content_type,
            content_encoding=content_encoding,
            stream=call.stream,
            choices=call.n,
            usage_expected=call.endpoint == "/v1/responses"
            or (isinstance(options, dict) and options.get("include_usage") is True),
        )

    def feed(self, data: bytes) -> None:
        """Note the next bytes of the body, as they came."""
        self._gathered.append(data)
        self._gathered_bytes += len(data) + PIECE_BYTES
        if self._gathered_bytes > BATCH_BYTES:
            self._look()

    def finish(self) -> None:
        """Note that the body ended as its framing says: a reply that is never finished was cut."""
        self._clean = True

    @property
    def ended(self) -> bool:
        """Whether the body ended as its framing says."""
        return self._clean

    @property
    def complete(self) -> bool:
        """Whether the reply is known to be whole: it ended cleanly, and its own form says so too.

        A stream is whole by [DONE] or the last event of its kind; without those when its last event is ended, each
        choice asked for has its finish_reason, and usage came where it was asked for. A JSON document is whole
        where it can be read; one too long to be held (64 KiB) is not known to be.
        """
        self._settle()
        if not self._clean or self._document is not None:
            return self._clean
        reading, inflater, body = self._parts()
        if inflater.failed or not inflater.ended:
            return False
        if not isinstance(body, EventStream):
            return body.whole
        return body.done or (body.whole and (reading.ended or self._all_finished(reading)))

    def _all_finished(self, reading: Reading) -> bool:
        return (
            reading.finished == reading.begun
            and len(reading.finished) >= self._choices
            and (reading.usage is not None or not self._usage_expected)
        )

    def usage(self) -> Usage | None:
        """Return the usage that the upstream reported last, None where it reported none."""
        self._settle()
        if self._document is not None:
            return wire.usage_in(self._document)
        return self._parts()[0].usage

    @property
    def error(self) -> ReplyError | None:
        """The error that the reply tells of."""
        self._settle()
        if self._document is not None and wire.is_plain(self._document):
            return None
        return self._read().error

    def output(self) -> Output:
        """Return what was said so far, to be counted where usage is not reported, or beside it."""
        self._settle()
        if self._document is not None:
            return self._read().output(1.0)
        reading, _, body = self._parts()
        if isinstance(body, Document) and reading.usage is not None:
            reading = body.read_again()
        return reading.output(body.scale)

    def _settle(self) -> None:
        """Read what is left, once; nothing is fed after that."""
        if self._over:
            return
        self._over = True
        if self._body is None and not self._coding and self._is_document():
            self._document = wire.parse(b"".join(self._gathered))
        if self._document is None:
            self._look()
            self._parts()[2].end()

    def _is_document(self) -> bool:
        kind = self._kind
        if kind != b"application/json":
            kind = kind.partition(b";")[0].strip().lower()
        return kind == b"application/json" or kind.endswith(b"+json")

    def _look(self) -> None:
        _, inflater, body = self._parts()
        data = b"".join(self._gathered)
        self._gathered.clear()
        self._gathered_bytes = 0
        for piece in inflater.feed(data):
            body.take(piece)

    def _parts(self) -> tuple[Reading, Inflater, EventStream | Document | Opaque]:
        """Return what reads a reply in pieces."""
        if self._reading is None or self._inflater is None or self._body is None:
            reading = self._reading = Reading()
            self._inflater = Inflater(self._coding)
            kind = self._kind.partition(b";")[0].strip().lower()
            if self._is_document():
                self._body = Document(reading)
            elif kind == b"text/event-stream" or self._stream:
                self._body = EventStream(reading, read_all=not self._usage_expected)
            else:
                self._body = Opaque()
        return self._reading, self._inflater, self._body

    def _read(self) -> Reading:
        """Return what was read, of a single text too."""
        if self._document is None:
            return self._parts()[0]
        if self._reading is None:
            self._reading = Reading(all_words=True)
            self._reading.take(self._document)
        return self._reading
