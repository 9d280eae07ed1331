"""What a call will cost, counted before it is sent, and what it came to: as reported, or counted from what passed."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from gateway.endpoints import Kind
from gateway.limit_estimates import Estimate
from gateway.prices import Price
from gateway.types import Call, Output, Usage


class Count(Protocol):
    """How many tokens a prompt has."""

    @property
    def tokens(self) -> int:
        """The number."""


class TokenCounter(Protocol):
    """What counts tokens; it never raises, whatever it is given."""

    async def count(self, kind: Kind, payload: Mapping[str, object], model: str) -> Count:
        """Count a prompt, without holding up other calls."""

    def count_text(self, text: str, model: str) -> int:
        """Count a text."""


class Transcript(Protocol):
    """What was noted of a reply."""

    def usage(self) -> Usage | None:
        """Return what the upstream reported."""

    def output(self) -> Output:
        """Return what was said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Accountant:
    """Counts, and knows what each model costs."""

    counter: TokenCounter
    # By name, as clients or upstreams call the model.
    prices: Mapping[str, Price]

    async def estimate(self, kind: Kind | None, call: Call) -> Estimate:
        """Return what `call` will need; nothing where the gateway does not understand its path."""
        if kind is None or call.model is None:
            return Estimate(max_output_tokens=0)
        count = await self.counter.count(kind, call.payload, call.model)
        plain = call.plain if call.plain is not None else call.body
        most = len(plain) if isinstance(plain, bytes) else None
        outputs = 0 if kind == "embeddings" else None
        if call.max_output_tokens is not None:
            outputs = call.max_output_tokens * call.n
        return Estimate(
            input_tokens=count.tokens,
            # Tokens never exceed bytes; what a prompt's format adds is within what JSON's takes.
            max_input_tokens=None if most is None else max(most, count.tokens),
            max_output_tokens=outputs,
        )

    def usage(
        self, call: Call, status: int, transcript: Transcript, estimate: Estimate
    ) -> Usage | None:
        """Return what a call came to: as reported, else counted from what passed; None for a refusal."""
        reported = transcript.usage()
        if reported is not None or status >= 400 or call.model is None:
            return reported
        if not estimate.input_tokens:
            return None
        said = transcript.output()
        words = sum(self.counter.count_text(text, call.model) for text in said.texts)
        calls = sum(
            self.counter.count_text(name + arguments, call.model)
            for name, arguments in said.tool_calls
        )
        return Usage(
            input_tokens=estimate.input_tokens,
            output_tokens=round((words + calls) * said.scale),
            estimated=True,
        )

    def price(self, *models: str | None) -> Price | None:
        """Return the price of the first of `models` that has one."""
        return next((self.prices[name] for name in models if name in self.prices), None)  # type: ignore[index]
