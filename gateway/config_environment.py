"""What the environment gives to a configuration: settings of its own, and values for references.

Flag, environment, file, default: the first that says something decides.
References are `${VAR}`, `${VAR:-default}`, `${file:/path}`, and `$$` for the sign itself.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from gateway.config_tree import Entry, Items, Origin, Problems, Scalar, Table, Tree
from gateway.config_types import BadValueError

OPENAI_URL = "https://api.openai.com/v1"
MAX_SECRET_BYTES = 64 * 1024
_SETTINGS = {
    "GATEWAY_LISTEN": ("server", "listen"),
    "GATEWAY_ADMIN_LISTEN": ("admin", "listen"),
}
_DOLLAR = re.compile(r"\$(?:(?P<dollar>\$)|\{(?P<inside>[^}]*)\})?")
_VARIABLE = re.compile(r"(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>.*))?", re.DOTALL)
_USAGE = "a $ begins ${NAME}, ${NAME:-default} or ${file:/path}; write $$ for the sign itself"


@dataclass(frozen=True, slots=True, kw_only=True)
class Override:
    """A flag, the keys that lead to what it sets, and its text."""

    flag: str
    keys: tuple[str, ...]
    text: str


def overlay(
    table: Table, environ: Mapping[str, str], overrides: Sequence[Override], problems: Problems
) -> Table:
    """Return the file's table under environment and flags; an empty variable counts as unset."""
    table = _with_upstream(table, environ, problems)
    if environ.get("GATEWAY_API_KEY"):
        table = _with_key(table, environ["GATEWAY_API_KEY"])
    for variable, keys in _SETTINGS.items():
        if environ.get(variable):
            table = table.put(keys, _literal(environ[variable], variable))
    for override in overrides:
        table = table.put(override.keys, _literal(override.text, override.flag))
    return table


def _with_upstream(table: Table, environ: Mapping[str, str], problems: Problems) -> Table:
    upstreams = table.get("upstreams")
    if upstreams is None or (isinstance(upstreams, Scalar) and upstreams.is_null):
        return table.put(("upstreams",), _upstreams(environ))
    variable = "GATEWAY_UPSTREAM_URL"
    if not environ.get(variable) or not isinstance(upstreams, Items):
        return table
    if len(upstreams.items) != 1:
        origin = Origin(file=variable)
        problems.add(origin, "", "is for one upstream, and the file has several; unset it")
        return table
    only = upstreams.items[0]
    if isinstance(only, Table):
        only = only.put(("base_url",), _literal(environ[variable], variable))
    return table.put(("upstreams",), replace(upstreams, items=(only,)))


def _upstreams(environ: Mapping[str, str]) -> Items:
    """Return the one upstream that the environment describes."""
    variables = ("GATEWAY_UPSTREAM_URL", "OPENAI_BASE_URL")
    source = next((name for name in variables if environ.get(name)), "OPENAI_API_KEY")
    key = environ.get("OPENAI_API_KEY")
    values = {
        "name": _literal("openai", source),
        "base_url": _literal(environ[source] if source in variables else OPENAI_URL, source),
    }
    if key:
        values["api_key"] = _literal(key, "OPENAI_API_KEY")
    origin = Origin(file="OPENAI_API_KEY")
    return Items(origin=origin, items=(_table(values, origin),))


def _with_key(table: Table, text: str) -> Table:
    """Add the environment's key to those of the file."""
    source = "GATEWAY_API_KEY"
    key = _table(
        {"user": _literal("default", source), "key": _literal(text, source)}, Origin(file=source)
    )
    auth = table.get("auth")
    keys = auth.get("keys") if isinstance(auth, Table) else None
    if keys is None or (isinstance(keys, Scalar) and keys.is_null):
        keys = Items(origin=key.origin, items=())
    if not isinstance(keys, Items):
        return table
    return table.put(("auth", "keys"), replace(keys, items=(*keys.items, key)))


def _literal(text: str, source: str) -> Scalar:
    return Scalar(origin=Origin(file=source), text=text, written=text, literal=True)


def _table(values: Mapping[str, Tree], origin: Origin) -> Table:
    return Table(
        origin=origin,
        entries=tuple(Entry(origin=origin, key=key, value=value) for key, value in values.items()),
    )


class Substitution:
    """Replaces references by what they stand for, and remembers the files that it read."""

    def __init__(self, environ: Mapping[str, str], directory: Path) -> None:
        self._environ = environ
        # What relative paths start from.
        self._directory = directory
        self.files: list[Path] = []

    def expand(self, text: str) -> str:
        """Return `text` with its references replaced; BadValueError names one that cannot be."""
        return _DOLLAR.sub(self._replacement, text)

    def _replacement(self, match: re.Match[str]) -> str:
        if match["dollar"]:
            return "$"
        inside = match["inside"]
        if inside is not None and inside.startswith("file:"):
            return self._secret_file(self._directory / inside.removeprefix("file:"))
        variable = _VARIABLE.fullmatch(inside or "")
        if variable is None:
            raise BadValueError(_USAGE)
        # As in a shell, an empty variable counts as unset.
        value = self._environ.get(variable["name"]) or variable["default"]
        if value is None:
            raise BadValueError(f"{variable['name']} is not set, or empty")
        return value

    def _secret_file(self, path: Path) -> str:
        self.files.append(path)
        try:
            with path.open("rb") as file:
                content = file.read(MAX_SECRET_BYTES + 1)
            text = content.decode()
        except OSError as error:
            raise BadValueError(f"cannot read {path}: {error.strerror}") from None
        except ValueError:
            raise BadValueError(f"{path} is not text in UTF-8") from None
        if len(content) > MAX_SECRET_BYTES:
            raise BadValueError(f"{path} is larger than {MAX_SECRET_BYTES} bytes")
        text = text.removesuffix("\n").removesuffix("\r")
        if not text:
            raise BadValueError(f"{path} is empty")
        return text
