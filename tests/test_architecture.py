"""The house rules that a machine can keep: who may import whom, where packages live, how long things get.

The tables say what is allowed. A new module gets its row in `ARROWS` together with its code.
"""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator, Sequence
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "gateway"

# The nouns: every part may use them.
FOUNDATION = {"types", "errors", "clock", "deadlines"}

# Files of these names belong to one part, as those of a folder do.
FOLDED = {
    "cache_": "cache",
    "compose_": "compose",
    "config_": "config",
    "limit_": "limits",
    "metering_": "metering",
    "metric_": "metrics",
    "validation_": "validation",
}

# Part -> the parts that it may import beside the foundation; within a part everything may be imported.
# Policies know neither sockets nor the configuration, nor one another.
ARROWS = {
    "__init__": "",
    "types": "",
    "errors": "",
    "clock": "",
    "deadlines": "clock",
    "headers": "",
    "inflate": "",
    "body_coding": "",
    "json_body": "json_skeleton",
    "json_skeleton": "",
    "prices": "",
    "splice": "",
    "stream_usage": "splice",
    "stores": "",
    # Policies.
    "auth": "",
    "guard": "",
    "routing": "",
    "validation": "",
    "tokens": "",
    "transcript": "inflate",
    "limits": "prices stores",
    "cache": "stores",
    # Extension points: what a path means, how a kind of upstream is asked.
    "endpoints": "validation transcript tokens",
    "upstreams": "splice",
    # The rim: sockets, series, log lines.
    "transport": "recordings",
    "recordings": "",
    "listener": "",
    "downstream": "listener",
    "relay": "headers inflate limits transport upstreams",
    "copying": "downstream headers inflate keepalive relay",
    "keepalive": "downstream",
    # One call that several clients read, and the tasks beside calls.
    "tasks": "",
    "flights": "copying downstream relay",
    "sharing": "cache copying downstream flights limits replies tasks",
    "metrics": "",
    "entries": "prices",
    "metering": "entries metrics prices tracing",
    "batching": "",
    "logs": "batching",
    "ledger": "batching entries",
    "usage_report": "",
    "status": "entries guard metering metrics",
    "admin": "status",
    "catalog": "auth relay",
    "upstream_tokens": "relay",
    "intake": "body_coding downstream endpoints json_body listener",
    "replies": "downstream",
    "tracing": "",
    # The journey of one call, and the door before it.
    "accounting": "endpoints limits prices splice tokens",
    "handler": "accounting auth cache catalog copying downstream endpoints flights headers intake limits "
    "listener prices relay replies routing sharing stream_usage transcript validation",
    "door": "downstream endpoints guard handler listener metering replies",
    # What can be configured, and how it is read.
    "config": "",
    # The composition root: parts are made here and nowhere else.
    "compose": "accounting auth cache catalog config copying door guard handler intake limits metering relay "
    "recordings routing prices sharing status stores tasks tokens tracing transport upstream_tokens upstreams "
    "validation",
    "lifecycle": "",
    "binding": "config",
    "app": "admin binding catalog compose config door downstream entries ledger lifecycle listener logs metering "
    "metrics replies status tasks",
    # A small real upstream, and the command line.
    "demo_upstream": "",
    "demo": "app config demo_upstream lifecycle logs",
    "probes": "config",
    "litellm_import": "config",
    "console": "config",
    "__main__": "app auth config console demo litellm_import logs probes tokens usage_report",
}

# Third-party package -> the modules or parts that are its home.
HOMES = {
    "aiohttp": "admin app demo_upstream status.routes transport.aiohttp_client",
    "cachetools": "tokens",
    "hiredis": "stores.redis stores.redis_client",
    "httptools": "transport",
    "msgspec": "cache catalog config demo_upstream endpoints json_body logs splice stream_usage transcript "
    "upstream_tokens validation",
    "opentelemetry": "tracing.otel",
    "prometheus_client": "admin metrics",
    "requests": "tracing.otel",
    "tiktoken": "tokens",
    "uvloop": "app demo demo_upstream",
    "yaml": "config_loader",
    "yarl": "transport.aiohttp_client",
}

# Modules that import where they need it, and why.
LAZY = {
    "tracing": "tracing needs OpenTelemetry, an extra that few install",
    "stores.factory": "a Redis store needs hiredis, an extra that few install",
}

