"""From YAML, environment and flags to a `Config`: the one place that reads configuration files.

Strict, and every problem at once, each with its place. What a field may hold is not decided here.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import yaml

from gateway.config import Config, Key
from gateway.config_environment import Override, Substitution, overlay
from gateway.config_fields import INVALID, Reader
from gateway.config_rules import Draft, check, check_keys
from gateway.config_shape import ListOf, plain, section_of
from gateway.config_tree import (
    ConfigError,
    Entry,
    Items,
    Origin,
    Problems,
    Scalar,
    Table,
    Tree,
    joined,
)

# How many values may be repeats of anchored ones: some, but no "billion laughs".
MAX_REPEATED = 10_000
_PLAIN_TAGS = frozenset(
    f"tag:yaml.org,2002:{kind}"
    for kind in ("str", "int", "float", "bool", "null", "timestamp", "value", "merge", "seq", "map")
)


_QUOTED = re.compile(r"'([^']*)'")
_CONFIG = section_of(Config)
_KEYS = ListOf(item=section_of(Key))


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A configuration that can be used, and every file that it was read from."""

    config: Config
    files: tuple[Path, ...]


def load(
    path: Path | None, environ: Mapping[str, str], overrides: Sequence[Override] = ()
) -> Loaded:
    """Read the configuration; without `path` it comes from the environment alone.

    Relative paths in a file start from its folder. Raises ConfigError with every problem found.
    """
    problems = Problems()
    table = overlay(_document(path, problems), environ, overrides, problems)
    directory = path.parent if path is not None else Path()
    substitution = Substitution(environ, directory)
    reader = Reader(problems=problems, directory=directory, expand=substitution.expand)
    members = reader.members(_CONFIG, table, "") or {}
    broken = {name for name, value in members.items() if value is INVALID}
    # A section that could not be read keeps its defaults, so that the others are judged too.
    good = {name: value for name, value in members.items() if name not in broken}
    config = _with_keys_files(cast(Config, _CONFIG.build(**good)), reader)
    check(Draft(config=config, origins=reader.origins, problems=problems), broken)
    read = [] if path is None else [path]
    files = (*read, *config.auth.keys_files, *substitution.files)
    if problems:
        raise ConfigError(problems, files)
    return Loaded(config=config, files=files)


def effective(config: Config) -> str:
    """Return the whole configuration as YAML, defaults included and secrets masked."""
    auth = replace(config.auth, mode=config.auth.effective_mode)
    return written(plain(_CONFIG, replace(config, auth=auth)))


def written(values: object) -> str:
    """Return plain values as YAML."""
    return yaml.safe_dump(values, sort_keys=False, allow_unicode=True, width=1000)


def document(path: Path) -> Table:
    """Return the mapping that a YAML file is, whatever it means; raises ConfigError with all that is wrong."""
    problems = Problems()
    table = _document(path, problems)
    if problems:
        raise ConfigError(problems)
    return table


def _with_keys_files(config: Config, reader: Reader) -> Config:
    """Return the configuration with the keys of `auth.keys_files` added; note what is wrong."""
    places = [joined("auth.keys", index) for index in range(len(config.auth.keys))]
    keys = [
        (key, reader.origins[place], place)
        for key, place in zip(config.auth.keys, places, strict=True)
    ]
    for path in config.auth.keys_files:
        tree = _read(path, reader.problems)
        inner = replace(reader, origins={})
        found = inner.read(_KEYS, tree, "") if tree is not None else INVALID
        if isinstance(found, tuple):
            places = [joined("", index) for index in range(len(found))]
            keys += zip(found, (inner.origins[place] for place in places), places, strict=True)
    check_keys(keys, reader.problems)
    auth = replace(config.auth, keys=tuple(key for key, _, _ in keys))
    return replace(config, auth=auth)


def _document(path: Path | None, problems: Problems) -> Table:
    """Return the file's table; raise at once where there is none: nothing else could be judged."""
    if path is None:
        return Table(origin=Origin(file="environment"))
    tree = _read(path, problems)
    if isinstance(tree, Scalar) and tree.is_null:
        tree = Table(origin=tree.origin)
    if isinstance(tree, Table):
        return tree
    if tree is not None:
        problems.add(tree.origin, "", "expected a mapping of sections")
    raise ConfigError(problems)


