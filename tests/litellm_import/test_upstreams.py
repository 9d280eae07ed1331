"""What LiteLLM says of a deployment becomes an upstream: address, key, headers, patience."""

from pathlib import Path

import pytest

from tests.support.litellm import imported


def upstreams(folder: Path, *params: str, settings: str = "") -> tuple[list[object], list[str]]:
    """Return the upstreams for deployments with such parameters, and the notes."""
    deployments = "".join(
        f"  - {{model_name: m{index}, litellm_params: {{{text}}}}}\n"
        for index, text in enumerate(params)
    )
    sections, notes = imported(folder, f"model_list:\n{deployments}{settings}")
    found = sections["upstreams"]
    assert isinstance(found, list)
    for upstream in found:
        assert upstream.pop("models") == []
    return found, notes


@pytest.mark.parametrize(
    ("params", "upstream"),
    [
        (
            "model: openai/gpt-4o",
            {
                "name": "openai",
                "base_url": "https://api.openai.com/v1",
                "api_key": "${OPENAI_API_KEY}",
            },
        ),
        (
            "model: gpt-4o, api_key: os.environ/KEY, organization: org-1, extra_headers: {X-Team: red}",
            {
                "name": "openai",
                "base_url": "https://api.openai.com/v1",
                "api_key": "${KEY}",
                "headers": {"OpenAI-Organization": "org-1", "X-Team": "red"},
            },
        ),
        (
            "model: openai/qwen, api_base: 'http://vllm.internal:8000/v1/', api_key: none",
            {"name": "vllm.internal", "base_url": "http://vllm.internal:8000/v1"},
        ),
        (
            "model: my-model, api_base: 'http://127.0.0.1:8000/v1', api_key: EMPTY",
            {"name": "local", "base_url": "http://127.0.0.1:8000/v1"},
        ),
        (
            "model: hosted_vllm/qwen",
            {"name": "vllm", "base_url": "${HOSTED_VLLM_API_BASE}"},
        ),
        (
            "model: ollama/llama3.2, api_base: os.environ/OLLAMA",
            {"name": "ollama", "base_url": "${OLLAMA}/v1"},
        ),
        (
            "model: ollama/llama3.2",
            {"name": "ollama", "base_url": "http://127.0.0.1:11434/v1"},
        ),
        (
            "model: azure/chat, api_base: 'https://a.openai.azure.com/openai/deployments/chat?api-version=1',"
            " api_version: 2024-06-01",
            {
                "name": "azure",
                "kind": "azure",
                "base_url": "https://a.openai.azure.com",
                "api_version": "2024-06-01",
                "api_key": "${AZURE_API_KEY}",
            },
        ),
        (
            "model: azure/chat",
            {
                "name": "azure",
                "kind": "azure",
                "base_url": "${AZURE_API_BASE}",
                "api_version": "${AZURE_API_VERSION:-2024-10-21}",
                "api_key": "${AZURE_API_KEY}",
            },
        ),
        (
            "model: groq/llama, timeout: 2.5, max_retries: 0, cooldown_time: 0",
            {
                "name": "groq",
                "base_url": "https://api.groq.com/openai/v1",
                "api_key": "${GROQ_API_KEY}",
                "first_byte_timeout": "2500ms",
                "retries": 0,
                "cooldown": {"for": "1ms"},
            },
        ),
    ],
)
def test_a_deployment_s_upstream(tmp_path: Path, params: str, upstream: dict[str, object]) -> None:
    """Where it is, with which key and how patiently: all of it as ours, and nothing else to tell."""
    assert upstreams(tmp_path, params) == ([upstream], [])


def test_deployments_that_say_the_same_share_one(tmp_path: Path) -> None:
    """One upstream for one address and key; one with limits of its own is nobody else's."""
    found, _ = upstreams(
        tmp_path,
        "model: groq/a",
        "model: groq/b",
        "model: groq/c, api_key: os.environ/OTHER",
        "model: groq/d, rpm: 10",
        "model: groq/d, rpm: 10",
        "model: groq/e",
    )

    names = [upstream["name"] for upstream in found if isinstance(upstream, dict)]
    assert names == ["groq", "groq-2", "groq-d", "groq-d-2"]


