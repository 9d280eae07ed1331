"""Who serves a model of LiteLLM's, by its name."""

import pytest

from gateway.config_formats import parse_url
from gateway.litellm_import.providers import PROVIDERS, provider_of


@pytest.mark.parametrize(
    ("model", "named", "provider", "there"),
    [
        ("openai/gpt-4o", None, "openai", "gpt-4o"),
        ("openai/facebook/opt-125m", None, "openai", "facebook/opt-125m"),
        ("azure/chat-prod", None, "azure", "chat-prod"),
        ("hosted_vllm/Qwen/Qwen3-8B", None, "vllm", "Qwen/Qwen3-8B"),
        ("ollama_chat/llama3.2", None, "ollama", "llama3.2"),
        ("gpt-4o", None, "openai", "gpt-4o"),
        ("o3-mini", None, "openai", "o3-mini"),
        ("text-embedding-3-small", None, "openai", "text-embedding-3-small"),
        ("claude-sonnet-4", None, "anthropic", "claude-sonnet-4"),
        ("*", None, "openai", "*"),
        ("Qwen/Qwen3-8B", "hosted_vllm", "vllm", "Qwen/Qwen3-8B"),
        ("groq/llama", "groq", "groq", "llama"),
        ("bedrock/anthropic.claude", None, None, "anthropic.claude"),
        ("mixtral", None, None, "mixtral"),
        ("gpt-4o", "bedrock", None, "gpt-4o"),
    ],
)
def test_a_model_s_provider(
    model: str, named: str | None, provider: str | None, there: str
) -> None:
    """The prefix, the model's own kind of name, or `custom_llm_provider` says who serves it."""
    found, name = provider_of(model, named)

    assert (None if found is None else found.name, name) == (provider, there)


@pytest.mark.parametrize("prefix", PROVIDERS)
def test_every_provider_has_an_address(prefix: str) -> None:
    """Each is somewhere, or a variable says where; no address is one that the gateway refuses."""
    provider = PROVIDERS[prefix]

    assert provider.base_variable or provider.base_url
    if provider.base_url is not None:
        assert str(parse_url(provider.base_url)) == provider.base_url
