"""Tool calls: how many, of which, and with which arguments."""

import pytest

from gateway.demo_upstream.script import Asked, Script
from gateway.demo_upstream.tools import Choice, Function, tool_calls

WEATHER = Function(name="weather", parameters={"properties": {"city": {"type": "string"}}})
TIME = Function(name="time")


@pytest.mark.parametrize(
    ("choice", "scripted", "names"),
    [
        (Choice(demanded=False), None, []),
        (Choice(demanded=True), None, ["weather"]),
        (Choice(demanded=True, only="time"), None, ["time"]),
        (Choice(demanded=True, only="none of these"), None, []),
        (Choice(demanded=True), 0, []),
        (Choice(demanded=False), 3, ["weather", "time", "weather"]),
        (Choice(demanded=False, most=1), 3, ["weather"]),
    ],
)
def test_calls_are_made_on_demand(choice: Choice, scripted: int | None, names: list[str]) -> None:
    """A demand makes one call, a script as many as it says, within what the request allows."""
    asked = Asked(body=b"", script=Script(tool_calls=scripted))

    assert [call.name for call in tool_calls([WEATHER, TIME], choice, asked)] == names


def test_arguments_come_whole_and_in_pieces() -> None:
    """The pieces of a stream are the arguments, which fit the schema."""
    (call,) = tool_calls([WEATHER], Choice(demanded=True), Asked())

    assert call.arguments == '{"city":"demo"}'
    assert list(call.pieces()) == ['{"city":', '"demo"}']


def test_each_call_has_an_id_of_its_own() -> None:
    """Two calls of one function can be told apart."""
    asked = Asked(script=Script(tool_calls=2))

    first, second = tool_calls([TIME], Choice(demanded=False), asked)

    assert first.id != second.id
