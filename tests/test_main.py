"""The command line: what each command prints, its exit codes, and errors of one line each."""

import io
import json
import os
import socket
import subprocess
import sys
from hashlib import sha256
from pathlib import Path
from typing import IO

import pytest
import yaml

from gateway import __version__
from gateway.__main__ import main
from gateway.config_schema import config_schema
from tests.support.configs import UPSTREAM, written
from tests.support.servers import Server

KEY = "sk-1234567890123456"
HANG_SECONDS = 30.0
Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide the developer's own variables."""
    for name in list(os.environ):
        if name.startswith(("GATEWAY_", "OPENAI_")):
            monkeypatch.delenv(name)


def run(
    *arguments: str, stdin: bytes = b"", stdout: IO[bytes] | int = subprocess.PIPE
) -> subprocess.CompletedProcess[bytes]:
    """Run a command as a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "gateway", *arguments],
        input=stdin,
        stdout=stdout,
        stderr=subprocess.PIPE,
        check=False,
        timeout=HANG_SECONDS,
    )


@pytest.mark.parametrize(
    "command",
    [
        "",
        "serve",
        "demo",
        "check",
        "count",
        "usage",
        "keys",
        "keys new",
        "keys digest",
        "schema",
        "healthcheck",
        "import-litellm",
    ],
)
def test_every_command_helps(capsys: Capture, command: str) -> None:
    """Each command says what it does; each that does something shows an example."""
    assert main([*command.split(), "--help"]) == 0

    help_text = capsys.readouterr().out
    assert help_text.startswith(f"usage: gateway {command}".rstrip())
    if command not in ("", "keys"):
        assert f"example:\n  gateway {command}" in help_text


def test_version(capsys: Capture) -> None:
    """The version is the package's."""
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"gateway {__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "gateway: the following arguments are required: COMMAND; see `gateway --help`"),
        (
            ["keys"],
            "gateway keys: the following arguments are required: COMMAND; see `gateway keys --help`",
        ),
        (["check", "--liv"], "gateway: unrecognized arguments: --liv; see `gateway --help`"),
        (
            ["serve", "--listen"],
            "gateway serve: argument --listen: expected one argument; see `gateway serve --help`",
        ),
        (
            ["serve", "-c", "/nowhere.yaml"],
            "/nowhere.yaml: cannot read it: No such file or directory",
        ),
        (
            ["serve"],
            "OPENAI_API_KEY: upstreams[0].api_key: OpenAI needs a key; set it, or"
            " GATEWAY_UPSTREAM_URL for another upstream, or try `gateway demo`",
        ),
        (["demo", "--listen", "4000"], "--listen: expected an address such as 127.0.0.1:4000"),
        (
            ["demo", "--listen", "::1:4000"],
            "--listen: an IPv6 address stands in brackets: [::1]:4000",
        ),
        (["keys", "new", "--user", "a\nb"], "--user: expected a name without control characters"),
    ],
)
def test_wrong_usage_is_one_line(capsys: Capture, arguments: list[str], message: str) -> None:
    """Wrong usage and wrong configuration end with 2 and say what to do."""
    assert main(arguments) == 2
    assert capsys.readouterr() == ("", f"{message}\n")


def test_every_problem_is_told(capsys: Capture, tmp_path: Path) -> None:
    """All that is wrong with a configuration is told at once, a line each."""
    path = written(tmp_path, f"{UPSTREAM}server: {{listen: x}}\nchecks: {{contxt: off}}\n")

    assert main(["check", str(path)]) == 2

    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        f"{path}:4: server.listen: expected 127.0.0.1:4000, [::1]:4000 or unix:/run/gateway.sock,"
        " got 'x'",
        f"{path}:5: checks.contxt: unknown key; did you mean context?",
    ]


