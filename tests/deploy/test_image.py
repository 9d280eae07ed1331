"""The Dockerfile: what it is made of, what it must not do, and what its commands need of their surroundings."""

import io
import itertools
import json
import re
import subprocess
import sys
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import pytest

from gateway.__main__ import main
from gateway.config_environment import overlay
from gateway.config_formats import parse_listen
from gateway.config_tree import Origin, Problems, Table
from tests.test_architecture import ROOT

TEXT = (ROOT / "Dockerfile").read_text(encoding="utf-8")
INSTRUCTIONS = [
    tuple(line.split(None, 1))
    for line in re.sub(r"^#.*\n", "", TEXT, flags=re.MULTILINE).replace("\\\n", " ").splitlines()
    if line
]
LAST_STAGE = INSTRUCTIONS[max(at for at, (word, _) in enumerate(INSTRUCTIONS) if word == "FROM") :]


def last(word: str) -> str:
    """Return what the last stage says by its last instruction of this name."""
    return [rest for name, rest in LAST_STAGE if name == word][-1]


def environment() -> dict[str, str]:
    """Return the variables that the image sets."""
    return dict(item.split("=", 1) for item in last("ENV").split())


def test_it_is_two_stages_of_one_small_base() -> None:
    """What builds stays behind; the base has no more than Python."""
    stages = [rest for word, rest in INSTRUCTIONS if word == "FROM"]

    assert stages == ["${PYTHON_IMAGE} AS build", "${PYTHON_IMAGE}"]
    assert "ARG PYTHON_IMAGE=docker.io/library/python:3.13-slim" in TEXT


def test_every_dependency_comes_by_its_hash() -> None:
    """Pip takes wheels with known hashes, and ours without looking for anything more."""
    installs = re.findall(
        r"\bpip(?: --python \S+)? (?:install|wheel) .*?(?=&&|$)",
        "\n".join(rest for word, rest in INSTRUCTIONS if word == "RUN"),
        re.MULTILINE,
    )

    assert len(installs) == 4
    for command in installs:
        assert ("--require-hashes" in command and "--only-binary :all:" in command) or (
            "--no-deps" in command
        ), command


def test_it_has_every_extra() -> None:
    """What is locked for it is all that pyproject.toml names, the clients for Redis and for traces included."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    named = [*project["dependencies"], *itertools.chain(*project["optional-dependencies"].values())]
    locked = (ROOT / "requirements" / "image.txt").read_text(encoding="utf-8")

    assert "COPY requirements/image.txt" in TEXT
    assert {re.split("[>=]", line)[0] for line in named} <= set(
        re.findall(r"^([a-z0-9-]+)==", locked, re.MULTILINE)
    )


def test_no_run_has_a_heredoc() -> None:
    """Builders older than BuildKit read it too."""
    assert "<<" not in TEXT


def test_the_last_stage_has_no_pip() -> None:
    """The base's pip goes; the environment never had one."""
    runs = [rest for word, rest in LAST_STAGE if word == "RUN"]

    assert any("rm -rf /usr/local/lib/python3.*/site-packages/pip*" in run for run in runs)
    assert "venv --without-pip /opt/gateway" in TEXT


def test_the_user_is_a_number() -> None:
    """Kubernetes can see that it is not root."""
    assert re.fullmatch(r"[1-9]\d{4}:[1-9]\d{4}", last("USER"))


def test_it_serves_unless_told_otherwise() -> None:
    """`docker run IMAGE` serves, `docker run IMAGE demo` is the demo."""
    assert json.loads(last("ENTRYPOINT")) == ["gateway"]
    assert json.loads(last("CMD")) == ["serve"]


def test_the_health_check_is_a_command_of_ours(capsys: pytest.CaptureFixture[str]) -> None:
    """Docker asks by `gateway healthcheck`, in exec form: the image needs no curl."""
    command = json.loads(last("HEALTHCHECK").partition("CMD ")[2])

    assert command == ["gateway", "healthcheck"]
    assert main([*command[1:], "--help"]) == 0


def test_it_listens_where_its_ports_are_published() -> None:
    """Each variable that the image sets is one that the gateway reads; the ports are those exposed."""
    variables = {name: text for name, text in environment().items() if name != "PATH"}
    table = Table(origin=Origin(file="x"), entries=())
    settled = overlay(table, variables, (), Problems())

    assert set(variables) == {"GATEWAY_LISTEN", "GATEWAY_ADMIN_LISTEN"}
    assert settled.get("server") is not None
    assert settled.get("admin") is not None
    addresses = [str(parse_listen(text)) for text in variables.values()]
    assert addresses == ["0.0.0.0:4000", "0.0.0.0:9464"]
    assert last("EXPOSE") == "4000 9464"


def test_it_says_what_it_is() -> None:
    """The labels are those of the OCI's image specification."""
    labels = re.findall(r"org\.opencontainers\.image\.(\w+)=", last("LABEL"))

    assert labels == ["title", "description", "licenses", "version", "revision"]


def test_the_context_is_no_more_than_what_is_copied() -> None:
    """.dockerignore lets through what the Dockerfile copies, and no secret, no test, no history."""
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    allowed = {line[1:] for line in lines if line.startswith("!")}
    copied = {
        source.split("/")[0]
        for word, rest in INSTRUCTIONS
        if word == "COPY" and "--from" not in rest
        for source in rest.split()[:-1]
    }

    assert "*" in lines
    assert copied == allowed
    assert not any(fnmatch(".env", one) or fnmatch("config.yaml", one) for one in allowed)


def test_the_demo_needs_no_key_anywhere() -> None:
    """Where others reach it the demo starts too, as in its image: nothing stands behind it but the echo."""
    with subprocess.Popen(
        [sys.executable, "-m", "gateway", "demo", "--listen", "0.0.0.0:0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as demo:
        try:
            assert "The demo gateway runs" in (demo.stdout or io.StringIO()).read(25)
        finally:
            demo.terminate()


def test_the_healthcheck_of_a_variable_needs_no_more(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A file in the middle of an edit, or the demo, which has none, makes no gateway look ill."""
    monkeypatch.setenv("GATEWAY_ADMIN_LISTEN", f"unix:{tmp_path}/admin.sock")

    assert main(["healthcheck", "-c", str(tmp_path / "missing.yaml")]) == 1
    assert "no answer from unix:" in capsys.readouterr().err
