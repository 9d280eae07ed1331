"""Counting: encodings offline, formats as tables, bounded work. Nothing here knows sockets or the configuration."""

from gateway.tokens.calibration import Calibration, Features, Prediction
from gateway.tokens.context import fits, room
from gateway.tokens.counter import Certainty, Count, Kind, TokenCounter
from gateway.tokens.lines import count_lines
from gateway.tokens.models import ModelInfo, ModelOverride, ModelTable, Tokenizer
from gateway.tokens.output import OutputCounter
from gateway.tokens.trim import Trim

__all__ = [
    "Calibration",
    "Certainty",
    "Count",
    "Features",
    "Kind",
    "ModelInfo",
    "ModelOverride",
    "ModelTable",
    "OutputCounter",
    "Prediction",
    "TokenCounter",
    "Tokenizer",
    "Trim",
    "count_lines",
    "fits",
    "room",
]