# What data could turn into code by, or what starts other programs.
DANGEROUS_MODULES = {"marshal", "pickle", "runpy", "shelve", "subprocess"}
DANGEROUS_CALLS = {"eval", "exec", "compile", "__import__", "os.system", "os.popen", "os.execv"}

# What only the whole journey shows is told there, by dialogue, instead of in a test file of its own.
TOLD_IN_JOURNEY = {
    "accounting.py": "test_tokens.py",
    "upstream_tokens.py": "test_tokens.py",
    "app.py": "test_lifecycle.py",
    "binding.py": "test_lifecycle.py",
    "catalog.py": "test_routes.py",
    "compose.py": "test_routes.py",
    "compose_sections.py": "test_routes.py",
    "copying.py": "test_breaks.py",
    "door.py": "test_errors.py",
    "downstream.py": "test_leaving.py",
    "handler.py": "test_bytes.py",
    "intake.py": "test_errors.py",
    "lifecycle.py": "test_lifecycle.py",
    "metering.py": "test_metering.py",
    "sharing.py": "test_sharing.py",
    "compose_cache.py": "test_cache.py",
    "metering_series.py": "test_metering.py",
    "relay.py": "test_breaks.py",
    "transport/recorded.py": "test_recordings.py",
    "replies.py": "test_errors.py",
    "listener/connection.py": "test_leaving.py",
}

MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 60

MODULES = {
    ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(PACKAGE.rglob("*.py"))
}
SOURCES = sorted(
    path
    for folder in ("gateway", "tests", "benchmarks", "dashboards", "examples")
    for path in (ROOT / folder).rglob("*.py")
)
TESTS = [path for path in SOURCES if path.name.startswith("test_")]


def tree_of(path: Path) -> ast.Module:
    """Parse a file."""
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def part_of(module: str) -> str:
    """Return the part that a module, named without the leading "gateway.", belongs to."""
    first = module.partition(".")[0]
    return next((part for prefix, part in FOLDED.items() if first.startswith(prefix)), first)


def imported(node: ast.AST) -> Iterator[str]:
    """Yield the full names of the modules that an import statement asks for; nothing for other nodes."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and node.module is not None:
        for alias in node.names:
            whole = f"{node.module}.{alias.name}"
            # A module from its folder, or a name from a module.
            yield whole if whole.removeprefix("gateway.") in MODULES else node.module


def own_imports(path: Path) -> set[str]:
    """Return the gateway's modules that a file imports, without the leading "gateway."."""
    names = (name for node in ast.walk(tree_of(path)) for name in imported(node))
    return {name.removeprefix("gateway.") for name in names if name.startswith("gateway.")}


def foreign_imports(path: Path) -> set[str]:
    """Return the third-party packages that a file imports."""
    names = (name for node in ast.walk(tree_of(path)) for name in imported(node))
    packages = {name.partition(".")[0] for name in names}
    return packages - set(sys.stdlib_module_names) - {"gateway"}


def functions(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Yield every function of a file, nested ones and methods included."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def does_something(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Tell whether a function is more than its docstring, as those of a Protocol are not."""
    return any(
        not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))
        for node in function.body
    )


def every(paths: Sequence[Path]) -> pytest.MarkDecorator:
    """Run a test once for each file, named by its path."""
    return pytest.mark.parametrize(
        "path", paths, ids=[path.relative_to(ROOT).as_posix() for path in paths]
    )


every_module = every(list(MODULES.values()))


def name_of(path: Path) -> str:
    """Return a module's name without the leading "gateway."."""
    return next(name for name, other in MODULES.items() if other == path)


@every_module
def test_imports_follow_the_arrows(path: Path) -> None:
    """A module imports the foundation, its own part, and what its row in ARROWS names."""
    part = part_of(name_of(path))

    assert part in ARROWS, f"give {part!r} a row in ARROWS: which parts may it import, and why?"
    allowed = {part, *ARROWS[part].split()}
    # The nouns do not import one another unless their rows say so.
    allowed |= set() if part in FOUNDATION else FOUNDATION
    # Of the package itself there is its version, for all.
    found = {part_of(name) for name in own_imports(path)} - {"__init__"}
    assert found <= allowed, f"{part} may not import {sorted(found - allowed)}: turn the arrow"


