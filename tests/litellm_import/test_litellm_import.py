"""A whole configuration of LiteLLM's becomes one of ours; written after its documentation, in our words."""

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from gateway.config_tree import ConfigError
from gateway.litellm_import import convert
from tests.support.litellm import MODEL, imported, usable
from tests.support.litellm_files import FILES

WHOLE = """\
model_list:
  - model_name: gpt-4o
    litellm_params:
      model: azure/chat-eu
      api_base: https://eu.example.openai.azure.com/
      api_key: os.environ/AZURE_KEY_EU
      api_version: "2024-10-21"
      rpm: 60
  - model_name: gpt-4o
    litellm_params:
      model: azure/chat-us
      api_base: https://us.example.openai.azure.com/
      api_key: os.environ/AZURE_KEY_US
      api_version: "2024-10-21"
      rpm: 600
  - model_name: llama
    litellm_params: {model: ollama_chat/llama3.2, api_base: "http://localhost:11434"}
  - model_name: titan
    litellm_params: {model: bedrock/amazon.titan-text, aws_region_name: eu-west-1}

router_settings:
  num_retries: 2
  timeout: 30
  fallbacks: [{llama: [gpt-4o]}]
  model_group_alias: {gpt-4: gpt-4o}
  redis_host: redis
  redis_port: 6379

litellm_settings:
  cache: true
  cache_params: {type: local, ttl: 600}
  drop_params: true

general_settings:
  master_key: sk-4f0c6d1e5b7a9283
"""

OURS = """\
# Made from litellm.yaml, a configuration of LiteLLM's proxy, by `gateway import-litellm`.
# Set the variables that it names, then `gateway check` it. docs/migration.md says what works otherwise.
#
# line 19: model_list[3].litellm_params.model: not carried over: as far as is known, what serves it does not speak \
OpenAI's API; for a server that does, write `openai/` and `api_base`
# line 30: litellm_settings.cache: differs: for calls that set temperature 0 or a seed, and for one user alone; \
`when: always` and `scope: shared` keep and share every reply, as LiteLLM does
# line 32: litellm_settings.drop_params: not carried over: bodies go up as the client sent them: what an upstream \
refuses, the client must not send
# line 35: general_settings.master_key: stands in the clear and was not copied: set LITELLM_MASTER_KEY to it
# line 35: general_settings.master_key: differs: a key like others, of the user `master`; keys have 16 characters \
or more

store:
  url: redis://redis:6379
upstreams:
- name: azure-chat-eu
  kind: azure
  base_url: https://eu.example.openai.azure.com
  api_version: '2024-10-21'
  api_key: ${AZURE_KEY_EU}
  first_byte_timeout: 30s
  retries: 2
  models: []
- name: azure-chat-us
  kind: azure
  base_url: https://us.example.openai.azure.com
  api_version: '2024-10-21'
  api_key: ${AZURE_KEY_US}
  first_byte_timeout: 30s
  retries: 2
  models: []
- name: ollama
  base_url: http://localhost:11434/v1
  first_byte_timeout: 30s
  retries: 2
  models: []
models:
  gpt-4o:
    targets:
    - upstream: azure-chat-eu
      model: chat-eu
      weight: 60
    - upstream: azure-chat-us
      model: chat-us
      weight: 600
  llama:
    targets:
    - upstream: ollama
      model: llama3.2
    fallbacks:
    - gpt-4o
  gpt-4:
    targets:
    - upstream: azure-chat-eu
      model: chat-eu
      weight: 60
    - upstream: azure-chat-us
      model: chat-us
      weight: 600
auth:
  keys:
  - user: master
    key: ${LITELLM_MASTER_KEY}
limits:
- per: upstream
  match:
    upstream: azure-chat-eu
  requests: 60/min
- per: upstream
  match:
    upstream: azure-chat-us
  requests: 600/min
cache:
  scope: user
  when: deterministic
  ttl: 600s\
"""


def test_a_whole_configuration(tmp_path: Path) -> None:
    """What is written, the comments that tell of the rest, and a gateway that takes it."""
    source = tmp_path / "litellm.yaml"
    source.write_text(WHOLE)

    found = convert(source)

    assert found.text == OURS
    assert [f"# {str(note).removeprefix(f'{source}:')}" for note in found.notes] == [
        line.replace("# line ", "# ") for line in OURS.splitlines()[3:8]
    ]
    assert usable(tmp_path, found.text).models["gpt-4"].targets[1].weight == 600


