"""Tool definitions and response formats as the text that OpenAI writes into the system message."""

from collections.abc import Mapping

from gateway.tokens.families import Family
from gateway.tokens.prompt import Prompt
from gateway.tokens.schema import TypeWriter, comment, thinned
from gateway.tokens.values import Object, as_list, as_object, as_text, compact

_HEAD = "# Tools\n\n## functions\n\nnamespace functions {\n\n"
_FOOT = "} // namespace functions"
# The block is one token shorter than its text.
_BLOCK = -1
# What naming a function in the legacy `function_call` costs beside the name.
_LEGACY_CHOICE = 4


def functions_of(payload: Object) -> list[Object]:
    """Return the function definitions of a request, those of the legacy `functions` first."""
    legacy = [as_object(item) for item in as_list(payload.get("functions"))]
    return legacy + [as_object(as_object(t).get("function")) for t in as_list(payload.get("tools"))]


def tools_block(payload: Object, family: Family, prompt: Prompt) -> str:
    """Return the text of a request's tools, empty where it has none; what they cost beside it is added."""
    functions = functions_of(payload)
    if not functions:
        return ""
    if any(as_object(tool).get("type") != "function" for tool in as_list(payload.get("tools"))):
        prompt.exact = False
    prompt.add(_BLOCK + family.tools_extra)
    _add_choice(payload, family, prompt)
    return _HEAD + "".join([_function(item, family, prompt) for item in functions]) + _FOOT


def _function(function: Object, family: Family, prompt: Prompt) -> str:
    writer = TypeWriter(as_object(function.get("parameters")))
    arguments = writer.arguments()
    prompt.exact = prompt.exact and writer.exact
    description = comment(function.get("description"))
    if not arguments and not description:
        prompt.add(family.bare_function)
    return f"{description}type {as_text(function.get('name'))} = ({arguments}) => any;\n\n"


def _add_choice(payload: Object, family: Family, prompt: Prompt) -> None:
    choice = payload.get("tool_choice", payload.get("function_call"))
    if choice == "none":
        prompt.add(family.choice_none)
    elif isinstance(choice, Mapping) and family.choice_named is not None:
        function = choice.get("function")
        if isinstance(function, Mapping):
            prompt.add(family.choice_named, f"functions.{as_text(function.get('name'))}")
        elif "tool_choice" not in payload:
            prompt.add(_LEGACY_CHOICE, as_text(choice.get("name")))
        else:
            prompt.exact = False


def format_name(payload: Object) -> str | None:
    """Return the name of a request's JSON Schema, None where its reply has no schema."""
    wanted = as_object(payload.get("response_format"))
    if wanted.get("type") != "json_schema":
        return None
    return as_text(as_object(wanted.get("json_schema")).get("name"))


def format_block(payload: Object, prompt: Prompt) -> str:
    """Return the text of a request's JSON Schema, empty where it has none."""
    name = format_name(payload)
    if name is None:
        return ""
    wanted = as_object(as_object(payload.get("response_format")).get("json_schema"))
    schema, exact = thinned(wanted.get("schema"))
    prompt.exact = prompt.exact and exact
    description = as_text(wanted.get("description"))
    head = f"// {description}\n" if description else ""
    return f"# Response Formats\n\n## {name}\n\n{head}{compact(schema, ascii_only=True)}"
