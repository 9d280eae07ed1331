"""What a reply cost where its upstream did not say: counted from its words, and learned for what is not shown."""

from cachetools import LRUCache

from gateway.tokens.counter import TokenCounter
from gateway.tokens.families import family_of
from gateway.types import Output

MAX_MODELS = 1000
# The mean follows the last hundred replies or so.
_REMEMBERED = 100
# What opens and ends a message, and what a call costs beside its name and arguments.
_CHOICE = 2
_CALL = 7


class OutputCounter:
    """Counts the tokens of replies; always an estimate."""

    def __init__(self, counter: TokenCounter, max_models: int = MAX_MODELS) -> None:
        self.counter = counter
        # Model -> mean of its reported output, and of how many replies.
        self._means: LRUCache[str, tuple[float, int]] = LRUCache(max_models)

    def observe(self, model: str, output_tokens: int) -> None:
        """Learn from a reply whose tokens its upstream reported."""
        mean, seen = self._means.get(model, (0.0, 0))
        seen = min(seen + 1, _REMEMBERED)
        self._means[model] = (mean + (output_tokens - mean) / seen, seen)

    async def count(self, model: str, output: Output) -> int:
        """Return the tokens of a reply; of a model that reasons in secret, its mean where that is more."""
        words = [*output.texts, *(text for call in output.tool_calls for text in call)]
        tokens = await self.counter.count_texts(words, model)
        tokens += _CHOICE * bool(output.texts) + _CALL * len(output.tool_calls)
        counted = round(tokens * output.scale)
        info = self.counter.models.lookup(model)
        family = family_of(model) if info is None else info.family
        mean = self._means.get(model, (0.0, 0))[0] if family.reasons else 0.0
        return max(counted, round(mean))
