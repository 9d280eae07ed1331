"""The counter: how many tokens a request has, exact where its format is known, and never a stall for others."""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Literal, Protocol, TypeVar

from gateway.tokens.calibration import Calibration, Features
from gateway.tokens.chat import texts_of
from gateway.tokens.encodings import DEFAULT, PATTERNS, load
from gateway.tokens.families import UNKNOWN, Family, family_of
from gateway.tokens.memo import Memo
from gateway.tokens.models import ModelInfo, ModelTable
from gateway.tokens.prompt import Prompt
from gateway.tokens.requests import RENDERERS
from gateway.tokens.trim import Trim, choose, droppable, pick
from gateway.tokens.values import Object, as_list

Kind = Literal["chat", "completions", "embeddings", "responses"]
Certainty = Literal["exact", "estimate", "bound"]
T = TypeVar("T")

# The worst text of this length takes 4 ms, a usual one 0.2; beyond it counting leaves the loop.
INLINE_CHARACTERS = 8 * 1024
# Beyond this no window holds a text: its bytes are the bound. The worst megabyte takes 0.3 s of a thread.
MAX_COUNTED_CHARACTERS = 8 * 1024 * 1024
MEMO_BYTES = 16 * 1024 * 1024
REMEMBERED_MODELS = 1024

# What an object or an array costs to lay out, in characters of text that take as long to count.
_CONTAINER_CHARACTERS = 16
# Texts shorter than this are not looked up before it is known whether counting is for the loop.
_LONG_CHARACTERS = 64


class Offload(Protocol):
    """Runs a function where it does not hold up the loop."""

    def __call__(self, function: Callable[[], T], /) -> "asyncio.Future[T]":
        """Return what `function` will have returned."""


def in_thread(function: Callable[[], T]) -> "asyncio.Future[T]":
    """Run `function` in a thread."""
    return asyncio.get_running_loop().run_in_executor(None, function)


@dataclass(slots=True, kw_only=True)
class Count:
    """How many tokens a request has, and how far that can be trusted."""

    tokens: int
    # The provider's own number; our best guess; no less than the truth.
    certainty: Certainty
    encoding: str
    # Of several inputs in one request, the longest: what a window has to hold.
    longest: int
    # How far an estimate by calibration may be off.
    margin: int = 0
    # What calibration learns from, where the model's own tokenizer is not known.
    features: Features | None = None


