"""What a request asks the demo upstream to do.

The `demo` member of its JSON body, or an `x-demo` header, says how: both carry one JSON object of
the same members. docs/demo.md explains each.
"""

from dataclasses import dataclass, field
from typing import Annotated, Literal

import msgspec

from gateway.demo_upstream.forms import Form

HEADER = "x-demo"
MEMBER = "demo"

Count = Annotated[int, msgspec.Meta(ge=0, le=1_000_000)]
Milliseconds = Annotated[float, msgspec.Meta(ge=0, le=86_400_000)]
# How many pieces of the body are sent before a fault; 0: the head alone, -1: not even the head.
Point = Annotated[int, msgspec.Meta(ge=-1, le=1_000_000)]


class Failure(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An error to answer with; what is left out has OpenAI's own words for the status."""

    status: Annotated[int, msgspec.Meta(ge=400, le=599)]
    message: str | None = None
    type: str | None = None
    code: str | None = None
    param: str | None = None
    # The header's value; a 429 has one of "1" by itself.
    retry_after: str | None = None
    # Answer this request so often with the error, then once as if nothing were; None: always.
    times: Count | None = None


class Script(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One request's wishes; the default is a prompt, well-behaved echo."""

    # What is said.
    reply: str | None = None
    chunks: Count | None = None
    chunk_bytes: Annotated[int, msgspec.Meta(ge=2, le=1_048_576)] | None = None
    tool_calls: Annotated[int, msgspec.Meta(ge=0, le=128)] | None = None
    finish_reason: str | None = None
    # What is reported.
    usage: bool = True
    prompt_tokens: Count | None = None
    completion_tokens: Count | None = None
    cached_tokens: Count = 0
    reasoning_tokens: Count = 0
    headers: dict[str, str] = {}
    error: Annotated[int, msgspec.Meta(ge=400, le=599)] | Failure | None = None
    # When it comes.
    delay_ms: Milliseconds = 0
    first_byte_ms: Milliseconds = 0
    pace_ms: Milliseconds | None = None
    # How it comes.
    piece_bytes: Annotated[int, msgspec.Meta(ge=1, le=16_777_216)] | None = None
    crlf: bool = False
    comments: bool = False
    done: bool = True
    encoding: Literal["gzip", "deflate"] | None = None
    framing: Literal["length", "chunked", "close"] | None = None
    # What breaks.
    cut_after: Point | None = None
    reset: bool = False
    hang_after: Point | None = None
    garbage_after: Point | None = None
    length_off: Annotated[int, msgspec.Meta(ge=-65_536, le=1_000_000_000)] = 0

    @property
    def failure(self) -> Failure | None:
        """Return the error to answer with, spelled out."""
        return Failure(status=self.error) if isinstance(self.error, int) else self.error


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One request as the answers see it."""

    # The body without its content coding; empty where it is a form.
    body: bytes = b""
    form: Form | None = None
    # The {id} in the path.
    id: str = ""
    script: Script = field(default_factory=Script)


class _Carrier(msgspec.Struct):
    demo: Script | None = None


def read_script(header: str | None, body: bytes, *, is_json: bool) -> Script:
    """Return the script that a request carries, the header's before the body's.

    Raises msgspec.ValidationError for an unknown member or a wrong value.
    """
    if header is not None:
        return msgspec.json.decode(header, type=Script)
    if is_json and b'"demo"' in body:
        return msgspec.json.decode(body, type=_Carrier).demo or Script()
    return Script()
