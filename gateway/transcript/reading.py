"""What the JSON texts of one reply say together: usage, ends, errors, words. Bounded in memory."""

from typing import Final

import gateway.transcript.wire as wire  # noqa: PLR0402 - the package itself would close a circle
from gateway.types import Output, Usage

# What is kept of a reply's words so that their tokens can be counted; of what is beyond it only the size is known.
WORDS_BYTES = 64 * 1024
# Texts that are told apart, and choices (OpenAI's `n` is at most 128).
_MAX_TEXTS = 1024

# Events that end a stream without [DONE]: https://platform.openai.com/docs/api-reference/responses-streaming
_LAST_EVENTS: Final = frozenset(
    {
        "response.completed",
        "response.failed",
        "response.incomplete",
        "speech.audio.done",
        "transcript.text.done",
        "image_generation.completed",
        "image_edit.completed",
    }
)
# Deltas that are no words.
_SOUND: Final = frozenset({"response.audio.delta", "response.output_audio.delta"})

# The place of a text: choice, what it is, and which of several.
_Place = tuple[int, str, int]


class Reading:
    """Reads the JSON texts of one reply, one after the other."""

    __slots__ = (
        "_all_words",
        "_kept_bytes",
        "_said_bytes",
        "_texts",
        "begun",
        "ended",
        "error",
        "finished",
        "usage",
    )

    def __init__(self, *, all_words: bool = False) -> None:
        """`all_words`: those are kept too whose tokens the same text reports."""
        self._all_words = all_words
        # What was reported of all the words that came.
        self.usage: Usage | None = None
        self.error: wire.ReplyError | None = None
        # Choices that began, and those that came to their end.
        self.begun: set[int] = set()
        self.finished: set[int] = set()
        # An event came after which there is none.
        self.ended = False
        self._texts: dict[_Place, bytearray] = {}
        self._kept_bytes = 0
        self._said_bytes = 0

    def read(self, text: bytes, event_type: str | None = None) -> bool:
        """Take in a JSON text and return whether it is one; `event_type`: what the event's own line says."""
        reply = wire.parse(text)
        if reply is None:
            return False
        self._take(reply, event_type)
        return True

    def read_all(self, array: bytes) -> bool:
        """Take in a JSON array of texts, which is cheaper than one by one, and return whether it is one."""
        words = wire.words_of(array)
        if words is not None:
            self.begun.add(0)
            if words:
                self._say((0, "content", 0), words)
            return True
        replies = wire.parse_array(array)
        if replies is None:
            return False
        for reply in replies:
            self._take(reply, None)
        return True

    def _take(self, reply: wire.Reply, event_type: str | None) -> None:
        inner = reply.response or reply.x_groq
        reported = reply.usage or (inner and inner.usage)
        usage = wire.usage_of(reported) if reported else None
        kind = None
        if reply.choices:
            for choice in reply.choices:
                self._take_choice(choice, wordless=usage is not None and not self._all_words)
        else:
            kind = reply.type if isinstance(reply.type, str) else event_type
            if kind in _LAST_EVENTS:
                self.ended = True
            if reply.delta and kind not in _SOUND:
                self._say((0, kind or "", 0), reply.delta)
        if usage is not None:
            self.usage = usage
        if reply.error or kind or reply.kind == "error":
            self.error = wire.error_of(reply, kind) or self.error

    def _take_choice(self, choice: wire.Choice, *, wordless: bool) -> None:
        index = choice.index if type(choice.index) is int else 0
        if index not in self.begun and len(self.begun) < _MAX_TEXTS:
            self.begun.add(index)
        if choice.finish_reason is not None and index in self.begun:
            self.finished.add(index)
        if wordless:
            return
        if choice.text:
            self._say((index, "text", 0), choice.text)
        message = choice.delta or choice.message
        if message is not None:
            self._take_message(index, message)

    def _take_message(self, index: int, message: wire.Message) -> None:
        if message.content:
            self._say((index, "content", 0), message.content)
        if message.refusal:
            self._say((index, "refusal", 0), message.refusal)
        if reasoning := message.reasoning_content or message.reasoning:
            self._say((index, "reasoning", 0), reasoning)
        for position, call in enumerate(message.tool_calls or ()):
            number = call.index if type(call.index) is int else position
            self._take_function(index, number, call.function)
        if message.function_call:
            self._take_function(index, -1, message.function_call)

    def _take_function(self, index: int, number: int, function: wire.Function | None) -> None:
        if function is not None:
            self._say((index, "name", number), function.name)
            self._say((index, "arguments", number), function.arguments)

    def _say(self, place: _Place, words: object) -> None:
        """Note words: a string, or a list of parts that hold one each."""
        if isinstance(words, str):
            # What was reported before was not the last word: some vendors report the prompt's tokens first.
            self.usage = None
            data = words.encode("utf-8", "replace")
            self._said_bytes += len(data)
            kept = data[: WORDS_BYTES - self._kept_bytes]
            text = self._texts.get(place)
            if text is not None:
                text += kept
            elif len(self._texts) < _MAX_TEXTS:
                self._texts[place] = bytearray(kept)
            else:
                return
            self._kept_bytes += len(kept)
        elif isinstance(words, list):
            for part in words:
                if isinstance(part, dict):
                    self._say(place, part.get("text"))

    def output(self, scale: float) -> Output:
        """Return what was said, as far as it was kept; `scale`: how many times as much came as was read."""
        texts = {
            place: bytes(text).decode("utf-8", "ignore") for place, text in self._texts.items()
        }
        calls = sorted(
            {(index, number) for index, what, number in texts if what in ("name", "arguments")}
        )
        return Output(
            texts=tuple(
                text for (_, what, _), text in texts.items() if what not in ("name", "arguments")
            ),
            tool_calls=tuple(
                (
                    texts.get((index, "name", number), ""),
                    texts.get((index, "arguments", number), ""),
                )
                for index, number in calls
            ),
            scale=scale * self._said_bytes / self._kept_bytes if self._kept_bytes else scale,
        )
