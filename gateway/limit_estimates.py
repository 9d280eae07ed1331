"""What a call will need: the estimate that its admission reserves, and what is learned for it."""

from collections import OrderedDict, deque
from dataclasses import dataclass
from typing import NamedTuple

from gateway.prices import Price
from gateway.types import Call

# What is expected of the first calls of a user and model, in output tokens.
START_OUTPUT_TOKENS = 1000

# How many of the last calls are remembered, for how many pairs of model and user.
REMEMBERED_CALLS = 64
MAX_PAIRS = 10_000

# Stands for an output that nothing bounds: more than any limit, and still a number for every store.
_UNBOUNDED_TOKENS = 1 << 40


@dataclass(slots=True, kw_only=True)
class Estimate:
    """What a call will need, as far as can be said before it is sent.

    `input_tokens` is the best count, `max_input_tokens` a bound where that count may be too low.
    `max_output_tokens` is the most the model can write, all choices together; None: unknown.
    """

    input_tokens: int = 0
    max_input_tokens: int | None = None
    max_output_tokens: int | None = None


class Needs(NamedTuple):
    """What a call is charged; `Row.need` is an index into it."""

    one: int
    tokens: int = 0
    most_tokens: int = 0
    cost: int = 0
    most_cost: int = 0


# Half of what a call of the class costs.
new_needs = tuple.__new__


class Demand:
    """What one call asks of its limits."""

    __slots__ = ("_estimate", "_price", "_sure_tokens", "model", "needs", "user")

    def __init__(
        self, user: str, call: Call, estimate: Estimate, price: Price | None, expected_tokens: int
    ) -> None:
        """`expected_tokens` is the output expected of a call that sets no maximum."""
        self.user = user
        self.model = call.model
        self._estimate = estimate
        self._price = price
        most = estimate.max_output_tokens
        if call.max_output_tokens is None:
            # Nothing is sure but the input; the rest is a guess, or a bound that nobody set.
            self._sure_tokens = 0
            expected = expected_tokens if most is None else min(expected_tokens, most)
        else:
            asked = call.max_output_tokens * call.n
            expected = self._sure_tokens = most = asked if most is None else min(asked, most)
        if most is None:
            most = _UNBOUNDED_TOKENS
        self.needs = self._needs(expected, most)

    def without_guess(self) -> Needs:
        """Return what is surely needed: a guess must not make a call too large for a limit."""
        most = self._estimate.max_output_tokens
        return self._needs(self._sure_tokens, self._sure_tokens if most is None else most)

    def _needs(self, output_tokens: int, most_output_tokens: int) -> Needs:
        estimate, price = self._estimate, self._price
        tokens = estimate.input_tokens
        most_tokens = max(tokens, estimate.max_input_tokens or 0)
        cost = most_cost = 0
        if price is not None:
            cost = price.bound(tokens, output_tokens)
            most_cost = price.bound(most_tokens, most_output_tokens)
        most = most_tokens + most_output_tokens
        return new_needs(Needs, (1, tokens + output_tokens, most, cost, most_cost))


class LearnedOutputs:
    """The 95th percentile of output tokens by model and user, of calls that set no maximum."""

    def __init__(self) -> None:
        self._recent: OrderedDict[tuple[str | None, str], deque[int]] = OrderedDict()
        # Worked out when asked for, forgotten when there is something new.
        self._percentiles: dict[tuple[str | None, str], int] = {}

    def __len__(self) -> int:
        return len(self._recent)

    def expect(self, model: str | None, user: str) -> int:
        """Return what to reserve for the output of a call that sets no maximum, in tokens."""
        pair = (model, user)
        known = self._percentiles.get(pair)
        if known is not None:
            return known
        recent = self._recent.get(pair)
        if recent is None:
            return START_OUTPUT_TOKENS
        # Of n values the k-th smallest, k = 0.95 n rounded up.
        found = sorted(recent)[-(-95 * len(recent) // 100) - 1]
        self._percentiles[pair] = found
        return found

    def learn(self, model: str | None, user: str, output_tokens: int) -> None:
        """Note what such a call came to."""
        pair = (model, user)
        recent = self._recent.get(pair)
        if recent is None:
            recent = self._recent[pair] = deque(maxlen=REMEMBERED_CALLS)
            if len(self._recent) > MAX_PAIRS:
                oldest, _ = self._recent.popitem(last=False)
                self._percentiles.pop(oldest, None)
        else:
            self._recent.move_to_end(pair)
        recent.append(output_tokens)
        self._percentiles.pop(pair, None)
