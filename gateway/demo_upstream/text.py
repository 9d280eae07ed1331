"""What the demo upstream says: words (each a token), and values made from a JSON Schema."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from itertools import cycle, islice

import msgspec

from gateway.demo_upstream.script import Script

# A schema that refers to itself would otherwise never end.
_MAX_DEPTH = 8

_WORD = re.compile(r"\s*\S+\s*\Z|\s*\S+|\s+\Z")


class Part(msgspec.Struct):
    """One part of a message's content; only text is looked at."""

    type: str
    text: str | None = None


Content = str | list[Part] | None

# Texts, or tokens, of which each counts and is said as its number.
Input = str | list[str | int | list[int]]


def plain(content: Content) -> str:
    """Return the text of a message's content."""
    if isinstance(content, list):
        return "\n".join(part.text for part in content if part.text is not None)
    return content or ""


def texts(source: Input) -> list[str]:
    """Return the texts of an input that is one text, several, or tokens."""
    if isinstance(source, str):
        return [source]
    if source and all(isinstance(token, int) for token in source):
        return [" ".join(map(str, source))]
    return [" ".join(map(str, one)) if isinstance(one, list) else str(one) for one in source]


def words(text: str) -> list[str]:
    """Split into words that keep their blanks: joined they are the text again."""
    return _WORD.findall(text)


def spoken(text: str, script: Script) -> list[str]:
    """Return the words to say for `text`, one a chunk, as the script wants them."""
    said = words(text if script.reply is None else script.reply)
    if script.chunks is not None:
        said = list(islice(cycle(said or ["demo "]), script.chunks))
    if script.chunk_bytes is not None:
        said = [_sized(word, script.chunk_bytes) for word in said]
    return said


def _sized(word: str, size_bytes: int) -> str:
    # Cut only between characters: a chunk's JSON must stay valid.
    kept = word.encode()[:size_bytes].decode(errors="ignore")
    return kept + "." * (size_bytes - len(kept.encode()))


def ended(
    said: list[str], max_tokens: int | None, stop: str | Sequence[str] | None
) -> tuple[list[str], str]:
    """Return the words up to where they must end, and the `finish_reason` for it."""
    stops = [stop] if isinstance(stop, str) else list(stop or ())
    text = "".join(said)
    found = [at for at in (text.find(word) for word in stops if word) if at >= 0]
    if found:
        said = _first_characters(said, min(found))
    if max_tokens is not None and len(said) > max_tokens:
        return said[:max_tokens], "length"
    return said, "stop"


def _first_characters(said: list[str], count: int) -> list[str]:
    kept = []
    for word in said:
        if count <= 0:
            break
        kept.append(word[:count])
        count -= len(word)
    return kept


def given(value: int | None, default: int) -> int:
    """Return a number of the request; 0 is one, null is not."""
    return default if value is None else value


def identifier(prefix: str, body: bytes) -> str:
    """Return an id that is the same for the same request."""
    return f"{prefix}{hashlib.sha256(body).hexdigest()[:24]}"


def usage(
    prompt_tokens: int, completion_tokens: int, script: Script
) -> dict[str, int | dict[str, int]] | None:
    """Return chat's usage object, None where the script wants none."""
    if not script.usage:
        return None
    said = completion_tokens + script.reasoning_tokens
    prompt = prompt_tokens if script.prompt_tokens is None else script.prompt_tokens
    completion = said if script.completion_tokens is None else script.completion_tokens
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": script.cached_tokens, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": script.reasoning_tokens,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def example(schema: object, root: object = None, depth: int = 0) -> object:
    """Return a value that fits a JSON Schema, as simple as it can be."""
    if not isinstance(schema, Mapping) or depth > _MAX_DEPTH:
        return None
    root = schema if root is None else root
    for key in ("const", "default"):
        if key in schema:
            return schema[key]
    choices = schema.get("enum") or ()
    if isinstance(choices, Sequence) and choices:
        return choices[0]
    inner = _inner(schema, root)
    if inner is not None:
        return example(inner, root, depth + 1)
    return _example_of_type(schema, root, depth)


def _inner(schema: Mapping[str, object], root: object) -> object:
    reference = schema.get("$ref")
    if isinstance(reference, str) and reference.startswith("#/"):
        target = root
        for name in reference[2:].split("/"):
            target = target.get(name) if isinstance(target, Mapping) else None
        return target
    for key in ("anyOf", "oneOf", "allOf"):
        choices = schema.get(key)
        if isinstance(choices, Sequence) and choices:
            first: object = choices[0]
            return first
    return None


def _example_of_type(schema: Mapping[str, object], root: object, depth: int) -> object:
    kind = schema.get("type", "object" if "properties" in schema else "null")
    if isinstance(kind, list):
        kind = kind[0] if kind else "null"
    if kind == "object":
        properties = schema.get("properties")
        fields = properties.items() if isinstance(properties, Mapping) else ()
        return {name: example(inner, root, depth + 1) for name, inner in fields}
    if kind == "array":
        return [example(schema.get("items"), root, depth + 1)]
    return {"string": "demo", "integer": 1, "number": 1.5, "boolean": True}.get(str(kind))
