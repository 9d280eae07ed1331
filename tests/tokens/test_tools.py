"""Tool definitions and response formats as text."""

import pytest

from gateway.tokens.families import family_of
from gateway.tokens.prompt import Prompt
from gateway.tokens.tools import format_block, format_name, functions_of, tools_block

FUNCTION = {"name": "f", "parameters": {"properties": {"a": {"type": "string"}}}}
TOOL = {"type": "function", "function": FUNCTION}
MODERN, GPT5 = family_of("gpt-4o"), family_of("gpt-5")


def test_every_function_is_declared() -> None:
    """Legacy functions and tools stand in one namespace."""
    prompt = Prompt()
    text = tools_block(
        {"functions": [{"name": "g", "description": "G"}], "tools": [TOOL]}, MODERN, prompt
    )

    assert text == (
        "# Tools\n\n## functions\n\nnamespace functions {\n\n"
        "// G\ntype g = () => any;\n\n"
        "type f = (_: { a?: string }) => any;\n\n"
        "} // namespace functions"
    )
    assert (prompt.tokens, prompt.exact) == (-1, True)
    assert tools_block({}, MODERN, Prompt()) == ""


@pytest.mark.parametrize(
    ("choice", "tokens", "texts", "exact"),
    [
        ({"tool_choice": "auto"}, -1, [], True),
        ({"tool_choice": "required"}, -1, [], True),
        ({"tool_choice": "none"}, 0, [], True),
        (
            {"tool_choice": {"type": "function", "function": {"name": "f"}}},
            5,
            ["functions.f"],
            True,
        ),
        ({"function_call": {"name": "f"}}, 3, ["f"], True),
        ({"function_call": "none"}, 0, [], True),
        ({"tool_choice": {"type": "allowed_tools"}}, -1, [], False),
    ],
)
def test_choices(choice: dict[str, object], tokens: int, texts: list[str], exact: bool) -> None:
    """To choose none costs a token, to name one costs its name; unknown forms are estimates."""
    prompt = Prompt()
    tools_block({"tools": [TOOL], **choice}, MODERN, prompt)

    assert (prompt.tokens, prompt.texts, prompt.exact) == (tokens, texts, exact)


def test_gpt5_pays_for_tools_and_not_for_choices() -> None:
    """It has a fixed cost, a token less for a bare function, and none for a choice."""
    prompt = Prompt()
    tools_block({"tools": [{"type": "function", "function": {"name": "g"}}, TOOL]}, GPT5, prompt)
    assert prompt.tokens == -1 + 82 - 1

    prompt = Prompt()
    tools_block({"tools": [TOOL], "tool_choice": {"function": {"name": "f"}}}, GPT5, prompt)
    assert (prompt.tokens, prompt.texts) == (-1 + 82, [])


def test_other_tools_are_estimates() -> None:
    """How custom tools are declared is not known."""
    prompt = Prompt()
    tools_block({"tools": [{"type": "custom", "custom": {"name": "c"}}]}, MODERN, prompt)

    assert not prompt.exact
    assert functions_of({"tools": [None, TOOL]}) == [{}, FUNCTION]


def test_formats() -> None:
    """A JSON Schema has its block, ASCII alone; other formats have none."""
    schema = {"name": "n", "description": "D", "schema": {"title": "ü", "required": []}}
    payload = {"response_format": {"type": "json_schema", "json_schema": schema}}

    assert format_name(payload) == "n"
    assert format_block(payload, Prompt()) == (
        '# Response Formats\n\n## n\n\n// D\n{"title":"\\u00fc"}'
    )
    for other in ({}, {"response_format": {"type": "json_object"}}):
        assert (format_name(other), format_block(other, Prompt())) == (None, "")
