"""The loader: YAML read strictly, files found and remembered, secrets kept out of every message."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.config import Config
from gateway.config_loader import MAX_REPEATED, effective, load
from gateway.config_tree import ConfigError
from tests.support.configs import UPSTREAM, loaded, problems, written

KEY = "a-key-long-enough"
OTHER_KEY = "another-key-long-enough"
DIGEST = "36bb65f925f1f271ffa430483e31055fb15ebd5ace22a1197d0af423ccb9f6cf"


def test_a_file_that_is_missing_is_named(tmp_path: Path) -> None:
    """A named file must be there."""
    with pytest.raises(ConfigError) as raised:
        load(tmp_path / "nowhere.yaml", {})

    assert (
        str(raised.value) == f"{tmp_path}/nowhere.yaml: cannot read it: No such file or directory"
    )


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    """What cannot be read is told in the system's words."""
    with pytest.raises(ConfigError, match="cannot read it: Is a directory"):
        load(tmp_path, {})


@pytest.mark.parametrize("text", ["", "# nothing but a comment\n", "---\n", "null"])
def test_an_empty_file_says_nothing(tmp_path: Path, text: str) -> None:
    """With nothing in the file the environment is all."""
    environ = {"OPENAI_API_KEY": "sk-1"}

    assert loaded(tmp_path, text, environ) == load(None, environ).config


def test_a_byte_order_mark_is_no_key(tmp_path: Path) -> None:
    """Some editors begin a file with one."""
    assert loaded(tmp_path, f"\ufeff{UPSTREAM}") == loaded(tmp_path, UPSTREAM)


