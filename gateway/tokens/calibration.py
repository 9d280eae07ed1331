"""What is learned of tokenizers that nobody published: five coefficients a model, fitted to what upstreams report.

Recursive least squares on relative errors, so that a long prompt does not outweigh a hundred short ones. The memory
for each model is fixed, and so is the number of models.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from cachetools import LRUCache

MAX_MODELS = 1000


class Features(NamedTuple):
    """What a prompt is measured by; texts in tokens of o200k_base."""

    content_tokens: int
    messages: int
    tool_tokens: int
    has_tools: int
    one: int = 1


class Prediction(NamedTuple):
    """How many tokens a prompt will have, and how far that may be off by what was seen so far."""

    tokens: int
    margin_tokens: int


# Before anything was seen: other vocabularies are a little smaller, templates much alike.
_PRIOR = (1.1, 4.0, 1.1, 20.0, 3.0)
# How far each coefficient may lie from that: variances, in units of that of one observation's relative error (0.1²).
_PRIOR_VARIANCE = (10.0, 1e3, 25.0, 1e6, 1e4)
_MAX_TRACE = 2 * sum(_PRIOR_VARIANCE)
# What came a hundred observations ago counts a third.
_FORGETTING = 0.99
_PRIOR_ERROR = 0.25
_MARGIN_DEVIATIONS = 2.0
_MIN_OBSERVATIONS = 3


@dataclass(slots=True)
class _Fit:
    weights: list[float] = field(default_factory=lambda: list(_PRIOR))
    covariance: list[list[float]] = field(
        default_factory=lambda: [
            [_PRIOR_VARIANCE[row] if row == column else 0.0 for column in range(5)]
            for row in range(5)
        ]
    )
    error_square: float = _PRIOR_ERROR**2
    seen: int = 0

    def update(self, features: Sequence[float], reported: float) -> None:
        """Take one observation in, as a share of what was reported."""
        x = [value / reported for value in features]
        gains = [_dot(row, x) for row in self.covariance]
        spread = _FORGETTING + _dot(x, gains)
        error = 1.0 - _dot(self.weights, x)
        self.weights = [w + g * error / spread for w, g in zip(self.weights, gains, strict=True)]
        self.covariance = [
            [cell - gains[row] * gains[column] / spread for column, cell in enumerate(cells)]
            for row, cells in enumerate(self.covariance)
        ]
        # Forgetting what no observation refreshes would end in coefficients that mean nothing.
        if sum([self.covariance[i][i] for i in range(5)]) < _MAX_TRACE:
            self.covariance = [[cell / _FORGETTING for cell in cells] for cells in self.covariance]
        self.seen += 1
        share = max(1.0 / (self.seen + 1), 1.0 - _FORGETTING)
        self.error_square += share * (error * error - self.error_square)


class Calibration:
    """Learns per model how its prompts are counted."""

    def __init__(self, max_models: int = MAX_MODELS) -> None:
        self._fits: LRUCache[str, _Fit] = LRUCache(max_models)

    def observe(self, model: str, features: Features, reported_tokens: int) -> None:
        """Learn from one prompt what its upstream reported."""
        if reported_tokens <= 0:
            return
        fit = self._fits.get(model)
        if fit is None:
            fit = self._fits[model] = _Fit()
        fit.update(features, reported_tokens)

    def predict(self, model: str, features: Features) -> Prediction | None:
        """Return what a prompt will be counted as, None before enough of the model was seen."""
        fit = self._fits.get(model)
        if fit is None or fit.seen < _MIN_OBSERVATIONS:
            return None
        # Each message and each tool has a token of its own at the least.
        tokens = max(_dot(fit.weights, features), float(features.messages + features.has_tools))
        margin = _MARGIN_DEVIATIONS * math.sqrt(fit.error_square) * tokens
        return Prediction(math.ceil(tokens), math.ceil(margin))


def _dot(left: Sequence[float], right: Sequence[float]) -> float:
    return sum([a * b for a, b in zip(left, right, strict=True)])
