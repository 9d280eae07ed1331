"""What a call will take, counted before it is sent, and what it came to: as reported, or counted from what passed."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, Protocol

from gateway.endpoints import Kind
from gateway.errors import InvalidRequestError, UpstreamFailedError
from gateway.limit_estimates import Estimate
from gateway.prices import Price
from gateway.splice import remove_elements
from gateway.tokens.context import DEFAULT_COMPLETION_TOKENS, fits, room
from gateway.tokens.counter import Count, TokenCounter
from gateway.tokens.models import ModelInfo
from gateway.tokens.output import OutputCounter
from gateway.types import Call, Headers, Output, Target, Usage

Context = Literal["reject", "trim", "off"]

_A_MILLION = 1_000_000
# Ways to count that begin with a guess: nothing is refused by it before something was learned.
_LEARNED = ("calibrated", "upstream")
# Names under which a price was looked for, and which is kept.
MAX_PRICES = 1024
# Models of which it is kept how their calls are counted.
MAX_MODELS = 1024
# More than any prompt has.
_UNBOUNDED_TOKENS = 1 << 62


class Asking(Protocol):
    """What asks an engine how it counts."""

    async def count(
        self, payload: Mapping[str, object], target: Target
    ) -> tuple[int | None, float]:
        """Return its number, None where it gives none, and how many seconds that took."""


class Transcript(Protocol):
    """What was noted of a reply."""

    def usage(self) -> Usage | None:
        """Return what the upstream reported."""

    def output(self) -> Output:
        """Return what was said."""


@dataclass(slots=True, kw_only=True)
class Counted:
    """A call as it will be sent, where it may go, and what it is expected to take."""

    call: Call
    targets: Sequence[Target]
    estimate: Estimate
    # None: the gateway does not understand the path.
    count: Count | None = None
    trimmed_turns: int = 0
    trimmed_tokens: int = 0
    # Spent waiting for an engine that counts.
    waited_seconds: float = 0.0

    @property
    def headers(self) -> Headers:
        """What the client is told of it."""
        if self.count is None:
            return ()
        told = [(b"x-gateway-prompt-tokens", b"%d" % self.count.tokens)]
        if self.trimmed_turns:
            told.append((b"x-gateway-trimmed-turns", b"%d" % self.trimmed_turns))
            told.append((b"x-gateway-trimmed-tokens", b"%d" % self.trimmed_tokens))
        return tuple(told)


@dataclass(frozen=True, slots=True, kw_only=True)
class Accountant:
    """Counts tokens and money, and keeps prompts within their windows."""

    counter: TokenCounter
    outputs: OutputCounter
    asking: Asking
    # What to do about a prompt that cannot fit, by the model that was asked for.
    context: Callable[[str], Context]
    # Take by how much a count was off, as a share of what was reported: of the input, of the output.
    on_error: Callable[[float], None]
    on_output_error: Callable[[float], None]
    _prices: dict[tuple[str | None, ...], Price | None] = field(default_factory=dict)
    _ways: dict[str, "_Way"] = field(default_factory=dict)

    async def count(
        self, kind: Kind | None, call: Call, targets: Sequence[Target], context: str | None
    ) -> Counted:
        """Count a call's prompt, and find what can hold it.

        `context`: what the client asks for where its prompt is too long. Raises InvalidRequestError,
        `context_length_exceeded`, where nothing can, and for a `context` that says nothing known.
        """
        if context is not None:
            _check_context(context)
        if kind is None or call.model is None:
            return Counted(call=call, targets=targets, estimate=Estimate(max_output_tokens=0))
        way = self._ways.get(call.model) or self._way(call.model)
        count = self.counter.count_plain(call.payload, call.model) if kind == "chat" else None
        if count is None:
            count = await self.counter.count(kind, call.payload, call.model)
        waited = 0.0
        if way.asks and kind in ("chat", "completions"):
            told, waited = await self.asking.count(call.payload, targets[0])
            if told is not None:
                count = replace(count, tokens=told, longest=told, margin=0, certainty="exact")
        counted = Counted(
            call=call,
            targets=targets,
            count=count,
            estimate=_estimate(kind, call, count, way.info),
            waited_seconds=waited,
        )
        reply = call.max_output_tokens or DEFAULT_COMPLETION_TOKENS
        if count.tokens + reply <= way.window:
            return counted
        return await self._fitting(kind, counted, count, way, context)

    def _way(self, model: str) -> "_Way":
        if len(self._ways) >= MAX_MODELS:
            self._ways.clear()
        info, context = self.counter.models.lookup(model), self.context(model)
        window = None if info is None or context == "off" else info.context_window
        way = self._ways[model] = _Way(
            info=info,
            context=context,
            window=_UNBOUNDED_TOKENS if window is None else window,
            asks=info is not None and info.tokenizer == "upstream",
        )
        return way

    async def _fitting(
        self,
        kind: Kind,
        counted: Counted,
        count: Count,
        way: "_Way",
        context: str | None,
    ) -> Counted:
        """Find what can hold a prompt that may be too long for its window."""
        call, info = counted.call, way.info
        if info is None:
            return counted
        if info.tokenizer in _LEARNED and not count.margin and count.certainty != "exact":
            return counted
        refusal = fits(count, info, call.max_output_tokens, kind=kind)
        if refusal is None:
            return counted
        longest = count.longest
        roomier = [t for t in counted.targets if t.context_window and t.context_window >= longest]
        if roomier:
            return replace(counted, targets=roomier)
        if kind == "chat" and (context or way.context) == "trim":
            return await self._trimmed(counted, count, info, refusal)
        raise refusal

    async def _trimmed(
        self, counted: Counted, count: Count, info: ModelInfo, refusal: InvalidRequestError
    ) -> Counted:
        """Drop whole turns, the oldest first, until the rest fits; raise `refusal` where it never does."""
        call = counted.call
        limit = room(info, call.max_output_tokens)
        trim = None
        if limit is not None:
            trim = await self.counter.trim(call.payload, info.name, count.tokens, limit)
        if trim is None or not isinstance(call.body, bytes):
            raise refusal
        plain = call.body if call.plain is None else call.plain
        body = remove_elements(plain, "messages", trim.dropped)
        headers = tuple(f for f in call.headers if f[0].lower() != b"content-encoding")
        count = replace(count, tokens=count.tokens - trim.tokens)
        return replace(
            counted,
            call=replace(call, body=body, plain=None, headers=headers),
            count=count,
            estimate=_estimate("chat", call, count, info),
            trimmed_turns=trim.turns,
            trimmed_tokens=trim.tokens,
        )

    async def usage(self, counted: Counted, status: int, transcript: Transcript) -> Usage | None:
        """Return what a call came to: as reported, else counted from what passed; None for a refusal.

        What is reported teaches how to count.
        """
        call, count = counted.call, counted.count
        reported = transcript.usage()
        if call.model is None:
            return reported
        if count is None:
            # Not understood, but a model may have a price for each request.
            return reported or (Usage(estimated=True) if status < 400 else None)
        if reported is not None:
            self._learn(call.model, count, reported, transcript)
            return reported
        if status >= 400:
            return None
        said = await self.outputs.count(call.model, transcript.output())
        return Usage(input_tokens=count.tokens, output_tokens=said, estimated=True)

    @staticmethod
    def unanswered(counted: Counted, error: BaseException) -> Usage | None:
        """Return what a call came to that was given up while its upstream had it: the prompt was read, most likely.

        None where nothing was sent, or it was refused.
        """
        given_up = isinstance(error, asyncio.CancelledError) or (
            isinstance(error, UpstreamFailedError) and error.code == "upstream_timeout"
        )
        if not given_up or counted.count is None:
            return None
        return Usage(input_tokens=counted.count.tokens, estimated=True)

    def _learn(self, model: str, count: Count, reported: Usage, transcript: Transcript) -> None:
        if reported.input_tokens and count.certainty != "bound":
            off = abs(count.tokens - reported.input_tokens)
            self.on_error(off / reported.input_tokens)
        if count.features is not None and reported.input_tokens:
            self.counter.calibration.observe(model, count.features, reported.input_tokens)
        if reported.output_tokens:
            self.outputs.observe(model, reported.output_tokens)
            error = self.outputs.error(model, transcript.output, reported)
            if error is not None:
                self.on_output_error(error)

    def price(self, *models: str | None) -> Price | None:
        """Return the price of the first of `models` that has one; the configuration's go before the table's."""
        try:
            return self._prices[models]
        except KeyError:
            if len(self._prices) >= MAX_PRICES:
                self._prices.clear()
            price = self._prices[models] = self._find_price(models)
            return price

    def _find_price(self, models: tuple[str | None, ...]) -> Price | None:
        found = [self.counter.models.lookup(name) for name in models if name is not None]
        for configured in (True, False):
            for info in found:
                price = _price_of(info)
                if price is not None and (info is not None and info.priced) == configured:
                    return price
        return None

    def dearest(self, counted: Counted) -> Price | None:
        """Return the price of the dearest of the places where a call may be answered."""
        model = counted.call.model
        if len(counted.targets) == 1:
            (only,) = counted.targets
            return self.price(only.asked, only.model, model)
        prices = [self.price(t.asked, t.model, model) for t in counted.targets]
        known = [price for price in prices if price is not None]
        return max(known, key=lambda price: price.bound(_A_MILLION, _A_MILLION), default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Way:
    """How the calls of one model are counted and kept within its window."""

    info: ModelInfo | None
    context: Context
    # What fits into it needs no further thought.
    window: int
    # Whether the engine itself says how many tokens a prompt has.
    asks: bool


def _check_context(context: str) -> None:
    if context not in ("trim", "reject"):
        raise InvalidRequestError(
            "The header x-gateway-context must be trim or reject.", code="invalid_value"
        )


def _estimate(kind: Kind, call: Call, count: Count, info: ModelInfo | None) -> Estimate:
    most = None
    if kind == "embeddings":
        most = 0
    elif info is not None and info.max_output_tokens is not None:
        most = info.max_output_tokens * call.n
    return Estimate(
        input_tokens=count.tokens,
        max_input_tokens=count.tokens + count.margin,
        max_output_tokens=most,
    )


def _price_of(info: ModelInfo | None) -> Price | None:
    if info is None or info.input is None:
        return None
    zero = type(info.input)(0)
    return Price.from_usd(
        input=info.input,
        cached_input=info.cached_input,
        output=info.output if info.output is not None else zero,
        request=info.request if info.request is not None else zero,
    )
