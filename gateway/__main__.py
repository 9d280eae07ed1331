"""The command line: subcommands; exit codes 0 (fine), 1 (failed), 2 (wrong usage or configuration).

Each command is one function; what it does beyond words is done elsewhere.
"""

import signal

# Ctrl-C before there is anything to stop ends the process without a word: the imports take a while.
_on_interrupt = signal.signal(signal.SIGINT, signal.SIG_DFL)

import argparse
import getpass
import hashlib
import json
import os
import secrets
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import NoReturn, TypeAlias

from gateway import __version__, app, demo, litellm_import
from gateway.clock import SystemClock
from gateway.config_environment import Override
from gateway.config_formats import parse_client_key, parse_listen, parse_text
from gateway.config_loader import effective, load
from gateway.config_schema import config_schema
from gateway.config_tree import ConfigError
from gateway.config_types import BadValueError, ListenAddress
from gateway.config_warnings import Traits, unlisted, warnings
from gateway.console import FAILED, FINE, WRONG, complain, flushed, refuse, say
from gateway.errors import StartError
from gateway.probes import ask_models, ask_ready
from gateway.tokens.counter import TokenCounter
from gateway.tokens.families import family_of
from gateway.tokens.lines import count_lines
from gateway.tokens.models import ModelTable
from gateway.usage_report import KEYS, Report, with_older

signal.signal(signal.SIGINT, _on_interrupt)

DEFAULT_LISTEN = "127.0.0.1:4000"
KEY_BYTES = 32
MAX_INPUT_BYTES = 64 * 1024

