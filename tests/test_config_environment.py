"""The environment: what it sets, what it gives way to, and what references stand for."""

from pathlib import Path

import pytest

from gateway.config_environment import MAX_SECRET_BYTES, Override, Substitution
from gateway.config_loader import load
from gateway.config_tree import ConfigError
from gateway.config_types import BadValueError, Secret
from tests.support.configs import UPSTREAM, loaded, problems, written

FILE = f"server: {{listen: '127.0.0.1:1'}}\nadmin: {{listen: '127.0.0.1:2'}}\n{UPSTREAM}"
KEY = "a-key-long-enough"


def test_the_environment_alone_is_enough() -> None:
    """With OPENAI_API_KEY there is one upstream, OpenAI, and nothing else is needed."""
    (upstream,) = load(None, {"OPENAI_API_KEY": "sk-1"}).config.upstreams

    assert (upstream.name, str(upstream.base_url), upstream.api_key) == (
        "openai",
        "https://api.openai.com/v1",
        Secret("sk-1"),
    )


@pytest.mark.parametrize(
    ("environ", "url"),
    [
        ({"OPENAI_BASE_URL": "http://a/v1"}, "http://a/v1"),
        ({"GATEWAY_UPSTREAM_URL": "http://b/v1", "OPENAI_BASE_URL": "http://a/v1"}, "http://b/v1"),
        ({"GATEWAY_UPSTREAM_URL": "", "OPENAI_BASE_URL": "http://a/v1"}, "http://a/v1"),
    ],
)
def test_another_upstream_needs_no_key(environ: dict[str, str], url: str) -> None:
    """Our own variable goes before the SDK's; an engine of one's own is asked without a key."""
    (upstream,) = load(None, environ).config.upstreams

    assert (str(upstream.base_url), upstream.api_key) == (url, None)


def test_a_value_of_the_environment_is_taken_as_it_is() -> None:
    """A dollar sign in a variable refers to nothing."""
    (upstream,) = load(None, {"OPENAI_API_KEY": "pa$$w${X}"}).config.upstreams

    assert upstream.api_key == Secret("pa$$w${X}")


def test_flag_environment_file_default(tmp_path: Path) -> None:
    """The first that says something decides."""
    path = written(tmp_path, FILE)
    flag = Override(flag="--listen", keys=("server", "listen"), text="127.0.0.1:5")
    environ = {"GATEWAY_LISTEN": "127.0.0.1:3", "GATEWAY_ADMIN_LISTEN": "127.0.0.1:4"}

    def listening(*overrides: Override, environ: dict[str, str]) -> list[str]:
        config = load(path, environ, overrides).config
        return [str(config.server.listen), str(config.admin.listen)]

    assert listening(environ={}) == ["127.0.0.1:1", "127.0.0.1:2"]
    assert listening(environ=environ) == ["127.0.0.1:3", "127.0.0.1:4"]
    assert listening(flag, environ=environ) == ["127.0.0.1:5", "127.0.0.1:4"]


def test_a_flag_reaches_sections_that_the_file_lacks(tmp_path: Path) -> None:
    """A flag needs no section in the file, and leaves the section's other keys alone."""
    flag = Override(flag="--log-level", keys=("logging", "level"), text="debug")

    bare = load(written(tmp_path, UPSTREAM), {}, [flag]).config
    full = load(written(tmp_path, f"{UPSTREAM}logging: {{access: false}}\n"), {}, [flag]).config

    assert (bare.logging.level, bare.logging.access) == ("debug", True)
    assert (full.logging.level, full.logging.access) == ("debug", False)


def test_the_environment_moves_the_only_upstream(tmp_path: Path) -> None:
    """GATEWAY_UPSTREAM_URL goes before the file, OPENAI_BASE_URL does not."""
    ours = {"GATEWAY_UPSTREAM_URL": "http://b/v1"}

    assert str(loaded(tmp_path, FILE, ours).upstreams[0].base_url) == "http://b/v1"
    theirs = {"OPENAI_BASE_URL": "http://a/v1"}
    assert loaded(tmp_path, FILE, theirs) == loaded(tmp_path, FILE)


