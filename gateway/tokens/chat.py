"""Chat Completions requests laid out as OpenAI's models read them, by a family's table.

Sources: OpenAI's cookbook for messages and names; for the rest the layout that makes recorded requests come out at
the `prompt_tokens` that the service reported. Nothing here raises, whatever the request holds.
"""

import json
from dataclasses import dataclass, field

from gateway.tokens.families import Family
from gateway.tokens.media import part_tokens
from gateway.tokens.prompt import Prompt
from gateway.tokens.tools import format_block, format_name, tools_block
from gateway.tokens.values import Object, as_list, as_object, as_text, compact, joined, recompacted

_SYSTEM_ROLES = ("system", "developer")
_ROLES = frozenset(("system", "user", "assistant"))
# Parameters that put more into a prompt than its messages.
_DEFINING = frozenset(("tools", "functions", "response_format"))
_PARALLEL = "multi_tool_use.parallel"
# What opens a call beside the message and the role: its recipient and the form of its arguments.
_CALL = 5
_FORMAT_NAME = 2


def render_chat(payload: Object, family: Family) -> Prompt:
    """Return the prompt of a Chat Completions request."""
    prompt = Prompt(exact=family.verified)
    messages = [as_object(message) for message in as_list(payload.get("messages"))]
    if family.bare:
        prompt.texts += [_content(message, family, prompt) for message in messages]
        return prompt
    prompt.messages = len(messages)
    tools = block = ""
    name = None
    if not payload.keys().isdisjoint(_DEFINING):
        tools = prompt.tools = tools_block(payload, family, prompt)
        block = joined((tools, format_block(payload, prompt)))
        name = format_name(payload)
    layout = _Layout(family, prompt, block, name)
    layout.reply(with_tools=bool(tools))
    for message in messages:
        if not layout.short_cut(message):
            layout.message(message)
    layout.close()
    return prompt


def texts_of(payload: Object, family: Family) -> tuple[list[str], int] | None:
    """Return the texts of a chat that is nothing else, as most are, and the tokens beside them; None: there is more."""
    messages = payload.get("messages")
    if type(messages) is not list or family.bare or not payload.keys().isdisjoint(_DEFINING):
        return None
    texts: list[str] = []
    replies = 0
    for message in messages:
        if type(message) is not dict or len(message) != 2:
            return None
        content, role = message.get("content"), message.get("role")
        if type(content) is not str:
            return None
        if role == "assistant":
            replies += 1
        elif role != "user" and role not in _SYSTEM_ROLES:
            return None
        texts.append(content)
    each = family.message + 1
    return texts, family.priming + each * len(texts) + family.channel * replies


