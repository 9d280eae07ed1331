"""What a model family's format adds to the words of a prompt, as a table; how it is laid out is in the renderers.

OpenAI publishes the numbers for gpt-3.5 and gpt-4 (cookbook, "How to count tokens with tiktoken"); the others were
fitted to recorded exchanges, in which the service itself reports `prompt_tokens`.
"""

import re
from dataclasses import dataclass, replace

_VENDOR = re.compile(r"^(?:openai|azure)/")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tiles:
    """Image tokens by 512-pixel tiles, after shrinking: a base, and so many a tile."""

    base_tokens: int
    tile_tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Patches:
    """Image tokens by 32-pixel patches, at most `max_patches`, times a factor in hundredths, and one more."""

    hundredths: int
    max_patches: int = 1536


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """The constants of a family's format, in tokens where nothing else is said."""

    encoding: str = "o200k_base"
    # Whether recorded exchanges of this family agree with its row: only then is a count exact.
    verified: bool = True
    # What opens the reply; and with tool definitions.
    priming: int = 3
    priming_with_tools: int | None = None
    message: int = 3
    # A name stands in the role's place instead of after it.
    name_replaces_role: bool = False
    # Nothing but the words is billed.
    bare: bool = False
    # Each earlier reply of the assistant names its channel.
    channel: int = 0
    # With tools or a response format: what the system text is headed with, what the definitions cost beside their text.
    heading: str = ""
    tools_extra: int = 0
    bare_function: int = 0
    # What a tool_choice of "none", and one that names a function, cost beside the name.
    choice_none: int = 1
    choice_named: int | None = 6
    # Tool calls and results of the history.
    call: int = 0
    result: int = 0
    # The reply, too, is headed with the name of the response format.
    format_primes_reply: bool = True
    image: Tiles | Patches = Tiles(base_tokens=85, tile_tokens=170)
    # Prompt and reply share the window, so that a reply which may not fit is refused beforehand.
    shared_window: bool = False
    # Its refusal of a long prompt speaks of a limit on input, not of the window.
    limits_input: bool = False
    # Its replies hold tokens that are billed and never shown.
    reasons: bool = False


_MODERN = Family()
_CLASSIC = Family(encoding="cl100k_base", shared_window=True)
_O_SERIES = Family(priming=2, reasons=True, image=Tiles(base_tokens=75, tile_tokens=150))
_GPT5 = Family(
    priming=2,
    channel=2,
    heading="# Instructions\n\n",
    tools_extra=82,
    bare_function=-1,
    choice_none=0,
    choice_named=None,
    call=1,
    result=5,
    format_primes_reply=False,
    image=Tiles(base_tokens=70, tile_tokens=140),
    limits_input=True,
    reasons=True,
)
_GPT5_PATCHES = replace(_GPT5, image=Patches(hundredths=120))
# What a model that nobody knows is counted as: the plainest format.
UNKNOWN = replace(_MODERN, verified=False)

# Prefix of the model's name -> its family; the longest that fits decides. One ends where a word of the name ends;
# those with a dot at their end are for versions to come.
FAMILIES = {
    "babbage": _CLASSIC,
    "davinci": _CLASSIC,
    "text-embedding": Family(encoding="cl100k_base"),
    "gpt-3.5": _CLASSIC,
    "gpt-35": _CLASSIC,
    "gpt-3.5-turbo-0301": replace(_CLASSIC, message=4, priming=2, name_replaces_role=True),
    "gpt-35-turbo-0301": replace(_CLASSIC, message=4, priming=2, name_replaces_role=True),
    "gpt-4": _CLASSIC,
    "gpt-4o": _MODERN,
    "gpt-4o-mini": replace(_MODERN, image=Tiles(base_tokens=2833, tile_tokens=5667)),
    "gpt-4o-search-preview": replace(_MODERN, bare=True),
    "gpt-4o-mini-search-preview": replace(_MODERN, bare=True),
    "gpt-audio": _MODERN,
    "gpt-4.1": _MODERN,
    "gpt-4.1-mini": replace(_MODERN, image=Patches(hundredths=162)),
    "gpt-4.1-nano": replace(_MODERN, image=Patches(hundredths=246)),
    "gpt-4.5": _MODERN,
    "o1": replace(_O_SERIES, verified=False),
    "o3": replace(_O_SERIES, verified=False),
    "o3-mini": replace(_O_SERIES, priming_with_tools=3),
    "o4-mini": replace(_O_SERIES, image=Patches(hundredths=172)),
    "gpt-5": _GPT5,
    "gpt-5-chat": replace(_GPT5, verified=False, reasons=False),
    "gpt-5-search-api": replace(_GPT5, verified=False),
    "gpt-5-mini": _GPT5_PATCHES,
    "gpt-5-nano": replace(_GPT5, image=Patches(hundredths=150)),
    "gpt-5.1": _GPT5,
    "gpt-5.2": _GPT5_PATCHES,
    "gpt-5.3": _GPT5_PATCHES,
    "gpt-5.4": _GPT5_PATCHES,
    "gpt-5.5": _GPT5_PATCHES,
    "gpt-5.6": _GPT5_PATCHES,
    "gpt-5.": replace(_GPT5_PATCHES, verified=False),
    "gpt-6": replace(_GPT5_PATCHES, verified=False),
    "gpt-6.": replace(_GPT5_PATCHES, verified=False),
}
_BY_LENGTH = sorted(FAMILIES, key=len, reverse=True)


def base_name(model: str) -> str:
    """Return the name that a fine-tuned or vendor-prefixed model was made from."""
    name = _VENDOR.sub("", model)
    return name.split(":", 2)[1] if name.startswith("ft:") else name


def family_of(model: str) -> Family:
    """Return the family of a model; UNKNOWN where nobody knows it."""
    name = base_name(model)
    return next((FAMILIES[prefix] for prefix in _BY_LENGTH if _fits(name, prefix)), UNKNOWN)


def _fits(name: str, prefix: str) -> bool:
    rest = name.removeprefix(prefix)
    return name.startswith(prefix) and (not rest or rest[0] in "-@" or prefix.endswith("."))
