"""Entries of LiteLLM's `model_list`: targets, limits, sizes and prices."""

from pathlib import Path

import pytest

from tests.support.litellm import imported


def test_limits_of_a_deployment(tmp_path: Path) -> None:
    """What a deployment may be asked is a rule for an upstream of its own."""
    sections, notes = imported(
        tmp_path,
        "model_list: [{model_name: m, litellm_params:"
        " {model: groq/llama, rpm: 30, tpm: 6000, max_parallel_requests: 4}}]",
    )

    assert sections["limits"] == [
        {
            "per": "upstream",
            "match": {"upstream": "groq-llama"},
            "requests": "30/min",
            "tokens": "6000/min",
            "concurrency": 4,
        }
    ]
    assert notes == []


def test_sizes_and_prices(tmp_path: Path) -> None:
    """Sizes are tokens, prices dollars for a million of them, from either place where LiteLLM has them."""
    sections, notes = imported(
        tmp_path,
        """\
model_list:
  - model_name: m
    litellm_params: {model: groq/llama, input_cost_per_token: 0.00003}
    model_info:
      id: one
      mode: chat
      supports_vision: true
      max_input_tokens: 128000
      max_output_tokens: 4096
      output_cost_per_token: 6.0e-07
      cache_read_input_token_cost: 1.5e-05
      base_model: llama
""",
    )

    assert sections["models"] == {
        "m": {
            "targets": [{"upstream": "groq", "model": "llama"}],
            "context_window": 128000,
            "max_output_tokens": 4096,
            "price": {"input": "30", "cached_input": "15", "output": "0.6"},
        }
    }
    assert notes == [
        "12: model_list[0].model_info.base_model: not carried over:"
        " give the model a `price` and a `context_window` where its name does not tell them"
    ]


@pytest.mark.parametrize(
    ("name", "model", "models"),
    [
        ("*", "openai/*", {"*": {"targets": [{"upstream": "openai"}]}}),
        ("*", "*", {"*": {"targets": [{"upstream": "openai"}]}}),
        ("gpt-*", "openai/gpt-*", {"gpt-*": {"targets": [{"upstream": "openai"}]}}),
        (
            "gpt-*",
            "openai/gpt-4o",
            {"gpt-*": {"targets": [{"upstream": "openai", "model": "gpt-4o"}]}},
        ),
        ("v[1]?", "openai/v", {"v[[]1][?]": {"targets": [{"upstream": "openai", "model": "v"}]}}),
    ],
)
def test_wildcards(tmp_path: Path, name: str, model: str, models: dict[str, object]) -> None:
    """A pattern becomes a glob where the name stays as the client says it; no other sign means anything."""
    sections, notes = imported(
        tmp_path, f"model_list: [{{model_name: '{name}', litellm_params: {{model: '{model}'}}}}]"
    )

    assert sections["models"] == models
    assert notes == []


def test_a_prefix_stays_off(tmp_path: Path) -> None:
    """Where a name would have to be shortened the upstream serves what it lists, under its own names."""
    sections, notes = imported(
        tmp_path, "model_list: [{model_name: groq/*, litellm_params: {model: groq/*}}]"
    )

    assert sections == {
        "upstreams": [
            {
                "name": "groq",
                "base_url": "https://api.groq.com/openai/v1",
                "api_key": "${GROQ_API_KEY}",
            }
        ]
    }
    assert notes == [
        "1: model_list[0].litellm_params.model: differs: no prefix is taken off a name, so clients say"
        " what groq itself lists, not groq/*"
    ]


def test_azure_lists_no_deployments(tmp_path: Path) -> None:
    """Azure's own list is of no use, so a pattern for it has to be written out."""
    sections, notes = imported(
        tmp_path,
        "model_list:\n"
        "  - {model_name: azure/*, litellm_params: {model: azure/*}}\n"
        "  - {model_name: a, litellm_params: {model: azure/a}}\n",
    )

    assert sections["models"] == {"a": {"targets": [{"upstream": "azure"}]}}
    assert notes == [
        "2: model_list[0].litellm_params.model: not carried over: list the deployments of azure one by one"
    ]


def test_credentials_by_name(tmp_path: Path) -> None:
    """A deployment takes from a named credential what it does not say itself; an unknown one is told."""
    sections, notes = imported(
        tmp_path,
        """\
model_list:
  - {model_name: a, litellm_params: {model: azure/a, api_version: v1, litellm_credential_name: eu}}
  - {model_name: b, litellm_params: {model: ollama/b, litellm_credential_name: us}}
credential_list:
  - credential_name: eu
    credential_values: {api_base: "https://eu.example", api_key: os.environ/EU, api_version: v0}
""",
    )

    upstreams = sections["upstreams"]
    assert isinstance(upstreams, list)
    assert upstreams[0] == {
        "name": "azure",
        "kind": "azure",
        "base_url": "https://eu.example",
        "api_version": "v1",
        "api_key": "${EU}",
        "models": [],
    }
    assert notes == [
        "3: model_list[1].litellm_params.litellm_credential_name: not carried over: there is no such credential"
    ]


def test_parameters_of_the_body_are_told(tmp_path: Path) -> None:
    """What LiteLLM would write into bodies is told: nothing is written into them here."""
    _, notes = imported(
        tmp_path,
        "model_list: [{model_name: a, litellm_params: {model: gpt-4o, temperature: 0.2, stream_timeout: 5}}]",
    )

    assert notes == [
        "1: model_list[0].litellm_params.temperature: not carried over: bodies go up as the client sent them",
        "1: model_list[0].litellm_params.stream_timeout: not carried over: `first_byte_timeout` holds for streams"
        " too, `idle_timeout` between their pieces",
    ]


def test_a_key_in_the_clear_takes_no_variable_that_means_another(tmp_path: Path) -> None:
    """Where LiteLLM reads a variable for one deployment, another's key gets a variable of its own."""
    sections, _ = imported(
        tmp_path,
        "model_list:\n"
        "  - {model_name: a, litellm_params: {model: groq/a, api_key: hush}}\n"
        "  - {model_name: b, litellm_params: {model: groq/b}}\n",
    )

    upstreams = sections["upstreams"]
    assert isinstance(upstreams, list)
    assert [upstream["api_key"] for upstream in upstreams] == [
        "${GROQ_API_KEY_2}",
        "${GROQ_API_KEY}",
    ]