def _read(path: Path, problems: Problems) -> Tree | None:
    """Return the tree of a YAML file, or None with a problem noted."""
    origin = Origin(file=str(path))
    try:
        text = path.read_bytes().decode("utf-8-sig")
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        if node is None:
            return Scalar(origin=replace(origin, line=1), text="", written="")
        return _Composer(origin, problems).tree(node, "")
    except OSError as error:
        problems.add(origin, "", f"cannot read it: {error.strerror}")
    except UnicodeDecodeError:
        problems.add(origin, "", "it is not text in UTF-8")
    except RecursionError:
        problems.add(origin, "", "it is nested too deeply")
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = None if mark is None else mark.line + 1
        problems.add(replace(origin, line=line), "", f"not YAML: {_without_words(error)}")
    except yaml.YAMLError:
        problems.add(origin, "", "not YAML: it holds a character that cannot be printed")
    return None


def _without_words(error: yaml.MarkedYAMLError) -> str:
    """Return what the parser says, without the file's own words: they may be a misplaced secret."""

    def kept(quoted: re.Match[str]) -> str:
        words = quoted[1]
        return quoted[0] if len(words) <= 1 or words.startswith("<") else "…"

    words = _QUOTED.sub(kept, error.problem or error.context or "it cannot be parsed")
    # The brace of a reference ends YAML's own.
    hint = "; within { } a ${NAME} stands in quotes" if words.endswith("but got '{'") else ""
    return f"{words}{hint}"


def _scalar(node: yaml.Node, origin: Origin) -> Scalar:
    quoted = isinstance(node, yaml.ScalarNode) and node.style is not None
    return Scalar(origin=origin, text=node.value, written=node.value, quoted=quoted)


class _Composer:
    """Turns YAML's nodes into a tree: texts stay texts, repeats are bounded."""

    def __init__(self, file: Origin, problems: Problems) -> None:
        self._file = file
        self._problems = problems
        self._seen: set[int] = set()
        self._open: set[int] = set()
        self._repeated = 0

    def tree(self, node: yaml.Node, path: str) -> Tree:
        """Return the tree below `node`; what is wrong with it is noted."""
        origin = replace(self._file, line=node.start_mark.line + 1)
        if node.tag not in _PLAIN_TAGS:
            self._problems.add(origin, path, "tags (words that begin with !) are not understood")
        if not self._may_enter(node, origin, path):
            return Scalar(origin=origin, text="", written="")
        self._open.add(id(node))
        try:
            match node:
                case yaml.MappingNode():
                    return Table(origin=origin, entries=tuple(self._entries(node, path)))
                case yaml.SequenceNode():
                    return Items(origin=origin, items=tuple(self._items(node, path)))
                case _:
                    return _scalar(node, origin)
        finally:
            self._open.discard(id(node))

    def _may_enter(self, node: yaml.Node, origin: Origin, path: str) -> bool:
        if id(node) in self._open:
            self._problems.add(origin, path, "an anchor stands within itself")
            return False
        self._repeated += id(node) in self._seen
        self._seen.add(id(node))
        if self._repeated == MAX_REPEATED:
            self._problems.add(self._file, "", f"anchors repeat more than {MAX_REPEATED} values")
        return self._repeated < MAX_REPEATED

    def _items(self, node: yaml.SequenceNode, path: str) -> Iterator[Tree]:
        for index, item in enumerate(node.value):
            yield self.tree(item, joined(path, index))

    def _entries(self, node: yaml.MappingNode, path: str) -> Iterator[Entry]:
        lines: dict[str, int] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            origin = replace(self._file, line=line)
            if not isinstance(key, yaml.ScalarNode):
                self._problems.add(origin, path, "a key must be a single word")
                continue
            below = joined(path, key.value)
            if key.value in lines:
                first = lines[key.value]
                self._problems.add(origin, below, f"stands here twice, first on line {first}")
                continue
            lines[key.value] = line
            yield Entry(origin=origin, key=key.value, value=self.tree(value, below))