def test_the_environment_moves_no_upstream_of_several(tmp_path: Path) -> None:
    """Which one is meant is not guessed."""
    text = f"{UPSTREAM}  - {{name: b, base_url: 'http://b/v1'}}\n"

    assert problems(tmp_path, text, {"GATEWAY_UPSTREAM_URL": "http://c/v1"}) == [
        "GATEWAY_UPSTREAM_URL: is for one upstream, and the file has several; unset it"
    ]


def test_a_file_without_upstreams_has_the_environments(tmp_path: Path) -> None:
    """A file may be about other things."""
    config = loaded(tmp_path, "upstreams:\nlogging: {access: false}", {"OPENAI_API_KEY": "sk-1"})

    assert config.upstreams[0].api_key == Secret("sk-1")


def test_a_key_of_the_environment_is_one_more_key(tmp_path: Path) -> None:
    """GATEWAY_API_KEY makes the user `default`, beside the file's users."""
    text = f"{UPSTREAM}auth: {{keys: [{{user: a, key: another-key-long-enough}}]}}\n"

    with_file = loaded(tmp_path, text, {"GATEWAY_API_KEY": KEY}).auth
    alone = loaded(tmp_path, f"{UPSTREAM}auth:\n", {"GATEWAY_API_KEY": KEY}).auth

    assert [key.user for key in with_file.keys] == ["a", "default"]
    assert [(key.user, key.key) for key in alone.keys] == [("default", Secret(KEY))]
    assert alone.effective_mode == "keys"


@pytest.mark.parametrize(
    ("environ", "problem"),
    [
        (
            {},
            "OPENAI_API_KEY: upstreams[0].api_key: OpenAI needs a key; set it, or"
            " GATEWAY_UPSTREAM_URL for another upstream, or try `gateway demo`",
        ),
        (
            {"OPENAI_BASE_URL": "http://localhost:4000/v1"},
            "OPENAI_BASE_URL: upstreams[0].base_url: this is the gateway itself, which listens on"
            " 127.0.0.1:4000; OPENAI_BASE_URL is for your app; set GATEWAY_UPSTREAM_URL",
        ),
        (
            {"GATEWAY_UPSTREAM_URL": "http://localhost:4000/v1"},
            "GATEWAY_UPSTREAM_URL: upstreams[0].base_url: this is the gateway itself, which listens"
            " on 127.0.0.1:4000",
        ),
        (
            {"GATEWAY_UPSTREAM_URL": "localhost:11434"},
            "GATEWAY_UPSTREAM_URL: upstreams[0].base_url: expected a URL such as"
            " https://api.openai.com/v1",
        ),
        (
            {"OPENAI_API_KEY": "sk-1", "GATEWAY_API_KEY": "short-secret"},
            "GATEWAY_API_KEY: auth.keys[0].key: a key has at least 16 characters",
        ),
        (
            {"OPENAI_API_KEY": "sk-1", "GATEWAY_LISTEN": "4000"},
            "GATEWAY_LISTEN: server.listen: expected 127.0.0.1:4000, [::1]:4000 or"
            " unix:/run/gateway.sock, got '4000'",
        ),
        (
            {"OPENAI_API_KEY": "sk-1\n"},
            "OPENAI_API_KEY: upstreams[0].api_key: it holds line breaks, blanks at its ends or"
            " characters outside ASCII",
        ),
    ],
)
def test_a_wrong_variable_is_named(environ: dict[str, str], problem: str) -> None:
    """A problem that a variable makes stands under the variable's name, and quotes no secret."""
    with pytest.raises(ConfigError) as raised:
        load(None, environ)

    assert str(raised.value) == problem


@pytest.fixture
def substitution(tmp_path: Path) -> Substitution:
    """Return a substitution over a few variables and files."""
    (tmp_path / "secret").write_text("s3cret\n\n", encoding="utf-8")
    (tmp_path / "dos").write_bytes(b"s3cret\r\n")
    (tmp_path / "empty").write_text("\n", encoding="utf-8")
    (tmp_path / "binary").write_bytes(b"\xff")
    (tmp_path / "large").write_bytes(b"x" * (MAX_SECRET_BYTES + 1))
    return Substitution({"HOST": "example.com", "NONE": "", "REF": "${HOST}"}, tmp_path)