class TokenCounter:
    """Counts requests by model; built before the first call, since the encodings take a second to load."""

    def __init__(
        self,
        models: ModelTable,
        *,
        encodings: Iterable[str] = tuple(PATTERNS),
        offload: Offload = in_thread,
        memo_bytes: int = MEMO_BYTES,
    ) -> None:
        self.models = models
        self.calibration = Calibration()
        self._encoders = load({DEFAULT, *encodings})
        self._offload = offload
        self._memo = Memo(memo_bytes)
        self._hows: dict[str, _How] = {}

    def serve(self, models: ModelTable) -> None:
        """Count by what another configuration says of models; what was learned is kept."""
        self.models = models
        self._hows = {}

    def count_plain(self, payload: Object, model: str) -> Count | None:
        """Count a chat of texts alone at once, as most are; None: it is another, or counting would take long."""
        how = self._hows.get(model) or self._how(model)
        plain = texts_of(payload, how.family)
        if plain is None:
            return None
        texts, beside = plain
        encoding = how.encoding
        total = self._memo.total(encoding, texts, self._encoders[encoding].count, INLINE_CHARACTERS)
        if total is None:
            return None
        tokens, clean = total
        features = None
        if how.learns:
            features = Features(tokens, len(texts), tool_tokens=0, has_tools=0)
        tokens += beside
        count = Count(
            tokens=tokens,
            certainty="exact" if clean and how.family.verified else "estimate",
            encoding=encoding,
            longest=tokens,
            features=features,
        )
        return count if features is None else self._calibrated(count, model)

    async def count(self, kind: Kind, payload: Object, model: str) -> Count:
        """Count a request, a large one in a thread; whatever its payload holds, it never raises."""
        how = self._how(model)
        if self._is_large(payload, how.encoding):
            count = await self._offload(lambda: self._count(kind, payload, how))
        else:
            count = self._count(kind, payload, how)
        return self._calibrated(count, model)

    def count_now(self, kind: Kind, payload: Object, model: str) -> Count:
        """Count a request at once, however large."""
        count = self._count(kind, payload, self._how(model))
        return self._calibrated(count, model)

    def count_text(self, text: str, model: str) -> int:
        """Count a text by itself."""
        return self._tokens(text, self._how(model).encoding)[0]

    async def count_texts(self, texts: Iterable[str], model: str) -> int:
        """Count texts, long ones in a thread: to the end, since what was said is owed though its client left."""
        encoding = self._how(model).encoding
        whole = tuple(texts)
        if sum(map(len, whole)) <= INLINE_CHARACTERS:
            return sum([self._tokens(text, encoding)[0] for text in whole])
        return await _to_the_end(
            self._offload(lambda: sum([self._tokens(t, encoding)[0] for t in whole]))
        )

    def bound(self, kind: Kind, payload: Object, model: str) -> Count:
        """Return a number that the tokens of a request's texts never exceed, without counting them.

        A token is a byte at the least. Images, audio and files that cannot be measured stand in it as estimated.
        """
        how = self._how(model)
        prompt = _laid_out(kind, payload, how.family)
        tokens = prompt.tokens + sum(map(_utf8_bytes, prompt.texts))
        return Count(tokens=tokens, certainty="bound", encoding=how.encoding, longest=tokens)

    async def trim(
        self, payload: Object, model: str, tokens: int, limit_tokens: int
    ) -> Trim | None:
        """Return which messages of a chat of `tokens` to drop, None where it cannot be made to fit."""
        how = self._how(model)
        return await self._offload(lambda: self._trim(payload, how, tokens, limit_tokens))

    def _trim(self, payload: Object, how: "_How", tokens: int, limit: int) -> Trim | None:
        messages = as_list(payload.get("messages"))
        turns = droppable(messages)
        empty = self._count("chat", {**payload, "messages": []}, how).tokens
        sizes = [
            self._count("chat", {**payload, "messages": pick(messages, turn)}, how).tokens - empty
            for turn in turns
        ]
        return choose(turns, sizes, tokens, limit)

    def _how(self, model: str) -> "_How":
        how = self._hows.get(model)
        if how is None:
            if len(self._hows) >= REMEMBERED_MODELS:
                self._hows.clear()
            how = self._hows[model] = self._find_how(model)
        return how

    def _find_how(self, model: str) -> "_How":
        info = self.models.lookup(model)
        family = family_of(model) if info is None else info.family
        encoding = family.encoding if info is None else info.encoding
        loaded = encoding in self._encoders
        return _How(
            model=model,
            family=family if loaded else replace(family, verified=False),
            encoding=encoding if loaded else DEFAULT,
            learns=_learns(family, info),
        )

    def _count(self, kind: Kind, payload: Object, how: "_How") -> Count:
        prompt = _laid_out(kind, payload, how.family)
        count, encode = self._memo.count, self._encoders[how.encoding].count
        total = longest = 0
        exact, bounded, left = prompt.exact, False, MAX_COUNTED_CHARACTERS
        for text in prompt.texts:
            left -= len(text)
            if left < 0:
                bounded, tokens = True, _utf8_bytes(text)
            else:
                tokens, clean = count(how.encoding, text, encode)
                exact = exact and clean
            total += tokens
            longest = max(longest, tokens)
        several = kind in ("completions", "embeddings") and len(prompt.texts) > 1
        return Count(
            tokens=prompt.tokens + total,
            certainty="bound" if bounded else "exact" if exact else "estimate",
            encoding=how.encoding,
            longest=longest if several else prompt.tokens + total,
            features=None if bounded or not how.learns else self._features(prompt, total, how),
        )

    def _features(self, prompt: Prompt, text_tokens: int, how: "_How") -> Features:
        tool_tokens = self._tokens(prompt.tools, how.encoding)[0]
        return Features(
            content_tokens=text_tokens - tool_tokens,
            messages=prompt.messages,
            tool_tokens=tool_tokens,
            has_tools=int(bool(prompt.tools)),
        )

    def _calibrated(self, count: Count, model: str) -> Count:
        if (
            count.features is None
            or (prediction := self.calibration.predict(model, count.features)) is None
        ):
            return count
        tokens, margin = prediction
        return replace(count, tokens=tokens, longest=tokens, margin=margin, certainty="estimate")

    def _is_large(self, payload: Object, encoding: str) -> bool:
        """Tell whether counting would hold up the loop; texts that were counted before take next to nothing."""
        return _exceeds(payload, None) and _exceeds(
            payload, lambda text: self._memo.knows(encoding, text)
        )

    def _tokens(self, text: str, encoding: str) -> tuple[int, bool]:
        return self._memo.count(encoding, text, self._encoders[encoding].count)


async def _to_the_end(future: "asyncio.Future[T]") -> T:
    """Return what `future` comes to; a cancellation meanwhile is the task's again at its next wait."""
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is None or future.cancelled():
            raise
        result = await future
        task.cancel()
        return result


@dataclass(frozen=True, slots=True, kw_only=True)
class _How:
    """How the requests of one model are counted."""

    model: str
    family: Family
    encoding: str
    # Whether calibration has a say.
    learns: bool


def _learns(family: Family, info: ModelInfo | None) -> bool:
    if info is not None and info.tokenizer is not None:
        return info.tokenizer in ("calibrated", "upstream")
    return family is UNKNOWN


def _laid_out(kind: Kind, payload: Object, family: Family) -> Prompt:
    """Return a request's prompt; of one too deep or with numbers too long to lay out, all its texts."""
    try:
        return RENDERERS[kind](payload, family)
    except (RecursionError, ValueError):
        return Prompt(texts=_all_texts(payload), exact=False)


def _all_texts(payload: Object) -> list[str]:
    texts: list[str] = []
    rest: list[object] = [payload]
    for value in rest:
        if isinstance(value, str):
            texts.append(value)
        elif isinstance(value, dict):
            rest.extend(value.values())
        elif isinstance(value, list):
            rest.extend(value)
    return texts


def _exceeds(payload: Object, is_known: Callable[[str], bool] | None) -> bool:
    """Tell whether a payload's texts and containers are too many for the loop; look no further than it takes."""
    left = INLINE_CHARACTERS
    rest: list[object] = [payload]
    for value in rest:
        if isinstance(value, str):
            if is_known is None or len(value) < _LONG_CHARACTERS or not is_known(value):
                left -= len(value)
        elif isinstance(value, dict):
            left -= _CONTAINER_CHARACTERS * len(value)
            rest.extend(value.values())
        elif isinstance(value, list):
            left -= _CONTAINER_CHARACTERS * len(value)
            rest.extend(value)
        if left < 0:
            return True
    return False


def _utf8_bytes(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