def test_settings_hold_for_every_deployment(tmp_path: Path) -> None:
    """The router's settings go before the module's, a deployment's own before both."""
    found, _ = upstreams(
        tmp_path,
        "model: ollama/a",
        "model: ollama/b, timeout: 5, num_retries: 1",
        settings="router_settings: {timeout: 30, allowed_fails: 3, cooldown_time: 60}\n"
        "litellm_settings: {request_timeout: 10, num_retries: 4}\n",
    )

    base = {"base_url": "http://127.0.0.1:11434/v1", "cooldown": {"after": 4, "for": "60s"}}
    assert found == [
        {"name": "ollama", **base, "first_byte_timeout": "30s", "retries": 4},
        {"name": "ollama-2", **base, "first_byte_timeout": "5s", "retries": 1},
    ]


@pytest.mark.parametrize(
    ("params", "note"),
    [
        (
            "model: openai/a, api_base: 'http://0.0.0.0:4000/v1'",
            "api_base: not carried over, nor is the deployment: this gateway itself listens there;"
            " give that server another port",
        ),
        (
            "model: openai/a, api_base: 'https://me:pw@host/v1'",
            "api_base: not carried over, nor is the deployment: a user or password in the URL is not allowed;"
            " give `api_key`",
        ),
        (
            "model: openai/a, api_base: somewhere",
            "api_base: not carried over, nor is the deployment: expected a URL such as https://api.openai.com/v1",
        ),
        (
            "model: azure/a, api_base: 'http://[x'",
            "api_base: not carried over, nor is the deployment: expected a URL such as https://api.openai.com/v1",
        ),
        (
            "model: openai/a, api_base: os.environ/A-B",
            "api_base: not carried over: no variable can have such a name",
        ),
    ],
)
def test_an_address_that_cannot_be(tmp_path: Path, params: str, note: str) -> None:
    """A deployment without an address that could be asked is left out, and told."""
    found, notes = upstreams(tmp_path, "model: ollama/other", params)

    assert len(found) == 1
    assert notes == [f"3: model_list[1].litellm_params.{note}"]


@pytest.mark.parametrize(
    ("params", "headers", "note"),
    [
        (
            "extra_headers: {Authorization: Bearer hush}, api_key: hush",
            {"Authorization": "${OPENAI_AUTHORIZATION}"},
            "api_key: not carried over: a header of `extra_headers` stands for it",
        ),
        (
            "api_key: os.environ/K, extra_headers: {Host: x}",
            None,
            "extra_headers.Host: not carried over: this header belongs to the connection",
        ),
        (
            "api_key: os.environ/K, extra_headers: {'a b': x}",
            None,
            'extra_headers["a b"]: not carried over: no header is called so',
        ),
    ],
)
def test_headers(tmp_path: Path, params: str, headers: dict[str, str] | None, note: str) -> None:
    """Secrets in headers become variables; what no upstream may be sent is told."""
    (upstream,), notes = upstreams(tmp_path, f"model: gpt-4o, {params}")

    assert isinstance(upstream, dict)
    assert upstream.get("headers") == headers
    assert f"2: model_list[0].litellm_params.{note}" in notes


def test_no_key_goes_where_none_was_meant(tmp_path: Path) -> None:
    """Without `api_key` the key of OpenAI goes to OpenAI alone, which is told."""
    (upstream,), notes = upstreams(tmp_path, "model: openai/a, api_base: 'http://vllm.internal/v1'")

    assert upstream == {"name": "vllm.internal", "base_url": "http://vllm.internal/v1"}
    assert notes == [
        "2: model_list[0].litellm_params.model: differs: no `api_key`, so none goes to `api_base`"
    ]