@pytest.mark.parametrize(
    ("text", "expanded"),
    [
        ("plain", "plain"),
        ("${HOST}", "example.com"),
        ("https://${HOST}/${HOST}", "https://example.com/example.com"),
        ("${UNSET:-a:-b}", "a:-b"),
        ("${UNSET:-}", ""),
        ("${NONE:-default}", "default"),
        ("${HOST:-default}", "example.com"),
        ("$$", "$"),
        ("$${HOST}", "${HOST}"),
        ("${REF}", "${HOST}"),
        ("${file:secret}", "s3cret\n"),
        ("${file:dos}", "s3cret"),
    ],
)
def test_references(substitution: Substitution, text: str, expanded: str) -> None:
    """References are replaced once; of a file one line break at its end is dropped."""
    assert substitution.expand(text) == expanded


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("${UNSET}", "UNSET is not set, or empty"),
        ("${NONE}", "NONE is not set, or empty"),
        ("${file:nowhere}", "cannot read {folder}/nowhere: No such file or directory"),
        ("${file:.}", "cannot read {folder}: Is a directory"),
        ("${file:empty}", "{folder}/empty is empty"),
        ("${file:binary}", "{folder}/binary is not text in UTF-8"),
        ("${file:large}", "{folder}/large is larger than 65536 bytes"),
        ("$HOST", "a $ begins"),
        ("${}", "a $ begins"),
        ("${HOST", "a $ begins"),
        ("${1ST}", "a $ begins"),
        ("100$", "a $ begins"),
    ],
)
def test_references_that_lead_nowhere(
    substitution: Substitution, tmp_path: Path, text: str, why: str
) -> None:
    """What cannot be replaced is told, never left in place."""
    with pytest.raises(BadValueError) as raised:
        substitution.expand(text)

    assert str(raised.value).startswith(why.replace("{folder}", str(tmp_path)))


def test_the_files_behind_references_are_remembered(
    substitution: Substitution, tmp_path: Path
) -> None:
    """A secret that changes can be noticed."""
    substitution.expand("${file:secret} ${file:dos}")

    assert substitution.files == [tmp_path / "secret", tmp_path / "dos"]


def test_references_stand_in_values_alone(tmp_path: Path) -> None:
    """YAML is parsed first: a variable cannot add keys, and a name is no reference."""
    text = f"{UPSTREAM}    api_key: ${{KEY}}\nmodels: {{'${{KEY}}': {{}}}}\n"

    config = loaded(tmp_path, text, {"KEY": "a, name: b"})

    assert config.upstreams[0].api_key == Secret("a, name: b")
    assert list(config.models) == ["${KEY}"]


def test_an_unset_variable_is_told_with_its_line(tmp_path: Path) -> None:
    """The file's line, not the variable's value, leads to the mistake; it is told once."""
    text = f"{UPSTREAM}    api_key: ${{KEY}}\n    idle_timeout: ${{WAIT:-30}}\n"

    assert problems(tmp_path, text) == [
        "config.yaml:4: upstreams[0].api_key: KEY is not set, or empty",
        "config.yaml:5: upstreams[0].idle_timeout: expected a duration such as 500ms, 30s, 5m or"
        " 1h, got '${WAIT:-30}'",
    ]


def test_a_variable_without_a_value_may_mean_nothing(tmp_path: Path) -> None:
    """An empty default stands for nothing where nothing is allowed."""
    config = loaded(tmp_path, f"{UPSTREAM}    api_key: ${{KEY:-}}\n")

    assert config.upstreams[0].api_key is None


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("auth: {keys: text}", "config.yaml:4: auth.keys: expected a list, got a single value"),
        ("auth: text", "config.yaml:4: auth: expected a mapping, got a single value"),
    ],
)
def test_the_environment_hides_no_mistake_of_the_file(
    tmp_path: Path, text: str, problem: str
) -> None:
    """A variable is not laid over something that is wrong."""
    environ = {"GATEWAY_API_KEY": KEY, "GATEWAY_UPSTREAM_URL": "http://b/v1"}

    assert problems(tmp_path, f"{UPSTREAM}{text}", environ) == [problem]
    assert problems(tmp_path, "upstreams: text", environ) == [
        "config.yaml:1: upstreams: expected a list, got a single value"
    ]
    assert problems(tmp_path, "upstreams: [text]", environ) == [
        "config.yaml:1: upstreams[0]: expected a mapping, got a single value"
    ]
