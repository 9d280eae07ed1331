"""What is known of models: windows, longest replies, prices, and which family counts their prompts.

From the package's own data file, overridden by plain values that the configuration hands in.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from fnmatch import fnmatchcase
from importlib import resources
from typing import Literal

from gateway.tokens.families import Family, base_name, family_of
from gateway.tokens.values import Object, as_object

# How a model's prompts are counted: by an encoding, by what was learned of it, or by asking its upstream.
Tokenizer = Literal["o200k_base", "cl100k_base", "calibrated", "upstream"]

_LEARNED = ("calibrated", "upstream")
_SNAPSHOT = re.compile(r"-(?:\d{4}-\d{2}-\d{2}|\d{4})$")
_REMEMBERED = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelInfo:
    """One model; windows and lengths in tokens, prices in USD per million tokens or per request."""

    # What clients call it, and what it is counted and priced as.
    name: str
    model: str
    family: Family
    # None: by the family's encoding.
    tokenizer: Tokenizer | None = None
    # What the prompt may hold; with `shared_window`, prompt and reply together.
    context_window: int | None = None
    max_output_tokens: int | None = None
    input: Decimal | None = None
    cached_input: Decimal | None = None
    output: Decimal | None = None
    request: Decimal | None = None
    # The configuration says what it costs.
    priced: bool = False
    # The configuration says how large the window is and how to count: that is enough to refuse by.
    declared: bool = False

    @property
    def shared_window(self) -> bool:
        """Whether prompt and reply share the window."""
        return self.family.shared_window

    @property
    def encoding(self) -> str:
        """The name of the encoding that texts are counted in."""
        if self.tokenizer is None or self.tokenizer in _LEARNED:
            return self.family.encoding
        return self.tokenizer


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelOverride:
    """What the configuration says of the models that a glob matches; None: nothing."""

    pattern: str
    # The table's name for it, where clients use an alias.
    model: str | None = None
    tokenizer: Tokenizer | None = None
    context_window: int | None = None
    max_output_tokens: int | None = None
    input: Decimal | None = None
    cached_input: Decimal | None = None
    output: Decimal | None = None
    request: Decimal | None = None


_OVERRIDDEN = (
    "tokenizer",
    "context_window",
    "max_output_tokens",
    "input",
    "cached_input",
    "output",
    "request",
)


class ModelTable:
    """Finds a model by name: dated snapshots and fine-tuned ones are their family's."""

    def __init__(self, overrides: Iterable[ModelOverride] = ()) -> None:
        self._overrides = tuple(overrides)
        data = resources.files("gateway.tokens").joinpath("data", "models.json").read_bytes()
        self._entries: Mapping[str, object] = json.loads(data)
        self._remembered: dict[str, ModelInfo | None] = {}

    def lookup(self, name: str) -> ModelInfo | None:
        """Return what is known of a model, None where neither table nor configuration names it."""
        try:
            return self._remembered[name]
        except KeyError:
            if len(self._remembered) >= _REMEMBERED:
                self._remembered.clear()
            found = self._remembered[name] = self._find(name)
            return found

    def _find(self, name: str) -> ModelInfo | None:
        override = next((o for o in self._overrides if fnmatchcase(name, o.pattern)), None)
        model = name if override is None or override.model is None else override.model
        entry = self._entry(model)
        if entry is None and override is None:
            return None
        info = _read(name, model, entry or {})
        return info if override is None else _overridden(info, override)

    def _entry(self, model: str) -> Object | None:
        """Return the table's entry of a model; of a fine-tuned one without prices of its own, all but the prices."""
        base = base_name(model).replace("gpt-35-", "gpt-3.5-")
        fine_tuned = model.startswith("ft:")
        for name in (base, _SNAPSHOT.sub("", base)):
            own = self._entries.get(f"ft:{name}" if fine_tuned else name)
            if own is not None:
                return as_object(own)
            if fine_tuned and name in self._entries:
                entry = as_object(self._entries[name])
                return {key: value for key, value in entry.items() if isinstance(value, int)}
        return None


def _read(name: str, model: str, entry: Object) -> ModelInfo:
    tokens = {key: value for key, value in entry.items() if isinstance(value, int)}
    prices = {key: Decimal(value) for key, value in entry.items() if isinstance(value, str)}
    return ModelInfo(
        name=name,
        model=model,
        family=family_of(model),
        context_window=tokens.get("context_window"),
        max_output_tokens=tokens.get("max_output_tokens"),
        input=prices.get("input"),
        cached_input=prices.get("cached_input"),
        output=prices.get("output"),
    )


def _overridden(info: ModelInfo, override: ModelOverride) -> ModelInfo:
    changes = {key: value for key in _OVERRIDDEN if (value := getattr(override, key)) is not None}
    declared = override.context_window is not None and override.tokenizer is not None
    return replace(info, **changes, declared=declared, priced=override.input is not None)
