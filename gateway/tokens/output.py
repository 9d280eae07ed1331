"""What a reply cost where its upstream did not say: counted from its words, and learned for what is not shown."""

from collections.abc import Callable

from cachetools import LRUCache

from gateway.tokens.counter import INLINE_CHARACTERS, TokenCounter
from gateway.tokens.families import family_of
from gateway.types import Output, Usage

MAX_MODELS = 1000
# The mean follows the last hundred replies or so.
_REMEMBERED = 100
# What opens and ends a message, and what a call costs beside its name and arguments.
_CHOICE = 2
_CALL = 7
# Counting costs more than all else that is done with a reply: of those that are reported one in so many is compared.
COMPARED_OF = 16


class OutputCounter:
    """Counts the tokens of replies; always an estimate."""

    def __init__(self, counter: TokenCounter, max_models: int = MAX_MODELS) -> None:
        self.counter = counter
        # Model -> mean of its reported output, and of how many replies.
        self._means: LRUCache[str, tuple[float, int]] = LRUCache(max_models)
        # How many replies go by until the next is compared.
        self._passed_over = 0

    def observe(self, model: str, output_tokens: int) -> None:
        """Learn from a reply whose tokens its upstream reported."""
        mean, seen = self._means.get(model, (0.0, 0))
        seen = min(seen + 1, _REMEMBERED)
        self._means[model] = (mean + (output_tokens - mean) / seen, seen)

    async def count(self, model: str, output: Output) -> int:
        """Return the tokens of a reply; of a model that reasons in secret, its mean where that is more."""
        tokens = await self.counter.count_texts(_words(output), model)
        counted = round((tokens + _layout(output)) * output.scale)
        info = self.counter.models.lookup(model)
        family = family_of(model) if info is None else info.family
        mean = self._means.get(model, (0.0, 0))[0] if family.reasons else 0.0
        return max(counted, round(mean))

    def error(self, model: str, said: Callable[[], Output], reported: Usage) -> float | None:
        """Return how far a count of a reply is from what was reported, as a share of it; None where none is made.

        `said` is asked for the words of one reply in COMPARED_OF, and nothing comes of those that hide or leave out
        a part of what they cost, or are too long to be counted at once.
        """
        if self._passed_over:
            self._passed_over -= 1
            return None
        self._passed_over = COMPARED_OF - 1
        if reported.reasoning_tokens or reported.audio_output_tokens:
            return None
        output = said()
        words = _words(output)
        if output.scale != 1.0 or not 0 < sum(map(len, words)) <= INLINE_CHARACTERS:
            return None
        tokens = sum([self.counter.count_text(text, model) for text in words]) + _layout(output)
        return abs(tokens - reported.output_tokens) / reported.output_tokens


def _words(output: Output) -> list[str]:
    return [*output.texts, *(text for call in output.tool_calls for text in call)]


def _layout(output: Output) -> int:
    """Return the tokens that stand around the words."""
    return _CHOICE * bool(output.texts) + _CALL * len(output.tool_calls)