_FILE_HELP = "the configuration; else GATEWAY_CONFIG names it, else the environment is all"
Command = Callable[[argparse.Namespace, Mapping[str, str]], int]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; a failure is a line on standard error."""
    try:
        options = _parser().parse_args(arguments)
        command: Command = options.command
        code = command(options, os.environ)
    except SystemExit as leaving:
        # argparse has said what there is to say.
        code = int(leaving.code or FINE)
    except ConfigError as error:
        code = complain(WRONG, *map(str, error.problems))
    except StartError as error:
        code = complain(FAILED, f"gateway: {error}")
    except KeyboardInterrupt:
        code = complain(FAILED, "gateway: interrupted")
    return code if flushed() else FAILED


def _serve(options: argparse.Namespace, environ: Mapping[str, str]) -> int:
    given = {
        "--listen": (("server", "listen"), options.listen),
        "--admin-listen": (("admin", "listen"), options.admin_listen),
        "--log-level": (("logging", "level"), options.log_level),
    }
    for mode in ("record", "replay"):
        folder = getattr(options, mode)
        if folder is not None:
            given[f"--{mode}"] = (("recordings", "mode"), mode)
            given[f"--{mode} DIR"] = (("recordings", "dir"), folder)
    overrides = [
        Override(flag=flag, keys=keys, text=text)
        for flag, (keys, text) in given.items()
        if text is not None
    ]
    read = partial(load, _file(options.config, environ), environ, overrides)
    return app.serve(read(), reload=read)


def _demo(options: argparse.Namespace, environ: Mapping[str, str]) -> int:
    if options.listen is not None:
        source, text = "--listen", options.listen
    else:
        source, text = "GATEWAY_LISTEN", environ.get("GATEWAY_LISTEN") or DEFAULT_LISTEN
    listen = _address(source, text)
    return demo.demo(listen, options.admin_listen or environ.get("GATEWAY_ADMIN_LISTEN"))


def _check(options: argparse.Namespace, environ: Mapping[str, str]) -> int:
    path = _file(options.file, environ)
    config = load(path, environ).config
    reports = [f"{path or 'environment'}: fine"]
    today = datetime.fromtimestamp(SystemClock().time(), UTC).date()
    bites = list(warnings(config, today, _traits_of(ModelTable())))
    code = FINE
    if options.live:
        answers = ask_models(config.upstreams)
        reports += [f"{name}: {answer.words}" for name, answer in answers.items()]
        bites += unlisted(config, {name: answer.models for name, answer in answers.items()})
        code = FINE if all(answer.good for answer in answers.values()) else WRONG
    if options.print_effective:
        # The reports become comments, so that the whole stays YAML.
        reports = [*effective(config).splitlines(), *(f"# {report}" for report in reports)]
    say(*reports)
    return complain(code, *(f"warning: {bite}" for bite in bites))


def _traits_of(models: ModelTable) -> Callable[[str], Traits]:
    def traits(name: str) -> Traits:
        info = models.lookup(name)
        return Traits(
            priced=info is not None and info.input is not None, reasons=family_of(name).reasons
        )

    return traits


def _keys_new(options: argparse.Namespace, _environ: Mapping[str, str]) -> int:
    try:
        user = parse_text(options.user)
    except BadValueError:
        refuse("--user", "expected a name without control characters")
    key = f"sk-gw-{secrets.token_urlsafe(KEY_BYTES)}"
    # A JSON string is a YAML string, whatever is in it.
    quoted = json.dumps(user, ensure_ascii=False)
    say(key, "", "# The key is shown this once. For auth.keys in config.yaml:")
    say(f"- {{user: {quoted}, sha256: {_digest(key)}}}")
    return FINE


def _keys_digest(_options: argparse.Namespace, _environ: Mapping[str, str]) -> int:
    if sys.stdin is None:
        refuse("standard input", "it is closed")
    if sys.stdin.isatty():
        text = getpass.getpass("Key: ")
    else:
        text = sys.stdin.buffer.read(MAX_INPUT_BYTES).decode("ascii", "replace")
    try:
        key = parse_client_key(text.removesuffix("\n").removesuffix("\r"))
    except BadValueError as error:
        refuse("standard input", str(error))
    say(_digest(key.reveal()))
    return FINE


def _count(options: argparse.Namespace, _environ: Mapping[str, str]) -> int:
    try:
        standard = options.file is None or options.file == Path("-")
        source = sys.stdin.buffer if standard else options.file.open("rb")
    except OSError as error:
        refuse(str(options.file), error.strerror or str(error))
    code = FINE
    with source:
        counts = count_lines(source, TokenCounter(ModelTable()))
        for number, count in enumerate(counts, start=1):
            if count is None:
                code = complain(FAILED, f"request {number}: no JSON object, or no messages")
            elif options.json:
                told = {name: getattr(count, name) for name in ("tokens", "encoding", "certainty")}
                say(json.dumps(told))
            else:
                say(str(count.tokens))
    return code


def _usage(options: argparse.Namespace, _environ: Mapping[str, str]) -> int:
    by = [name for name in options.by.split(",") if name]
    unknown = [name for name in by if name not in KEYS]
    if unknown:
        refuse("--by", f"{unknown[0]}: expected some of {', '.join(KEYS)}")
    report = Report(by)
    for path in with_older(options.files):
        try:
            with path.open("rb") as lines:
                report.read(lines)
        except OSError as error:
            refuse(str(path), error.strerror or str(error))
    say(*(report.csv() if options.csv else report.table()))
    told = [f"warning: {report.unread} lines are none of a usage log"] * bool(report.unread)
    return complain(FINE, *told)


def _schema(_options: argparse.Namespace, _environ: Mapping[str, str]) -> int:
    say(json.dumps(config_schema(), indent=2, ensure_ascii=False))
    return FINE


def _import_litellm(options: argparse.Namespace, _environ: Mapping[str, str]) -> int:
    imported = litellm_import.convert(options.file)
    if options.output is None:
        say(imported.text)
    else:
        try:
            with options.output.open("x", encoding="utf-8") as file:
                file.write(f"{imported.text}\n")
        except OSError as error:
            refuse(str(options.output), f"nothing was written: {error.strerror}")
    return complain(FINE, *map(str, imported.notes))


def _healthcheck(options: argparse.Namespace, environ: Mapping[str, str]) -> int:
    try:
        listen = _admin_listen(options, environ)
    except ConfigError as error:
        # Docker gives 2 a meaning of its own.
        return complain(FAILED, *map(str, error.problems))
    answer = ask_ready(listen)
    if not answer.good:
        return complain(FAILED, f"gateway: {answer.words}")
    say(answer.words)
    return FINE


def _admin_listen(options: argparse.Namespace, environ: Mapping[str, str]) -> ListenAddress:
    """Return where the running gateway is asked; the variable decides without the rest, which may be half-written."""
    variable = "GATEWAY_ADMIN_LISTEN"
    if environ.get(variable):
        return _address(variable, environ[variable])
    return load(_file(options.config, environ), environ).config.admin.listen


def _address(source: str, text: str) -> ListenAddress:
    try:
        return parse_listen(text)
    except BadValueError as error:
        refuse(source, str(error) or "expected an address such as 127.0.0.1:4000")


def _file(named: Path | None, environ: Mapping[str, str]) -> Path | None:
    if named is not None:
        return named
    variable = environ.get("GATEWAY_CONFIG")
    return Path(variable) if variable else None


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


class _Parser(argparse.ArgumentParser):
    """Tells wrong usage on one line."""

    def error(self, message: str) -> NoReturn:
        """Leave with exit code 2."""
        self.exit(WRONG, f"{self.prog}: {message}; see `{self.prog} --help`\n")


_Commands: TypeAlias = "argparse._SubParsersAction[_Parser]"


def _parser() -> _Parser:
    parser = _Parser(
        prog="gateway", description="An OpenAI-compatible local gateway.", allow_abbrev=False
    )
    parser.add_argument("--version", action="version", version=f"gateway {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    serve = _add(commands, "serve", _serve, "run the gateway", "gateway serve -c config.yaml")
    _add_config(serve)
    serve.add_argument("--listen", metavar="ADDR", help="where clients call")
    serve.add_argument("--admin-listen", metavar="ADDR", help="where metrics and health are")
    serve.add_argument("--log-level", metavar="L", help="debug, info, warning or error")

    recordings = serve.add_mutually_exclusive_group()
    recordings.add_argument("--record", metavar="DIR", help="write each exchange to a file in DIR")
    recordings.add_argument("--replay", metavar="DIR", help="answer from the files in DIR alone")

    shown = _add(
        commands, "demo", _demo, "run it before a built-in upstream, without a key", "gateway demo"
    )
    shown.add_argument("--listen", metavar="ADDR", help=f"where clients call ({DEFAULT_LISTEN})")
    shown.add_argument("--admin-listen", metavar="ADDR", help="where metrics and health are")

    check = _add(
        commands, "check", _check, "check file and environment", "gateway check config.yaml --live"
    )
    check.add_argument("file", metavar="FILE", type=Path, nargs="?", help=_FILE_HELP)
    check.add_argument("--live", action="store_true", help="ask each upstream for its models")
    check.add_argument(
        "--print-effective", action="store_true", help="print all that holds, secrets masked"
    )

    _add_sums(commands)
    keys = commands.add_parser("keys", help="make and digest clients' keys")
    _add_keys(keys.add_subparsers(metavar="COMMAND", required=True))

    schema = "gateway schema > config.schema.json"
    _add(commands, "schema", _schema, "print the JSON Schema of config.yaml", schema)
    health = _add(
        commands, "healthcheck", _healthcheck, "ask the running gateway", "gateway healthcheck"
    )
    _add_config(health)
    _add_import(commands)
    return parser


def _add_import(commands: _Commands) -> None:
    imported = _add(
        commands,
        "import-litellm",
        _import_litellm,
        "make a configuration from LiteLLM's",
        "gateway import-litellm litellm.yaml -o config.yaml",
    )
    imported.add_argument("file", metavar="FILE", type=Path, help="the configuration of its proxy")
    imported.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        type=Path,
        help="a new file to write; else standard output",
    )


def _add_sums(commands: _Commands) -> None:
    count = _add(
        commands,
        "count",
        _count,
        "count the prompt tokens of requests",
        "gateway count < calls.jsonl",
    )
    count.add_argument(
        "file",
        metavar="FILE",
        type=Path,
        nargs="?",
        help="one JSON body a line; - or none: standard input",
    )
    count.add_argument("--json", action="store_true", help="add encoding and certainty")

    usage = _add(
        commands,
        "usage",
        _usage,
        "sum up the usage log",
        "gateway usage usage.jsonl --by user,day --csv",
    )
    usage.add_argument(
        "files",
        metavar="FILE",
        type=Path,
        nargs="+",
        help="a usage log; its older files (FILE.1 …) are read with it",
    )
    usage.add_argument(
        "--by", metavar="KEYS", default="user,model", help=f"one sum for each: {', '.join(KEYS)}"
    )
    usage.add_argument("--csv", action="store_true", help="print CSV instead of a table")


def _add_keys(commands: _Commands) -> None:
    new = _add(commands, "new", _keys_new, "make a new key", "gateway keys new --user alice")
    new.add_argument("--user", metavar="NAME", default="default", help="who will own it")
    digest = "gateway keys digest < key.txt"
    _add(commands, "digest", _keys_digest, "digest the key on standard input", digest)


def _add(commands: _Commands, name: str, command: Command, meaning: str, example: str) -> _Parser:
    parser = commands.add_parser(
        name,
        help=meaning,
        description=f"{meaning[0].upper()}{meaning[1:]}.",
        epilog=f"example:\n  {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.set_defaults(command=command)
    return parser


def _add_config(parser: _Parser) -> None:
    parser.add_argument("-c", "--config", metavar="FILE", type=Path, help=_FILE_HELP)


if __name__ == "__main__":
    sys.exit(main())
