"""A sans-IO observer of a reply: it is fed the bytes as they pass and asked afterwards what they said.

Bytes are gathered and looked at some 8 KiB at a time, the last of them after the end; whatever comes, nothing is
raised, and at most about 200 KiB are held: for an ordinary stream 5 KiB on average.
"""

from typing import Self

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
        "_gathered",
        "_gathered_bytes",
        "_inflater",
        "_over",
        "_reading",
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
        self._reading = Reading()
        self._choices = choices
        self._usage_expected = usage_expected
        self._inflater = Inflater(content_encoding)
        self._gathered: list[bytes] = []
        self._gathered_bytes = 0
        self._clean = False
        self._over = False
        kind = content_type.partition(b";")[0].strip().lower()
        self._body: EventStream | Document | Opaque
        if kind == b"application/json" or kind.endswith(b"+json"):
            self._body = Document(self._reading)
        elif kind == b"text/event-stream" or stream:
            self._body = EventStream(self._reading, read_all=not usage_expected)
        else:
            self._body = Opaque()

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
        body = self._settled()
        if not self._clean or self._inflater.failed or not self._inflater.ended:
            return False
        if not isinstance(body, EventStream):
            return body.whole
        return body.done or (body.whole and (self._reading.ended or self._all_finished()))

    def _all_finished(self) -> bool:
        reading = self._reading
        return (
            reading.finished == reading.begun
            and len(reading.finished) >= self._choices
            and (reading.usage is not None or not self._usage_expected)
        )

    def usage(self) -> Usage | None:
        """Return the usage that the upstream reported last, None where it reported none."""
        self._settled()
        return self._reading.usage

    @property
    def error(self) -> ReplyError | None:
        """The error that the reply tells of."""
        self._settled()
        return self._reading.error

    def output(self) -> Output:
        """Return what was said so far, to be counted where usage is not reported, or beside it."""
        body = self._settled()
        if isinstance(body, Document) and self._reading.usage is not None:
            return body.read_again().output(body.scale)
        return self._reading.output(body.scale)

    def _look(self) -> None:
        data = b"".join(self._gathered)
        self._gathered.clear()
        self._gathered_bytes = 0
        for piece in self._inflater.feed(data):
            self._body.take(piece)

    def _settled(self) -> EventStream | Document | Opaque:
        """Read what is left, once; nothing is fed after that."""
        if not self._over:
            self._over = True
            self._look()
            self._body.end()
        return self._body