@pytest.mark.parametrize(
    ("flag", "key"),
    [
        ("--listen", "server.listen"),
        ("--admin-listen", "admin.listen"),
        ("--log-level", "logging.level"),
    ],
)
def test_a_wrong_flag_is_named(capsys: Capture, tmp_path: Path, flag: str, key: str) -> None:
    """A flag goes through the same checks as the key that it overrides."""
    assert main(["serve", "-c", str(written(tmp_path, UPSTREAM)), flag, "x"]) == 2
    assert capsys.readouterr().err.startswith(f"{flag}: {key}: expected ")


def test_a_taken_port_is_one_line(tmp_path: Path) -> None:
    """What fails at run time ends with 1; a flag decides where to listen, and the file is read."""
    path = written(tmp_path, UPSTREAM)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        done = run("serve", "-c", str(path), "--listen", listen, "--admin-listen", "127.0.0.1:0")

    assert done.returncode == 1
    (line,) = done.stderr.decode().splitlines()
    assert line.startswith(f"gateway: cannot listen at {listen}: ")


def test_check_is_content(capsys: Capture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A right configuration is called fine, whether a flag, a variable or nothing names the file."""
    path = written(tmp_path, UPSTREAM)

    assert main(["check", str(path)]) == 0
    monkeypatch.setenv("GATEWAY_CONFIG", str(path))
    assert main(["check"]) == 0
    monkeypatch.setenv("GATEWAY_CONFIG", "")
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    assert main(["check"]) == 0

    assert capsys.readouterr() == (f"{path}: fine\n{path}: fine\nenvironment: fine\n", "")


def test_check_warns(capsys: Capture, tmp_path: Path) -> None:
    """What will bite is told, and the configuration is fine all the same."""
    path = written(
        tmp_path,
        f"{UPSTREAM}auth: {{keys: [{{user: ci, key: {KEY}, expires: 2020-01-01}}]}}\n",
    )

    assert main(["check", str(path)]) == 0
    assert capsys.readouterr() == (
        f"{path}: fine\n",
        "warning: auth.keys[0]: ci's key expired on 2020-01-01\n",
    )


def test_check_prints_what_holds(capsys: Capture, tmp_path: Path) -> None:
    """All of standard output is YAML, with secrets masked."""
    path = written(tmp_path, f"{UPSTREAM}    api_key: {KEY}\n")

    assert main(["check", str(path), "--print-effective"]) == 0

    out = capsys.readouterr().out
    assert yaml.safe_load(out)["upstreams"][0]["api_key"] == "********"
    assert out.endswith(f"# {path}: fine\n")
    assert KEY not in out


def test_check_live_asks_upstreams(capsys: Capture, tmp_path: Path, unused_tcp_port: int) -> None:
    """An upstream that cannot be reached is told and fails the check."""
    text = f"upstreams: [{{name: u, base_url: 'http://127.0.0.1:{unused_tcp_port}/v1'}}]"
    path = written(tmp_path, text)

    assert main(["check", str(path), "--live"]) == 2
    assert capsys.readouterr().out.splitlines() == [
        f"{path}: fine",
        "u: cannot be reached: Connection refused",
    ]


def test_a_new_key_and_its_line(capsys: Capture, tmp_path: Path) -> None:
    """A key is long, new each time, and the line below it lets exactly that key in."""
    assert main(["keys", "new", "--user", 'al "x": y']) == 0
    out = capsys.readouterr().out
    assert main(["keys", "new"]) == 0
    other = capsys.readouterr().out

    key = out.splitlines()[0]
    assert key.startswith("sk-gw-")
    assert len(key) > 40
    assert key != other.splitlines()[0]
    assert yaml.safe_load(out.partition("\n")[2]) == [
        {"user": 'al "x": y', "sha256": sha256(key.encode()).hexdigest()}
    ]


@pytest.mark.parametrize(
    "stdin", [b"sk-1234567890123456\n", b"sk-1234567890123456\r\n", KEY.encode()]
)
def test_a_key_is_digested(stdin: bytes) -> None:
    """The digest is plain SHA-256, of the key without its line break."""
    done = run("keys", "digest", stdin=stdin)

    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.decode() == f"{sha256(KEY.encode()).hexdigest()}\n"


@pytest.mark.parametrize(
    ("stdin", "why"),
    [
        (b"", "a key has at least 16 characters"),
        (b"short\n", "a key has at least 16 characters"),
        (b"sk-1234567890123456\nsk-1234567890123457\n", "it holds line breaks"),
        (b"sk-12345678901234\xff\n", "it holds line breaks, blanks at its ends or characters"),
    ],
)
def test_what_is_no_key_is_not_digested(stdin: bytes, why: str) -> None:
    """A digest that would let nobody in, or anybody, is not made."""
    done = run("keys", "digest", stdin=stdin)

    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr.decode().startswith(f"standard input: {why}")


def test_the_schema_is_printed(capsys: Capture) -> None:
    """The schema is JSON, ready for a file."""
    assert main(["schema"]) == 0
    assert json.loads(capsys.readouterr().out) == config_schema()


def test_a_gateway_that_is_not_there_is_not_healthy(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch, unused_tcp_port: int
) -> None:
    """The check asks where the same configuration would listen."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("GATEWAY_ADMIN_LISTEN", f"127.0.0.1:{unused_tcp_port}")

    assert main(["healthcheck"]) == 1
    assert capsys.readouterr() == (
        "",
        f"gateway: no answer from 127.0.0.1:{unused_tcp_port}: Connection refused\n",
    )


def test_a_gateway_that_is_ready_is_healthy(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The answer on the admin listener decides; the file is the one that the gateway reads."""
    with Server(200, b"ok").running() as port:
        path = written(tmp_path, f"{UPSTREAM}admin: {{listen: '127.0.0.1:{port}'}}\n")
        monkeypatch.setenv("GATEWAY_CONFIG", str(path))

        assert main(["healthcheck"]) == 0

    assert capsys.readouterr() == ("ready\n", "")


def test_a_health_check_never_ends_with_two(capsys: Capture) -> None:
    """Docker knows 0 and 1: a wrong configuration is not healthy either."""
    assert main(["healthcheck", "-c", "/nowhere.yaml"]) == 1
    assert "No such file" in capsys.readouterr().err


class Interrupted(io.TextIOWrapper):
    """Standard input at which somebody presses Ctrl-C."""

    def __init__(self) -> None:
        super().__init__(io.BytesIO())

    def isatty(self) -> bool:
        """Raise what Python raises on Ctrl-C."""
        raise KeyboardInterrupt


def test_an_interrupt_is_one_line(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C ends a command without a traceback."""
    monkeypatch.setattr(sys, "stdin", Interrupted())

    assert main(["keys", "digest"]) == 1
    assert capsys.readouterr().err == "gateway: interrupted\n"


def test_a_full_disk_is_one_line() -> None:
    """What cannot be written ends with 1, long or short."""
    with Path("/dev/full").open("wb") as full:
        for command in (["schema"], ["keys", "new"]):
            done = run(*command, stdout=full)

            assert done.returncode == 1
            assert done.stderr.decode() == (
                "gateway: cannot write to standard output: No space left on device\n"
            )


def test_a_reader_that_leaves_is_no_news() -> None:
    """Piped into `head` a command ends without a word."""
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as closed:
        done = run("schema", stdout=closed)

    assert (done.returncode, done.stderr) == (1, b"")


@pytest.mark.parametrize("closed", ["1", "2"])
def test_a_closed_stream_is_no_crash(closed: str) -> None:
    """Without standard output or standard error a command still ends with its exit code."""
    command = "keys new" if closed == "1" else "check /nowhere.yaml"
    done = subprocess.run(
        ["/bin/sh", "-c", f'exec "{sys.executable}" -m gateway {command} {closed}>&-'],
        capture_output=True,
        check=False,
        timeout=HANG_SECONDS,
    )

    assert done.returncode == (1 if closed == "1" else 2)
    assert b"Traceback" not in done.stderr + done.stdout
