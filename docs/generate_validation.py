"""Writes docs/validation.md from the tables of rules in gateway/endpoints: `make docs`."""

from collections.abc import Iterator, Sequence
from functools import singledispatch

from gateway.endpoints import ENDPOINTS
from gateway.endpoints.rules import RULES
from gateway.validation_kinds import Boolean, Enum, Integer, Law, Number, Rule, String, Url
from gateway.validation_shapes import Array, Either, Map, Object, Variants

MARK = "<!-- From here on generated from gateway/endpoints: `make docs` writes it. -->"


def documentation(current: str) -> str:
    """Return docs/validation.md with all below its mark written anew."""
    parts = [current.partition(MARK)[0] + MARK + "\n"]
    for endpoint in ENDPOINTS:
        if endpoint.kind is not None:
            body = RULES[endpoint.kind].body
            table = ["| parameter | required | takes |", "|---|---|---|", *_members("", body)]
            parts.append(f"## `POST {endpoint.path}`\n\n" + "\n".join(table) + "\n")
            parts.append("\n".join(f"- {law.text}" for law in body.laws) + "\n")
    return "\n".join(parts).replace("\n\n\n", "\n\n").rstrip() + "\n"


def _members(path: str, rule: Object) -> Iterator[str]:
    for name, member in rule.members.items():
        need = "yes" if name in rule.required else ""
        if name in rule.nullable:
            need = "yes, or null"
        yield from _rows(f"{path}.{name}".lstrip("."), member, need)


def _rows(path: str, rule: Rule, need: str) -> Iterator[str]:
    laws: Sequence[Law[object]] = getattr(rule, "laws", ())
    words = "; ".join([in_words(rule), *(law.text for law in laws)])
    yield f"| `{path}` | {need} | {words} |"
    yield from _below(path, rule)


def _below(path: str, rule: Rule) -> Iterator[str]:
    """Yield the rows of what an object, or the items of an array, hold."""
    match rule:
        case Object():
            yield from _members(path, rule)
        case Array():
            yield from _below(f"{path}[]", rule.of)
        case Either():
            for choice in rule.choices:
                yield from _below(path, choice)
        case Variants():
            for tag, case in rule.cases.items():
                yield from _below(f"{path.removesuffix('[]')}[{tag}]", case)
            if rule.untagged is not None:
                yield from _below(f"{path.removesuffix('[]')}[no {rule.tag}]", rule.untagged)
        case _:
            return


@singledispatch
def in_words(_: Rule) -> str:
    """Say what a rule takes, without what lies below it."""
    return "object"


@in_words.register
def _boolean(_: Boolean) -> str:
    return "true or false"


@in_words.register
def _number(rule: Number) -> str:
    return "number" + _range(rule.minimum, rule.maximum)


@in_words.register
def _integer(rule: Integer) -> str:
    return "whole number" + _range(rule.minimum, rule.maximum)


def _range(low: float | None, high: float | None) -> str:
    if low is None:
        return "" if high is None else f" up to {high}"
    return f" from {low}" if high is None else f", {low} to {high}"


@in_words.register
def _string(rule: String) -> str:
    words = "text" if rule.may_be_empty else "text, not empty"
    if rule.max_length is not None:
        words += f", at most {rule.max_length} characters"
    return words + ("" if rule.pattern is None else f", matching `{rule.pattern.pattern}`")


@in_words.register
def _url(_: Url) -> str:
    return "URL"


@in_words.register
def _enum(rule: Enum) -> str:
    words = ", ".join(f"`{word}`" for word in rule.words)
    return words + (" or a new word" if rule.is_open else "")


@in_words.register
def _array(rule: Array) -> str:
    words = (
        f"array of {in_words(rule.of)}"
        if rule.may_be_empty
        else f"array, not empty, of {in_words(rule.of)}"
    )
    return words + ("" if rule.max_length is None else f", at most {rule.max_length} of them")


@in_words.register
def _map(rule: Map) -> str:
    words = "object of names"
    if rule.max_name_length is not None:
        words += f" of at most {rule.max_name_length} characters"
    if rule.max_properties is not None:
        words += f", at most {rule.max_properties}"
    law = "" if rule.law is None else f"; {rule.law.text}"
    return f"{words}, each with {in_words(rule.values)}{law}"


@in_words.register
def _either(rule: Either) -> str:
    return " – or – ".join(in_words(choice) for choice in rule.choices)


@in_words.register
def _variants(rule: Variants) -> str:
    tags = ", ".join(f"`{tag}`" for tag in rule.cases)
    return f"objects by `{rule.tag}`: {tags}" + (" or a new one" if rule.is_open else "")