BROKEN = {
    "a list": ("- a", ["config.yaml:1: expected a mapping of sections"]),
    "a word": ("hello", ["config.yaml:1: expected a mapping of sections"]),
    "two documents": (
        "server: {}\n---\nadmin: {}",
        ["config.yaml:2: not YAML: but found another document"],
    ),
    "a tab": (
        "server:\n\tlisten: x",
        ["config.yaml:2: not YAML: found character … that cannot start any token"],
    ),
    "an open bracket": (
        "server: {",
        ["config.yaml:1: not YAML: expected the node content, but found '<stream end>'"],
    ),
    "a reference without quotes": (
        "upstreams: [{name: u, api_key: ${KEY}}]",
        [
            "config.yaml:1: not YAML: expected ',' or '}', but got '{';"
            " within { } a ${NAME} stands in quotes"
        ],
    ),
    "a control character": (
        "server: \x07",
        ["config.yaml: not YAML: it holds a character that cannot be printed"],
    ),
    "a tag": (
        f"{UPSTREAM}server: !secret {{}}\nadmin: !!python/object:os.system {{}}",
        [
            "config.yaml:4: server: tags (words that begin with !) are not understood",
            "config.yaml:5: admin: tags (words that begin with !) are not understood",
        ],
    ),
    "a section twice": (
        f"{UPSTREAM}server: {{}}\nadmin: {{}}\nserver: {{}}",
        ["config.yaml:6: server: stands here twice, first on line 4"],
    ),
    "a key twice, deep down": (
        "upstreams:\n  - name: a\n    base_url: http://a/v1\n    name: b",
        ["config.yaml:4: upstreams[0].name: stands here twice, first on line 2"],
    ),
    "a key that is no word": (
        f"{UPSTREAM}models: {{[a]: {{}}}}",
        ["config.yaml:4: models: a key must be a single word"],
    ),
    "a merge": (
        f"{UPSTREAM}server: &s {{}}\nadmin: {{<<: *s}}",
        ['config.yaml:5: admin["<<"]: unknown key'],
    ),
    "an anchor within itself": (
        f"{UPSTREAM}models: &m {{a: *m}}",
        ["config.yaml:4: models.a: an anchor stands within itself"],
    ),
    "an anchor that is not there": (
        "upstreams:\n  - name: a\n    api_key: *hunter2\n",
        ["config.yaml:3: not YAML: found undefined alias …"],
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_yaml_is_read_strictly(tmp_path: Path, case: str) -> None:
    """What is no plain YAML document of mappings, lists and texts is refused, with its line."""
    text, expected = BROKEN[case]

    assert problems(tmp_path, text) == expected


def test_other_encodings_are_refused(tmp_path: Path) -> None:
    """A file is UTF-8."""
    path = tmp_path / "config.yaml"
    path.write_bytes(b"server: \xff")

    with pytest.raises(ConfigError, match="it is not text in UTF-8"):
        load(path, {})


def test_anchors_may_repeat_values(tmp_path: Path) -> None:
    """A list can be written once and used twice."""
    config = loaded(
        tmp_path,
        "upstreams:\n"
        "  - {name: a, base_url: 'http://a/v1', models: &globs [a, b]}\n"
        "  - {name: b, base_url: 'http://b/v1', models: *globs}\n",
    )

    assert [upstream.models for upstream in config.upstreams] == [("a", "b"), ("a", "b")]


def test_anchors_do_not_explode(tmp_path: Path) -> None:
    """A few lines that stand for a billion values are refused, and soon."""
    lines = ["server: {allowed_hosts: &a0 [x]}", "admin:"]
    lines += [f"  k{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]

    found = problems(tmp_path, "\n".join(lines))

    assert f"config.yaml: anchors repeat more than {MAX_REPEATED} values" in found


def test_depth_is_bounded(tmp_path: Path) -> None:
    """A file nested ten thousand deep is refused, not crashed on."""
    assert problems(tmp_path, "[" * 10_000) == ["config.yaml: it is nested too deeply"]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.text(st.sampled_from("server:listenupstreams \n\t-{}[],&*!|>'\"#?%@`$~0:"), max_size=60))
def test_whatever_stands_in_a_file(tmp_path: Path, text: str) -> None:
    """Any text makes a configuration or problems, nothing else."""
    path = written(tmp_path, text)

    try:
        assert isinstance(load(path, {"OPENAI_API_KEY": "sk-1"}).config, Config)
    except ConfigError as error:
        assert error.problems


SECRET = "correct-horse-battery"
MISPLACED = [
    f"upstreams: [{{name: u, base_url: 'http://{SECRET}@a/v1'}}]",
    f"upstreams: [{{name: u, base_url: 'http://a/v1?key={SECRET}'}}]",
    f"upstreams: [{{name: u, base_url: '{SECRET}'}}]",
    f"upstreams: [{{name: u, base_url: 'http://a/v1', api_key: ' {SECRET}'}}]",
    f"upstreams: [{{name: u, base_url: 'http://a/v1', headers: {{a: '{SECRET} '}}}}]",
    f"upstreams: [{{name: u, base_url: 'http://a/v1', proxy: '{SECRET}'}}]",
    f"upstreams: [{{name: u, base_url: 'http://a/v1', proxy: 'http://a:{SECRET}@p/x'}}]",
    f"upstreams: [{{name: u, base_url: 'http://a/v1', api_key: *{SECRET}}}]",
    f"auth: {{keys: [{{user: a, key: '{SECRET}\\n'}}]}}",
    f"auth: {{keys: [{{user: a, sha256: {SECRET}}}]}}",
    f"auth: {{keys: [{SECRET}]}}",
    f"auth: {{keys: {SECRET}}}",
    f'auth: {{keys: [{{user: a, key: "{SECRET}]}}',
    "logging: {level: '${SECRET}'}",
    "server: {max_body: '${SECRET}'}",
    "upstreams: [{name: '${SECRET} !', base_url: 'http://a/v1'}]",
    "upstreams: [{name: u, base_url: '${SECRET}'}]",
    "server: {listen: '${file:secret}'}",
]


@pytest.mark.parametrize("text", MISPLACED)
def test_no_message_holds_a_secret(tmp_path: Path, text: str) -> None:
    """A secret in the wrong form or place is complained of, and not repeated."""
    (tmp_path / "secret").write_text(SECRET, encoding="utf-8")

    assert SECRET not in "\n".join(problems(tmp_path, text, {"SECRET": SECRET}))


def test_files_of_keys_are_read_with_the_rest(tmp_path: Path) -> None:
    """Keys of further files are keys like any others, in the files' order."""
    (tmp_path / "one.yaml").write_text(f"- {{user: b, key: {OTHER_KEY}}}\n", encoding="utf-8")
    (tmp_path / "none.yaml").touch()
    text = f"{UPSTREAM}auth: {{keys: [{{user: a, key: {KEY}}}], keys_files: [none.yaml, one.yaml]}}"

    auth = loaded(tmp_path, text).auth

    assert [key.user for key in auth.keys] == ["a", "b"]


def test_files_of_keys_are_judged_with_the_rest(tmp_path: Path) -> None:
    """A mistake in such a file has its own file and line; a key stands in one file only."""
    (tmp_path / "keys.yaml").write_text(
        f"- {{user: b, key: {KEY}}}\n- {{user: c, keys: x}}\n", encoding="utf-8"
    )
    (tmp_path / "more.yaml").write_text(f"- {{user: b, key: {KEY}}}\n", encoding="utf-8")
    (tmp_path / "wrong.yaml").write_text("keys: []\n", encoding="utf-8")
    text = (
        f"{UPSTREAM}auth:\n  keys: [{{user: a, key: {KEY}}}]\n"
        "  keys_files: [keys.yaml, more.yaml, wrong.yaml, nowhere.yaml]\n"
    )

    assert problems(tmp_path, text) == [
        "keys.yaml:2: [1].keys: unknown key; did you mean key?",
        "more.yaml:1: [0]: the same key as auth.keys[0] of config.yaml",
        "nowhere.yaml: cannot read it: No such file or directory",
        "wrong.yaml:1: expected a list, got a mapping",
    ]


def test_every_file_that_was_read_is_known(tmp_path: Path) -> None:
    """What must be watched for a reload: the file, its lists of keys, its secrets."""
    (tmp_path / "secret").write_text(KEY, encoding="utf-8")
    (tmp_path / "keys.yaml").write_text("- {user: a, key: '${file:secret}'}\n", encoding="utf-8")
    path = written(tmp_path, f"{UPSTREAM}auth: {{keys_files: [keys.yaml]}}")

    assert load(path, {}).files == (path, tmp_path / "keys.yaml", tmp_path / "secret")
    assert load(None, {"OPENAI_API_KEY": "sk-1"}).files == ()


def test_equal_files_make_equal_configurations(tmp_path: Path) -> None:
    """A reload that changes nothing can be told from one that does."""
    text = f"{UPSTREAM}    api_key: ${{KEY}}\nauth: {{keys: [{{user: a, sha256: {DIGEST}}}]}}\n"

    first, second = (loaded(tmp_path, text, {"KEY": "k"}) for _ in range(2))

    assert first == second
    assert first != loaded(tmp_path, text, {"KEY": "l"})


EFFECTIVE = """\
server:
  listen: 127.0.0.1:4000
  max_body: 32MiB
  max_upload: 512MiB
  header_timeout: 10s
  body_timeout: 60s
  keepalive_timeout: 75s
  max_in_flight: 10000
  shutdown_grace: 25s
  allowed_hosts: []
  cors_origins: []
  stream_keepalive: null
admin:
  listen: 127.0.0.1:9464
  token: null
store:
  url: memory://
  prefix: 'gateway:'
  timeout: 50ms
  on_failure: allow
  replicas: 1
upstreams:
- name: openai
  kind: openai
  base_url: https://api.openai.com/v1
  api_version: null
  api_key: '********'
  auth: key
  headers:
    openai-organization: '********'
  models: null
  checks: auto
  connect_timeout: 5s
  first_byte_timeout: 600s
  idle_timeout: 300s
  max_connections: 1000
  retries: 1
  retry_on:
  - connect
  - 502
  - 503
  - 504
  cooldown:
    after: 5
    for: 15s
  proxy: http://********@proxy:3128
  ca_file: null
models:
  'off':
    targets:
    - upstream: openai
      model: null
      weight: 2.5
    fallbacks: []
    context_window: null
    max_output_tokens: null
    tokenizer: null
    price: null
    context: null
auth:
  mode: keys
  keys:
  - user: '007'
    group: null
    key: '********'
    sha256: null
    models: null
    endpoints: null
    expires: '2099-01-01'
  keys_files: []
  endpoints: null
  end_user_header: null
limits: []
checks:
  context: reject
cache: null
usage:
  include_usage: client
  unpriced: allow
  log:
    path: null
    max_size: 100MiB
    keep: 10
metrics:
  max_users: 200
  max_models: 200
logging:
  level: info
  format: auto
  access: true
tracing:
  endpoint: null
recordings:
  mode: 'off'
  dir: recordings
"""


def test_what_holds_in_the_end_is_shown(tmp_path: Path) -> None:
    """Every key with its value, defaults included, the mode decided, and no secret."""
    config = loaded(
        tmp_path,
        f"""
upstreams:
  - name: openai
    base_url: https://api.openai.com/v1
    api_key: sk-real
    headers: {{OpenAI-Organization: org-real}}
    proxy: http://me:password@proxy:3128
models: {{off: {{targets: [{{upstream: openai, weight: 2.5}}]}}}}
auth: {{keys: [{{user: 007, key: {KEY}, expires: 2099-01-01}}]}}
""",
    )

    assert effective(config) == EFFECTIVE


def test_what_is_shown_can_be_loaded(tmp_path: Path) -> None:
    """The listing is a file of its own, as far as it hides nothing."""
    config = loaded(tmp_path, f"{UPSTREAM}models: {{yes: {{context: trim}}}}\n")

    again = loaded(tmp_path, effective(config))

    assert effective(again) == effective(config)
