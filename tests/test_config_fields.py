"""Fields: each value is read by its key's type, and each mistake told where it stands."""

from datetime import date
from pathlib import Path

import pytest

from gateway.config_fields import did_you_mean
from gateway.config_types import TcpAddress
from tests.support.configs import UPSTREAM, loaded, problems


def test_values_are_read_by_their_type(tmp_path: Path) -> None:
    """What looks like a number may be a name, and a quoted number is a number."""
    config = loaded(
        tmp_path,
        f"""
server: {{max_in_flight: "7", keepalive_timeout: 500ms, max_body: 1MiB, listen: "[::1]:4000"}}
{UPSTREAM}
models: {{123: {{}}}}
auth:
  keys:
    - {{user: 007, group: off, key: 1234567890123456, models: [1.0], expires: 2099-01-01}}
logging: {{access: false, level: error}}
""",
    )
    (key,) = config.auth.keys

    assert config.server.max_in_flight == 7
    assert config.server.keepalive_timeout == 0.5
    assert config.server.max_body == 1048576
    assert config.server.listen == TcpAddress(host="::1", port=4000)
    assert list(config.models) == ["123"]
    assert (key.user, key.group, key.models) == ("007", "off", ("1.0",))
    assert key.expires == date(2099, 1, 1)
    assert config.logging.access is False


def test_an_empty_section_is_a_default_one(tmp_path: Path) -> None:
    """A section whose keys are all commented out says nothing."""
    config = loaded(tmp_path, f"{UPSTREAM}\nserver:\nmodels:\nauth:\n  keys:\n  keys_files: ~\n")

    assert config == loaded(tmp_path, UPSTREAM)


def test_null_is_taken_where_it_means_something(tmp_path: Path) -> None:
    """A key that may be absent may say so; a quoted null is a text."""
    config = loaded(tmp_path, f"{UPSTREAM}    models: null\n    ca_file: ~\n    proxy:\n")

    assert config.upstreams[0].models is None
    assert problems(tmp_path, f'{UPSTREAM}    api_version: "null"\n') == [
        "config.yaml:4: upstreams[0].api_version: is for `kind: azure` alone"
    ]


def test_relative_paths_start_from_the_file(tmp_path: Path) -> None:
    """Where the gateway was started does not matter."""
    (tmp_path / "ca.pem").touch()

    config = loaded(tmp_path, f"{UPSTREAM}    ca_file: ca.pem\n")

    assert config.upstreams[0].ca_file == tmp_path / "ca.pem"


CASES = {
    "unknown section": (
        "serve: {}",
        "5: serve: unknown key; did you mean server?",
    ),
    "unknown key": (
        "server: {header_timout: 1s}",
        "5: server.header_timout: unknown key; did you mean header_timeout?",
    ),
    "unknown key, nothing near": (
        "server: {colour: red}",
        "5: server.colour: unknown key",
    ),
    "wrong unit": (
        "server: {max_body: 32MB}",
        "5: server.max_body: expected a size such as 64KiB or 32MiB, got '32MB'",
    ),
    "no unit": (
        "server: {header_timeout: 30}",
        "5: server.header_timeout: expected a duration such as 500ms, 30s, 5m or 1h, got '30'",
    ),
    "below the range": (
        "server: {max_body: 1B}",
        "5: server.max_body: must be from 1KiB to 1GiB, got '1B'",
    ),
    "above the range": (
        "server: {max_in_flight: 2000000}",
        "5: server.max_in_flight: must be from 1 to 1000000, got '2000000'",
    ),
    "a YAML 1.1 boolean": (
        "logging: {access: yes}",
        "5: logging.access: expected true or false, got 'yes'",
    ),
    "a choice": (
        "checks: {context: rejcet}",
        "5: checks.context: expected one of reject, trim, off, got 'rejcet'; did you mean reject?",
    ),
    "a choice from nothing": (
        "checks: {context: }",
        "5: checks.context: expected one of reject, trim, off, got nothing",
    ),
    "a value for a mapping": (
        "server: 4000",
        "5: server: expected a mapping, got a single value",
    ),
    "a list for a mapping": (
        "models: [a]",
        "5: models: expected a mapping, got a list",
    ),
    "a value for a list": (
        "auth: {keys_files: keys.yaml}",
        "5: auth.keys_files: expected a list, got a single value",
    ),
    "a mapping for a value": (
        "server: {max_body: {}}",
        "5: server.max_body: expected a size such as 64KiB or 32MiB, got a mapping",
    ),
    "nothing for a value": (
        "server: {max_body: }",
        "5: server.max_body: expected a size such as 64KiB or 32MiB, got nothing",
    ),
    "an empty name": (
        'models: {"": {}}',
        '5: models[""]: expected a name or a glob such as gpt-4*',
    ),
    "a missing key": (
        "models: {a: {targets: [{}]}}",
        "5: models.a.targets[0].upstream: missing",
    ),
    "a key without its text": (
        "auth: {keys: [a-secret-in-the-wrong-place]}",
        "5: auth.keys[0]: expected a mapping, got a single value",
    ),
    "a key as a digest": (
        "auth: {keys: [{user: a, sha256: a-secret-in-the-wrong-place}]}",
        "5: auth.keys[0].sha256: expected 64 hex digits, as `gateway keys digest` prints",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_one_mistake(tmp_path: Path, case: str) -> None:
    """A mistake is told with its line, its path and what was expected, and never with a secret."""
    text, problem = CASES[case]

    assert problems(tmp_path, f"{UPSTREAM}\n{text}\n") == [f"config.yaml:{problem}"]


HEADERS = """\
upstreams:
  - name: local
    base_url: http://127.0.0.1:8000/v1
    headers:
      connection: close
      X-Tenant: a
      x-tenant: b
"""


def test_headers_are_named_once_and_are_ours_to_name(tmp_path: Path) -> None:
    """Headers of the connection, and one header in two spellings, are refused."""
    assert problems(tmp_path, HEADERS) == [
        "config.yaml:5: upstreams[0].headers.connection: this header belongs to the connection",
        "config.yaml:7: upstreams[0].headers.x-tenant: stands here twice, in other letters",
    ]


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    """One run shows everything that is to be mended, in the file's order."""
    text = "server: {listen: x, max_body: y}\nlogging: {level: z}\nupstreams: [{name: a b}]\n"

    assert [problem.split(": ")[1] for problem in problems(tmp_path, text)] == [
        "server.listen",
        "server.max_body",
        "logging.level",
        "upstreams[0].name",
        "upstreams[0].base_url",
    ]


def test_did_you_mean() -> None:
    """A near word is offered, a far one is not."""
    assert did_you_mean("lisen", ["listen", "max_body"]) == "; did you mean listen?"
    assert did_you_mean("colour", ["listen", "max_body"]) == ""