@dataclass(slots=True)
class _Layout:
    """The messages of one request, laid out one after another."""

    family: Family
    prompt: Prompt
    # What the first system message carries; empty once it was written.
    block: str
    format_name: str | None
    # Calls that wait for their results: id -> function.
    names: dict[str, str] = field(default_factory=dict)
    # Results of parallel calls so far; None: none are expected.
    results: list[object] | None = None

    def reply(self, *, with_tools: bool) -> None:
        """Lay out what opens the reply."""
        family = self.family
        priming = family.priming_with_tools if with_tools else None
        self.prompt.add(family.priming if priming is None else priming)
        if family.format_primes_reply and not with_tools:
            self._add_format_name()

    def short_cut(self, message: Object) -> bool:
        """Lay out a message that is a text and nothing else, as most are; tell whether it was one."""
        content = message.get("content")
        if len(message) != 2 or type(content) is not str:
            return False
        tokens = self.family.message + 1
        role = message.get("role")
        if role == "assistant" and self.format_name is None:
            tokens += self.family.channel
        elif role != "user":
            return False
        if self.results is not None:
            self._end_results()
        self.prompt.tokens += tokens
        self.prompt.texts.append(content)
        return True

    def message(self, message: Object) -> None:
        """Lay out one message."""
        role = message.get("role")
        if role == "tool":
            self._result(message)
            return
        if self.results is not None:
            self._end_results()
        if role in _SYSTEM_ROLES and self.block:
            text = self.family.heading + _content(message, self.family, self.prompt)
            self._plain(message, joined((text, self.block)))
            self.block = ""
        elif role == "assistant":
            self._assistant(message)
        elif role == "function":
            content = _content(message, self.family, self.prompt)
            self.prompt.add(self.family.message, as_text(message.get("name")), content)
        else:
            self._plain(message, _content(message, self.family, self.prompt))

    def close(self) -> None:
        """Lay out what no message has carried."""
        self._end_results()
        if self.block:
            self.prompt.add(self.family.message + 1, self.block)

    def _plain(self, message: Object, content: str) -> None:
        role, name = as_text(message.get("role")), ""
        if "name" in message:
            name = as_text(message["name"])
        role = "system" if role == "developer" else role
        if role in _ROLES and not name:
            self.prompt.add(self.family.message + 1, content)
            return
        self.prompt.exact = self.prompt.exact and role in _ROLES
        if name:
            role = name if self.family.name_replaces_role else f"{role}:{name}"
        self.prompt.add(self.family.message, role, content)

    def _assistant(self, message: Object) -> None:
        calls: list[Object] = []
        legacy: Object = {}
        if len(message) > 2 or "content" not in message:
            calls = [as_object(call) for call in as_list(message.get("tool_calls"))]
            legacy = as_object(message.get("function_call"))
        content = _content(message, self.family, self.prompt)
        if content or not calls:
            self.prompt.add(self.family.channel)
            self._plain(message, content)
            if not legacy:
                self._add_format_name()
        if legacy:
            self.prompt.add(3, as_text(legacy.get("name")), as_text(legacy.get("arguments")))
        if calls:
            self._calls(calls)

    def _calls(self, calls: list[Object]) -> None:
        functions = [as_object(call.get("function")) for call in calls]
        names = [as_text(function.get("name")) for function in functions]
        arguments = [recompacted(as_text(function.get("arguments"))) for function in functions]
        self.names.update(zip([as_text(call.get("id")) for call in calls], names, strict=True))
        self.prompt.exact = self.prompt.exact and all("function" in call for call in calls)
        cost = self.family.message + 1 + _CALL + self.family.call
        if len(calls) == 1:
            self.prompt.add(cost, names[0], arguments[0])
            return
        uses = [
            f'{{"recipient_name":{compact("functions." + name)},"parameters":{given}}}'
            for name, given in zip(names, arguments, strict=True)
        ]
        self.prompt.add(cost, _PARALLEL, f'{{"tool_uses":[{",".join(uses)}]}}')
        self.results = []

    def _result(self, message: Object) -> None:
        content = _content(message, self.family, self.prompt)
        if not _is_text(message.get("content")):
            self.prompt.exact = False
        if self.results is not None:
            self.results.append(_parsed(content))
            return
        name = self.names.get(as_text(message.get("tool_call_id")))
        self.prompt.exact = self.prompt.exact and name is not None
        cost = self.family.message + self.family.result
        self.prompt.add(cost, f"functions.{name or as_text(message.get('name'))}", content)

    def _end_results(self) -> None:
        if self.results:
            cost = self.family.message + self.family.result
            self.prompt.add(cost, _PARALLEL, json.dumps(self.results, ensure_ascii=False))
        self.results = None

    def _add_format_name(self) -> None:
        if self.format_name is not None:
            self.prompt.add(_FORMAT_NAME, self.format_name)


def _content(message: Object, family: Family, prompt: Prompt) -> str:
    """Return the text of a message, its parts joined; what is not text is added to the prompt."""
    content = message.get("content")
    if isinstance(content, str):
        return content
    texts: list[str] = []
    for part in map(as_object, as_list(content)):
        if isinstance(text := part.get("text", part.get("refusal")), str):
            texts.append(text)
            continue
        tokens, exact = part_tokens(part, family)
        prompt.add(tokens)
        prompt.exact = prompt.exact and exact
    return "".join(texts)


def _is_text(content: object) -> bool:
    parts = map(as_object, as_list(content))
    return isinstance(content, str) or all("text" in part for part in parts)


def _parsed(text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text
