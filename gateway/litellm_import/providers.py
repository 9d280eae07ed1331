"""Which of LiteLLM's providers speak OpenAI's API, and where: its prefixes, addresses and variables.

Addresses are those of LiteLLM's documentation; where a provider has an API of its own beside OpenAI's, OpenAI's.
"""

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """One prefix of a model's name in LiteLLM."""

    name: str
    # Where it is unless `api_base` says so; None: `base_variable` says.
    base_url: str | None = None
    # The variable that LiteLLM reads where `api_base` is missing.
    base_variable: str = ""
    # The variable of its key; empty: it needs none.
    key_variable: str = ""
    # What `api_base` leaves out.
    path: str = ""
    azure: bool = False


_OPENAI = Provider(
    name="openai", base_url="https://api.openai.com/v1", key_variable="OPENAI_API_KEY"
)
_OLLAMA = Provider(name="ollama", base_url="http://127.0.0.1:11434/v1", path="/v1")

PROVIDERS = {
    "openai": _OPENAI,
    "text-completion-openai": _OPENAI,
    "azure": Provider(
        name="azure", base_variable="AZURE_API_BASE", key_variable="AZURE_API_KEY", azure=True
    ),
    # Servers of one's own.
    "ollama": _OLLAMA,
    "ollama_chat": _OLLAMA,
    "hosted_vllm": Provider(name="vllm", base_variable="HOSTED_VLLM_API_BASE"),
    "llamafile": Provider(name="llamafile", base_url="http://127.0.0.1:8080/v1"),
    "lm_studio": Provider(name="lmstudio", base_variable="LM_STUDIO_API_BASE"),
    "xinference": Provider(name="xinference", base_variable="XINFERENCE_API_BASE"),
    "openai_like": Provider(name="openai-like", base_variable="OPENAI_LIKE_API_BASE"),
    "custom_openai": Provider(name="custom", base_variable="OPENAI_LIKE_API_BASE"),
    "litellm_proxy": Provider(
        name="litellm",
        base_variable="LITELLM_PROXY_API_BASE",
        key_variable="LITELLM_PROXY_API_KEY",
    ),
    # Services.
    "anthropic": Provider(
        name="anthropic",
        base_url="https://api.anthropic.com/v1",
        key_variable="ANTHROPIC_API_KEY",
    ),
    "cerebras": Provider(
        name="cerebras", base_url="https://api.cerebras.ai/v1", key_variable="CEREBRAS_API_KEY"
    ),
    "deepinfra": Provider(
        name="deepinfra",
        base_url="https://api.deepinfra.com/v1/openai",
        key_variable="DEEPINFRA_API_KEY",
    ),
    "deepseek": Provider(
        name="deepseek", base_url="https://api.deepseek.com/v1", key_variable="DEEPSEEK_API_KEY"
    ),
    "fireworks_ai": Provider(
        name="fireworks",
        base_url="https://api.fireworks.ai/inference/v1",
        key_variable="FIREWORKS_API_KEY",
    ),
    "gemini": Provider(
        name="gemini",
        base_url="https://generativelanguage.googleapis.com/v1beta/openai",
        key_variable="GEMINI_API_KEY",
    ),
    "groq": Provider(
        name="groq", base_url="https://api.groq.com/openai/v1", key_variable="GROQ_API_KEY"
    ),
    "mistral": Provider(
        name="mistral", base_url="https://api.mistral.ai/v1", key_variable="MISTRAL_API_KEY"
    ),
    "nvidia_nim": Provider(
        name="nvidia",
        base_url="https://integrate.api.nvidia.com/v1",
        key_variable="NVIDIA_NIM_API_KEY",
    ),
    "openrouter": Provider(
        name="openrouter",
        base_url="https://openrouter.ai/api/v1",
        key_variable="OPENROUTER_API_KEY",
    ),
    "perplexity": Provider(
        name="perplexity",
        base_url="https://api.perplexity.ai",
        key_variable="PERPLEXITYAI_API_KEY",
    ),
    "sambanova": Provider(
        name="sambanova",
        base_url="https://api.sambanova.ai/v1",
        key_variable="SAMBANOVA_API_KEY",
    ),
    "together_ai": Provider(
        name="together",
        base_url="https://api.together.xyz/v1",
        key_variable="TOGETHERAI_API_KEY",
    ),
    "xai": Provider(name="xai", base_url="https://api.x.ai/v1", key_variable="XAI_API_KEY"),
}

# Whose models LiteLLM knows without a prefix.
_BARE = (
    (
        re.compile(
            r"(gpt-|chatgpt-|o[0-9]|ft:|text-embedding-|text-moderation-|omni-|whisper-|tts-|dall-e-|davinci|babbage).*"
        ),
        "openai",
    ),
    (re.compile(r"claude-.*"), "anthropic"),
    # Whatever a client asks for.
    (re.compile(r"\*"), "openai"),
)


def provider_of(model: str, named: str | None) -> tuple[Provider | None, str]:
    """Return who serves LiteLLM's `model`, and its name there; None: nobody that is known.

    `named` is its `custom_llm_provider`, which goes before a prefix.
    """
    prefix, slash, rest = model.partition("/")
    if named is not None:
        return PROVIDERS.get(named), rest if slash and prefix == named else model
    if slash:
        return PROVIDERS.get(prefix), rest
    found = next((name for pattern, name in _BARE if pattern.fullmatch(model)), None)
    return (None if found is None else PROVIDERS[found]), model
