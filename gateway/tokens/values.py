"""Reading decoded JSON that may be malformed in any way: a value of the wrong type reads as an empty one."""

import json
from collections.abc import Iterable, Mapping

Object = Mapping[str, object]


def as_object(value: object) -> Object:
    """Return `value` if it is an object, else an empty one."""
    # What JSON decodes to is a dict; asking whether something is a Mapping takes ten times as long.
    return value if type(value) is dict or isinstance(value, Mapping) else {}


def as_list(value: object) -> list[object]:
    """Return `value` if it is an array, else an empty one."""
    return value if isinstance(value, list) else []


def as_text(value: object) -> str:
    """Return `value` if it is a string, else an empty one."""
    return value if isinstance(value, str) else ""


def compact(value: object, *, ascii_only: bool = False) -> str:
    """Return the JSON text of a decoded value without spaces."""
    return json.dumps(value, ensure_ascii=ascii_only, separators=(",", ":"))


def recompacted(text: str) -> str:
    """Return a JSON text without spaces and escapes it does not need; any other text as it is."""
    try:
        return compact(json.loads(text))
    except (ValueError, RecursionError):
        return text


def joined(paragraphs: Iterable[str]) -> str:
    """Return the paragraphs that say anything, an empty line between them."""
    return "\n\n".join([paragraph for paragraph in paragraphs if paragraph])
