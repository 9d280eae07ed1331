"""A prompt laid out for counting: texts that are tokenised, each as one string, and tokens beside them."""

from dataclasses import dataclass, field


@dataclass(slots=True)
class Prompt:
    """What a renderer makes of a request; the count is `tokens` and those of every text."""

    texts: list[str] = field(default_factory=list)
    tokens: int = 0
    # Whether the layout is known to be the provider's own.
    exact: bool = True
    # What it is made of, for models whose own layout is unknown: messages, and the text of the tools.
    messages: int = 0
    tools: str = ""

    def add(self, tokens: int, *texts: str) -> None:
        """Add a constant and texts."""
        self.tokens += tokens
        self.texts += texts
