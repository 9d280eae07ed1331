"""Requests of the other endpoints laid out for counting: completions, embeddings, and responses as a chat."""

from collections.abc import Callable, Mapping

from gateway.tokens.chat import render_chat
from gateway.tokens.families import Family
from gateway.tokens.prompt import Prompt
from gateway.tokens.values import Object, as_list, as_object, as_text


def render_completion(payload: Object, family: Family) -> Prompt:
    """Return the prompt of a legacy completion: a text, token ids, or several of either."""
    prompt = _inputs(payload.get("prompt"), family)
    suffix = as_text(payload.get("suffix"))
    if suffix:
        prompt.add(0, suffix)
        prompt.exact = False
    return prompt


def render_embedding(payload: Object, family: Family) -> Prompt:
    """Return the input of an embeddings request: a text, token ids, or several of either."""
    return _inputs(payload.get("input"), family)


def _inputs(value: object, family: Family) -> Prompt:
    prompt = Prompt(exact=family.verified)
    for item in value if isinstance(value, list) else [value]:
        if isinstance(item, str):
            prompt.texts.append(item)
        elif isinstance(item, list):
            prompt.tokens += len(item)
        elif isinstance(item, int):
            prompt.tokens += 1
        else:
            prompt.exact = False
    return prompt


def render_response(payload: Object, family: Family) -> Prompt:
    """Return the prompt of a Responses request, read as the chat that says the same: never exact.

    Recorded requests with tools are billed 2 to 82 tokens less than that chat.
    """
    messages: list[object] = []
    if instructions := as_text(payload.get("instructions")):
        messages.append({"role": "system", "content": instructions})
    given = payload.get("input")
    if isinstance(given, str):
        messages.append({"role": "user", "content": given})
    messages += [_message(as_object(item)) for item in as_list(given)]
    wanted = as_object(as_object(payload.get("text")).get("format"))
    chat: dict[str, object] = {
        "messages": messages,
        "tools": [_tool(as_object(tool)) for tool in as_list(payload.get("tools"))],
        "tool_choice": payload.get("tool_choice"),
        "response_format": {"type": wanted.get("type"), "json_schema": wanted},
    }
    prompt = render_chat(chat, family)
    prompt.exact = False
    return prompt


def _message(item: Object) -> Object:
    match item.get("type"):
        case "function_call":
            call = {"id": item.get("call_id"), "type": "function", "function": item}
            return {"role": "assistant", "tool_calls": [call]}
        case "function_call_output":
            output, call_id = item.get("output"), item.get("call_id")
            return {"role": "tool", "tool_call_id": call_id, "content": output}
        case "reasoning":
            return {"role": "assistant", "content": item.get("summary")}
        case _:
            return item


def _tool(tool: Object) -> Object:
    return tool if "function" in tool else {"type": tool.get("type"), "function": tool}


RENDERERS: Mapping[str, Callable[[Object, Family], Prompt]] = {
    "chat": render_chat,
    "completions": render_completion,
    "embeddings": render_embedding,
    "responses": render_response,
}