def test_arrows_name_parts_only() -> None:
    """A row, and each name in it, is a part, so that a misspelt one allows nothing by accident."""
    named = {name for row in ARROWS.values() for name in row.split()}

    assert named <= set(ARROWS)


def test_imports_have_no_cycle() -> None:
    """No module imports itself by way of others."""
    graph = {name: own_imports(path) for name, path in MODULES.items()}

    try:
        tuple(TopologicalSorter(graph).static_order())
    except CycleError as error:
        pytest.fail(" <- ".join(error.args[1]))


@every_module
def test_third_party_packages_stay_at_home(path: Path) -> None:
    """A third-party package is imported in its home alone."""
    name = name_of(path)

    for package in foreign_imports(path):
        home = HOMES.get(package, "").split()
        assert {name, part_of(name)} & set(home), f"{package} has its home in {home or 'no module'}"


def test_every_dependency_has_a_home() -> None:
    """What pyproject.toml requires is what HOMES lists: nothing is installed for no use."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = [line for lines in project["optional-dependencies"].values() for line in lines]
    required = {re.split("[>=]", line)[0] for line in project["dependencies"] + extras}
    import_names = {
        "opentelemetry-exporter-otlp-proto-http": "opentelemetry",
        "opentelemetry-sdk": "opentelemetry",
        "prometheus-client": "prometheus_client",
        "pyyaml": "yaml",
    }

    # yarl is aiohttp's own type for URLs and comes with it.
    assert {import_names.get(name, name) for name in required} == set(HOMES) - {"yarl"}


@every_module
def test_no_import_hides_in_a_function(path: Path) -> None:
    """Imports stand at the top of a file, where a reader and this test see them."""
    if name_of(path) in LAZY:
        return
    hidden = [
        f"line {node.lineno}"
        for function in functions(tree_of(path))
        for node in ast.walk(function)
        if isinstance(node, ast.Import | ast.ImportFrom)
    ]

    assert hidden == []


@every_module
def test_nothing_is_global_or_asserted(path: Path) -> None:
    """No function rebinds a module's names, and no control flow hangs on an assert, which -O removes."""
    bad = [
        f"line {node.lineno}"
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Global | ast.Assert)
    ]

    assert bad == []


@every_module
def test_data_never_becomes_code(path: Path) -> None:
    """The package evaluates nothing, unpickles nothing and starts no program."""
    tree = tree_of(path)
    calls = {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    loaded = {name for node in ast.walk(tree) for name in imported(node)}

    assert calls & DANGEROUS_CALLS == set()
    assert {name.partition(".")[0] for name in loaded} & DANGEROUS_MODULES == set()


@every(SOURCES)
def test_files_and_functions_stay_short(path: Path) -> None:
    """A file fits a sitting and a function a screen."""
    text = path.read_text(encoding="utf-8")
    long = {
        function.name: lines
        for function in functions(ast.parse(text))
        if (lines := (function.end_lineno or 0) - function.lineno + 1) > MAX_FUNCTION_LINES
    }

    assert text.count("\n") <= MAX_FILE_LINES
    assert long == {}


@every_module
def test_every_module_has_its_test_file(path: Path) -> None:
    """What `gateway/a/b.py` does is tested in `tests/a/test_b.py`; of a folder itself in `tests/a/test_a.py`."""
    if not any(does_something(function) for function in functions(tree_of(path))):
        return
    relative = path.relative_to(PACKAGE)
    stem = relative.parent.name if path.stem == "__init__" else path.stem.strip("_")
    expected = ROOT / "tests" / relative.parent / f"test_{stem}.py"
    if (told := TOLD_IN_JOURNEY.get(relative.as_posix())) is not None:
        expected = ROOT / "tests" / "journey" / told

    assert expected.is_file(), f"write {expected.relative_to(ROOT)}"


@every(TESTS)
def test_every_test_states_its_promise(path: Path) -> None:
    """Each test's docstring says in a sentence what holds."""
    silent = [
        function.name
        for function in functions(tree_of(path))
        if function.name.startswith("test_")
        and not (ast.get_docstring(function) or "").endswith(".")
    ]

    assert silent == []