def test_no_secret_is_written(tmp_path: Path) -> None:
    """Of secrets in the clear not one is in the text or the notes, wherever LiteLLM has them."""
    source = tmp_path / "litellm.yaml"
    source.write_text(
        """\
model_list:
  - model_name: a
    litellm_params:
      {model: gpt-4o, api_key: hush-1, extra_headers: {X-Auth-Token: hush-2}, azure_ad_token: hush-3}
  - model_name: b
    litellm_params: {model: openai/x, api_base: "http://me:hush-4@host/v1", api_key: hush-5}
  - model_name: c
    litellm_params: {model: groq/x, litellm_credential_name: ours, aws_secret_access_key: hush-6}
credential_list:
  - {credential_name: ours, credential_values: {api_key: hush-7}}
litellm_settings: {cache: true, cache_params: {host: h, password: hush-8}}
router_settings: {redis_url: "redis://:hush-9@h"}
general_settings: {master_key: hush-0, database_url: "postgresql://u:hush-10@h/db"}
environment_variables: {SLACK_WEBHOOK_URL: hush-11}
"""
    )

    found = convert(source)

    usable(tmp_path, found.text)
    assert "hush" not in found.text + "".join(map(str, found.notes))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("model_list: [", ":1: not YAML: "),
        ("- a", ":1: expected a mapping of sections"),
        ("a: &a [*a]", ": an anchor stands within itself"),
        ("a: !!python/object/apply:os.system [x]", ": tags (words that begin with !) are not"),
        ("a: 1\na: 2", ":2: a: stands here twice, first on line 1"),
        ("", ": no model can be carried over"),
        ("model_list: []", ": no model can be carried over"),
        ("model_list: 7", ":1: model_list[0]: not carried over: expected a mapping"),
        ("model_list: [{model_name: a}]", ": it needs `model_name` and `litellm_params.model`"),
        ("\x00", ": not YAML: it holds a character that cannot be printed"),
        ("[" * 20_000, ""),
    ],
)
def test_what_cannot_be_read_is_told(tmp_path: Path, text: str, problem: str) -> None:
    """Nothing is made of a file that is no YAML, is hostile, or has no model for us; why stands with its line."""
    source = tmp_path / "litellm.yaml"
    source.write_text(text)

    with pytest.raises(ConfigError) as raised:
        convert(source)

    assert problem in str(raised.value)


def test_yaml_of_its_own_kind(tmp_path: Path) -> None:
    """Anchors, merged mappings and YAML 1.1's booleans, which LiteLLM's files have, are read as there."""
    sections, notes = imported(
        tmp_path,
        """\
common: &common {api_base: "http://vllm.internal:8000/v1", api_key: none}
model_list:
  - model_name: a
    litellm_params: {<<: *common, model: hosted_vllm/qwen}
  - model_name: b
    litellm_params: {<<: [*common], model: hosted_vllm/llama, api_base: "http://other.internal/v1"}
litellm_settings: {json_logs: yes}
""",
    )

    assert sections["upstreams"] == [
        {"name": "vllm", "base_url": "http://vllm.internal:8000/v1", "models": []},
        {"name": "vllm-2", "base_url": "http://other.internal/v1", "models": []},
    ]
    assert sections["logging"] == {"format": "json"}
    assert notes == ["1: common: not carried over: there is nothing like it here"]


def test_dollars_stay_dollars(tmp_path: Path) -> None:
    """A text of LiteLLM's that looks like a reference of ours is none."""
    sections, _ = imported(
        tmp_path,
        "model_list: [{model_name: a$b, litellm_params: {model: 'openai/${HOME}'}}]\n"
        "router_settings: {model_group_alias: {c: a$b}, fallbacks: [{c: [a$b]}]}",
    )

    target = {"upstream": "openai", "model": "$${HOME}"}
    assert sections["models"] == {
        "a$b": {"targets": [target]},
        "c": {"targets": [target], "fallbacks": ["a$$b"]},
    }


def test_comments_stay_comments(tmp_path: Path) -> None:
    """No name in the file breaks out of a comment or steers a terminal."""
    source = tmp_path / "litellm.yaml"
    source.write_text(MODEL + 'router_settings: {"x\\nserver: {listen: 9}\\e[31m": 1}')

    text = convert(source).text

    assert usable(tmp_path, text).server.listen.is_loopback
    assert "\x1b" not in text


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(FILES)
def test_what_is_written_passes_the_check(tmp_path: Path, config: dict[str, object]) -> None:
    """Whatever stands in LiteLLM's file, the gateway takes what is made of it, or nothing is made and that is told."""
    source = tmp_path / "litellm.yaml"
    source.write_text(json.dumps(config))
    try:
        found = convert(source)
    except ConfigError as error:
        assert "no model can be carried over" in str(error)
    else:
        usable(tmp_path, found.text)
