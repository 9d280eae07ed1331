"""A stream's usage, asked for in a client's name, and taken out again: the client reads what it asked for, no more.

Sans-IO, by splicing: no byte is touched but those that asking brought about. OpenAI's shapes, with `include_usage`:
every chunk has a member `"usage":null`, and one more chunk, of no choices, comes last and holds the usage.
https://platform.openai.com/docs/api-reference/chat/create#chat_create-stream_options
"""

import re
from collections.abc import Mapping
from dataclasses import replace

import msgspec

from gateway.splice import insert_member, member, replace_member
from gateway.types import Call

ASKED = b'{"include_usage":true}'
# The paths whose streams report no usage unasked.
ENDPOINTS = frozenset({"/v1/chat/completions", "/v1/completions"})
# The longest event that is held until it is whole; longer ones pass as they are.
HELD_BYTES = 64 * 1024

# Line ends of server-sent events, which may differ from line to line. Two make a border.
_END = rb"(?>\r\n|\n|\r)"
_BORDER = re.compile(_END + _END)
_COMMENTS = re.compile(rb"(?::[^\r\n]*" + _END + rb"|" + _END + rb")*")
_DATA = re.compile(rb"(?:^|(?<=[\r\n]))data: ?")
_LINE_END = re.compile(_END)
# A name in JSON, unless a backslash before it makes it the end of another.
_NULL = re.compile(rb'(?<!\\)"usage"[ \t]*:[ \t]*null')
_BLANKS = b" \t"
_BRACKET = re.compile(rb'"(?:[^"\\]|\\.)*"|[{}\[\]]')


class _Chunk(msgspec.Struct, gc=False):
    choices: object = msgspec.UNSET
    usage: object = msgspec.UNSET


_decode = msgspec.json.Decoder(_Chunk).decode


def asks(call: Call) -> bool:
    """Return whether a call's stream would report its usage only if it were asked to, which its client did not."""
    if not call.stream or call.endpoint not in ENDPOINTS or not isinstance(call.body, bytes):
        return False
    options = call.payload.get("stream_options")
    if options is None:
        return True
    return isinstance(options, Mapping) and options.get("include_usage") in (False, None)


def ask(call: Call) -> Call:
    """Return the call with the usage asked for, in a coding in which the answer can be spliced: none.

    A compressed body that must be changed goes up inflated.
    """
    body = call.body if call.plain is None else call.plain
    if not isinstance(body, bytes):
        return call
    options = call.payload.get("stream_options")
    kept = [
        f for f in call.headers if f[0].lower() not in (b"content-encoding", b"accept-encoding")
    ]
    return replace(
        call,
        body=_asking(body),
        plain=None,
        payload={
            **call.payload,
            "stream_options": {
                **(options if isinstance(options, Mapping) else {}),
                "include_usage": True,
            },
        },
        headers=(*kept, (b"accept-encoding", b"identity")),
    )


def _asking(body: bytes) -> bytes:
    """Return a body that asks for the usage; other options, where there are any, stay as they are."""
    options = member(body, "stream_options")
    if options is None:
        return insert_member(body, b'"stream_options":' + ASKED)
    if options == b"null":
        return replace_member(body, "stream_options", ASKED)
    if member(options, "include_usage") is None:
        options = insert_member(options, b'"include_usage":true')
    else:
        options = replace_member(options, "include_usage", b"true")
    return replace_member(body, "stream_options", options)


class UsageFilter:
    """Takes a stream in pieces of any size and gives it back without what asking for usage brought about."""

    __slots__ = ("_held", "_passing")

    def __init__(self) -> None:
        # The event that has not ended.
        self._held = b""
        # Of an event too long to be held the rest passes as it is; its last bytes may begin its border.
        self._passing = False

    def feed(self, data: bytes) -> bytes:
        """Return what may go on now: every event that is whole, and comments."""
        start = max(0, len(self._held) - 3)
        text = self._held + data
        done: list[bytes] = []
        begin = 0
        if self._passing:
            start, begin = 0, len(self._held)
        while (border := _BORDER.search(text, start)) is not None:
            end = border.end()
            if end == len(text) and text.endswith(b"\r") and text[end - 2 : end - 1] == b"\n":
                # The line feed that is still to come would belong to the border.
                break
            done.append(text[begin:end] if self._passing else _without(text[begin:end]))
            self._passing = False
            begin = start = end
        if not self._passing and (comments := _COMMENTS.match(text, begin)) is not None:
            # They stand for themselves: what keeps a silent stream alive must not wait.
            done.append(comments[0])
            begin = comments.end()
        rest = text[begin:]
        if self._passing or len(rest) > HELD_BYTES:
            done.append(rest)
            self._passing = True
            self._held = text[-3:]
        else:
            self._held = rest
        return b"".join(done)

    def finish(self) -> bytes:
        """Return what is left at the end of the stream: an event that never ended."""
        held, self._held = self._held, b""
        return b"" if self._passing else _without(held)


def _without(event: bytes) -> bytes:
    """Return an event, border included, as it would have come unasked."""
    if b'"usage"' not in event:
        return event
    comments = _COMMENTS.match(event)
    begin = comments.end() if comments is not None else 0
    if len(event) - begin > HELD_BYTES:
        return event
    text = _text(event[begin:])
    try:
        chunk = _decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return event
    if isinstance(chunk.usage, dict) and chunk.choices == []:
        return event[:begin]
    return _without_null(event) if chunk.usage is None else event


def _text(event: bytes) -> bytes:
    """Return the data of an event."""
    lines = []
    for data in _DATA.finditer(event):
        end = _LINE_END.search(event, data.end())
        lines.append(event[data.end() : end.start() if end is not None else len(event)])
    return b"\n".join(lines)


def _without_null(event: bytes) -> bytes:
    """Return an event without the member `"usage":null` of its outermost object."""
    found = list(_NULL.finditer(event))
    if len(found) > 1:
        found = [match for match in found if _depth(event, match.start()) == 1]
    if not found:
        return event
    before, after = event[: found[0].start()], event[found[0].end() :]
    # With the comma that divides it from its neighbour.
    if before.rstrip(_BLANKS).endswith(b","):
        return before.rstrip(_BLANKS)[:-1] + after
    return before + after.lstrip(_BLANKS).removeprefix(b",")


def _depth(event: bytes, position: int) -> int:
    """Return how many objects and lists are open at a position outside of strings."""
    signs = [match[0] for match in _BRACKET.finditer(event, 0, position)]
    return sum((sign in b"{[") - (sign in b"]}") for sign in signs if len(sign) == 1)
