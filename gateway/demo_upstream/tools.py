"""Which tools the demo upstream calls, and with which arguments; each API words it its own way."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import msgspec

from gateway.demo_upstream.script import Asked
from gateway.demo_upstream.text import example, identifier

# Characters of the arguments in one delta.
_PIECE_CHARACTERS = 8


class Function(msgspec.Struct):
    """A function that may be called."""

    name: str
    parameters: dict[str, object] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What a request says about calling: `demanded` by it, `only` this function, at most `most`."""

    demanded: bool
    only: str | None = None
    most: int = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall:
    """A function that is called."""

    id: str
    name: str
    # JSON.
    arguments: str

    def pieces(self) -> Iterator[str]:
        """Yield the arguments as a stream tells them, bit by bit."""
        for at in range(0, len(self.arguments), _PIECE_CHARACTERS):
            yield self.arguments[at : at + _PIECE_CHARACTERS]

    @property
    def tokens(self) -> int:
        """What the call counts."""
        return len(self.arguments) // 4 + 1


def tool_calls(functions: Sequence[Function], choice: Choice, asked: Asked) -> list[ToolCall]:
    """Return the calls to make: as many as the script says, else one where it is demanded."""
    if choice.only is not None:
        functions = [function for function in functions if function.name == choice.only]
    scripted = asked.script.tool_calls
    count = int(choice.demanded) if scripted is None else scripted
    if not functions:
        return []
    return [
        _call(functions[at % len(functions)], at, asked.body)
        for at in range(min(count, choice.most))
    ]


def _call(function: Function, at: int, body: bytes) -> ToolCall:
    value = example({"type": "object", **function.parameters})
    return ToolCall(
        id=identifier(f"call_{at}_", body),
        name=function.name,
        arguments=msgspec.json.encode(value).decode(),
    )
