"""How a chat is laid out, text by text."""

from gateway.tokens.chat import render_chat
from gateway.tokens.families import family_of
from gateway.tokens.prompt import Prompt
from gateway.tokens.values import Object

MODERN, GPT5 = family_of("gpt-4o"), family_of("gpt-5")
TOOL = {"type": "function", "function": {"name": "f", "description": "Does it"}}
BLOCK = (
    "# Tools\n\n## functions\n\nnamespace functions {\n\n"
    "// Does it\ntype f = () => any;\n\n} // namespace functions"
)


def message(role: str, content: object, **more: object) -> Object:
    return {"role": role, "content": content, **more}


def call(call_id: str, name: str, arguments: str) -> Object:
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}


def laid_out(messages: list[Object], **more: object) -> Prompt:
    return render_chat({"messages": messages, **more}, MODERN)


def test_a_message_is_its_role_and_its_text() -> None:
    """Three tokens open the reply, three a message, one says its role."""
    prompt = laid_out([message("user", "Hi")])

    assert (prompt.tokens, prompt.texts, prompt.exact) == (3 + 3 + 1, ["Hi"], True)


def test_a_name_is_joined_to_the_role() -> None:
    """Role and name are tokenised as one text; for the snapshot of March 2023 the name alone is."""
    messages = [message("user", "Hi", name="ann")]

    assert laid_out(messages).texts == ["user:ann", "Hi"]
    old = render_chat({"messages": messages}, family_of("gpt-3.5-turbo-0301"))
    assert (old.tokens, old.texts) == (2 + 4, ["ann", "Hi"])


def test_developer_counts_as_system() -> None:
    """A developer's message costs what a system message costs."""
    assert laid_out([message("developer", "Hi")]) == laid_out([message("system", "Hi")])


def test_an_unknown_role_is_no_exact_count() -> None:
    """What the service would make of a role that it refuses is unknown."""
    assert not laid_out([message("narrator", "Hi")]).exact


def test_tools_stand_in_the_first_system_message() -> None:
    """The definitions are joined to its text, those of later system messages stay alone."""
    system = [message("user", "Hi"), message("system", "One"), message("system", "Two")]

    prompt = laid_out(system, tools=[TOOL])
    assert prompt.texts == ["Hi", f"One\n\n{BLOCK}", "Two"]
    assert prompt.tokens == 3 + 3 * 4 - 1
    assert render_chat({"messages": system, "tools": [TOOL]}, GPT5).texts[1] == (
        f"# Instructions\n\nOne\n\n{BLOCK}"
    )


def test_tools_without_a_system_message_have_their_own() -> None:
    """The definitions become a message."""
    prompt = laid_out([message("user", "Hi")], tools=[TOOL])

    assert prompt.texts == ["Hi", BLOCK]
    assert prompt.tokens == 3 + 4 + 4 - 1


def test_one_call_and_its_result() -> None:
    """Arguments are written anew without spaces and escapes, the result says whose it is."""
    prompt = laid_out(
        [
            message("assistant", None, tool_calls=[call("1", "f", '{"a": "\\u00fc", "b": 1}')]),
            message("tool", "5", tool_call_id="1", name="ignored"),
        ]
    )

    assert prompt.texts == ["f", '{"a":"ü","b":1}', "functions.f", "5"]
    assert (prompt.tokens, prompt.exact) == (3 + 3 + 1 + 5 + 3, True)


def test_parallel_calls_and_their_results_are_one_each() -> None:
    """Two calls are one message, and so are their results, parsed where they are JSON."""
    prompt = laid_out(
        [
            message("assistant", "", tool_calls=[call("1", "f", '{"a": 1}'), call("2", "g", "x")]),
            message("tool", '{"n":1}', tool_call_id="1"),
            message("tool", "höh", tool_call_id="2"),
            message("user", "Hi"),
        ]
    )

    assert prompt.texts == [
        "multi_tool_use.parallel",
        '{"tool_uses":[{"recipient_name":"functions.f","parameters":{"a":1}},'
        '{"recipient_name":"functions.g","parameters":x}]}',
        "multi_tool_use.parallel",
        '[{"n": 1}, "höh"]',
        "Hi",
    ]
    assert prompt.tokens == 3 + 9 + 3 + 4


def test_text_beside_calls_is_a_message_of_its_own() -> None:
    """What the assistant said beside its call is counted as if it had said it alone."""
    prompt = laid_out([message("assistant", "Let me see", tool_calls=[call("1", "f", "{}")])])

    assert prompt.texts == ["Let me see", "f", "{}"]
    assert prompt.tokens == 3 + 4 + 9


def test_a_result_without_its_call_is_an_estimate() -> None:
    """A result whose call is not in the history is named by what it says of itself."""
    prompt = laid_out([message("tool", "5", tool_call_id="1", name="f")])

    assert (prompt.texts, prompt.exact) == (["functions.f", "5"], False)


def test_legacy_calls() -> None:
    """A function_call of 2023 and its result."""
    prompt = laid_out(
        [
            message("assistant", "", function_call={"name": "f", "arguments": "{ }"}),
            message("function", "1", name="f"),
        ]
    )

    assert prompt.texts == ["", "f", "{ }", "f", "1"]
    assert prompt.tokens == 3 + 4 + 3 + 3


def test_a_response_format_names_each_reply() -> None:
    """Its name heads the replies of the history and the one to come, unless tools are there."""
    wanted = {"type": "json_schema", "json_schema": {"name": "n", "schema": {}}}
    history = [message("assistant", "{}"), message("user", "Hi")]

    plain = laid_out(history, response_format=wanted)
    assert plain.texts == ["n", "{}", "n", "Hi", "# Response Formats\n\n## n\n\n{}"]
    assert plain.tokens == 3 + 2 + 4 + 2 + 4 + 4
    with_tools = laid_out(history, response_format=wanted, tools=[TOOL])
    assert with_tools.texts[:2] == ["{}", "n"]
    assert with_tools.texts[-1] == f"{BLOCK}\n\n# Response Formats\n\n## n\n\n{{}}"


def test_search_models_bill_the_words_alone() -> None:
    """Nothing is added to what was said."""
    prompt = render_chat({"messages": [message("user", "Hi")]}, family_of("gpt-4o-search-preview"))

    assert (prompt.tokens, prompt.texts) == (0, ["Hi"])


def test_an_image_in_a_result_is_an_estimate() -> None:
    """How the service shows a tool's image is not known."""
    part = {"type": "image_url", "image_url": {"url": "https://example.com/a.png", "detail": "low"}}
    calls = message("assistant", None, tool_calls=[call("1", "f", "{}")])

    assert laid_out([message("user", [part])]).exact
    assert not laid_out([calls, message("tool", [part], tool_call_id="1")]).exact
    text = [{"type": "text", "text": "5"}]
    assert laid_out([calls, message("tool", text, tool_call_id="1")]).exact
