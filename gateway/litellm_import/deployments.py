"""LiteLLM's `model_list`: each of its deployments becomes a target at an upstream of ours.

Names that several deployments share, aliases and fallbacks are not known here.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from gateway.config_formats import parse_text
from gateway.config_tree import Items, Scalar, Table
from gateway.config_types import BadValueError
from gateway.litellm_import.providers import Provider, provider_of
from gateway.litellm_import.upstreams import Plain, Upstreams, server_name
from gateway.litellm_import.values import Section, usd

MAX_RATE = 10**12 - 1
MILLION = 1_000_000
MAX_TOKENS = 1_000_000_000
# A dollar for a token: our prices end at 999,999 for a million.
MAX_PRICE_USD = 0.999
_BODY = "bodies go up as the client sent them"
_REASONS = {
    "stream_timeout": "`first_byte_timeout` holds for streams too, `idle_timeout` between their pieces",
    "azure_ad_token": "an upstream is asked with a key; Azure's tokens expire",
    "tags": "calls are not routed by tags",
    "max_budget": "write a rule with `per: upstream` and a `budget`",
    "budget_duration": "see `max_budget`",
    "mock_response": "`gateway demo` and recordings answer without an upstream",
}
_INFO_REASONS = {
    "access_groups": "say under a key's `models` what it may use",
    "base_model": "give the model a `price` and a `context_window` where its name does not tell them",
    "supported_environments": "keep a file for each environment",
    "custom_tokenizer": "prompts are counted by the model's `tokenizer`",
}
_INFO_SILENT = ("mode", "description", "version", "created_at", "updated_at", "db_model")


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """One entry of `model_list` that is carried over."""

    # What clients say; a glob where it has an asterisk.
    name: str
    upstream: str
    # Its name there; None: as the client said.
    model: str | None
    # Those of the lowest are asked first.
    order: int
    # Its share of the calls, by each of LiteLLM's measures that it has.
    shares: Mapping[str, float]
    # What our entry of `models` says of it.
    traits: Mapping[str, Plain]
    section: Section


@dataclass(slots=True, kw_only=True)
class Deployments:
    """Reads deployments one by one."""

    upstreams: Upstreams
    # LiteLLM's named credentials.
    credentials: Mapping[str, Section]

    def read(self, entry: Section) -> Deployment | None:
        """Return what an entry of `model_list` says; None: it is not carried over, and why is noted."""
        entry_name = entry.text("model_name") or ""
        params = entry.section("litellm_params")
        model = params.text("model") or ""
        try:
            name, model = parse_text(entry_name), parse_text(model)
        except BadValueError:
            entry.complain("not carried over: it needs `model_name` and `litellm_params.model`")
            return None
        self._fill(params)
        provider, there = _provider(params, model)
        if provider is None:
            params.tell(
                "model",
                "not carried over: as far as is known, what serves it does not speak OpenAI's API;"
                " for a server that does, write `openai/` and `api_base`",
            )
            return None
        deployment = self._deployment(entry, params, name, there, provider)
        params.left(_REASONS, _BODY)
        entry.left({}, "there is nothing like it here")
        return deployment

    def _fill(self, params: Section) -> None:
        named = params.text("litellm_credential_name")
        if named is None:
            return
        if named in self.credentials:
            params.fill(self.credentials[named])
        else:
            params.tell("litellm_credential_name", "not carried over: there is no such credential")

    def _deployment(
        self, entry: Section, params: Section, name: str, there: str, provider: Provider
    ) -> Deployment | None:
        settings = self.upstreams.settings(params, provider)
        info = entry.section("model_info")
        traits = _traits(params, info)
        info.left(_INFO_REASONS, "there is nothing like it here")
        shares, rules = _measures(params, self.upstreams.defaults.concurrency)
        order = params.whole("order", 0, MILLION) or 0
        if settings is None:
            return None
        wanted = server_name(provider, str(settings["base_url"]))
        upstream = self.upstreams.name(f"{wanted}-{there}" if rules else wanted, settings, rules)
        if "*" in there and there != name:
            self._open(params, name, upstream, provider)
            return None
        return Deployment(
            name=name,
            upstream=upstream,
            model=None if "*" in there or there == name else there,
            order=order,
            shares=shares,
            traits=traits,
            section=params,
        )

    def _open(self, params: Section, name: str, upstream: str, provider: Provider) -> None:
        """Let clients use the upstream's own names where a glob would have to change them."""
        if provider.azure:
            params.tell("model", f"not carried over: list the deployments of {upstream} one by one")
            return
        self.upstreams.open.add(upstream)
        params.tell(
            "model",
            f"differs: no prefix is taken off a name, so clients say what {upstream} itself lists,"
            f" not {name}",
        )


def implied(table: Table) -> Iterator[str]:
    """Yield the variables that LiteLLM reads for deployments without a key: no other secret may take them."""
    models = table.get("model_list")
    for entry in models.items if isinstance(models, Items) else ():
        params = entry.get("litellm_params") if isinstance(entry, Table) else None
        if isinstance(params, Table) and params.get("api_key") is None:
            model = params.get("model")
            provider, _ = provider_of(model.text if isinstance(model, Scalar) else "", None)
            if provider is not None:
                yield provider.key_variable


def _provider(params: Section, model: str) -> tuple[Provider | None, str]:
    provider, there = provider_of(model, params.text("custom_llm_provider"))
    if provider is None and "/" not in model and params.has("api_base"):
        return provider_of(f"openai/{model}", None)
    return provider, there


def _measures(
    params: Section, concurrency: int | None
) -> tuple[dict[str, float], dict[str, Plain]]:
    """Return what a deployment may weigh, and what its calls may not exceed."""
    rpm = params.whole("rpm", 1, MAX_RATE)
    tpm = params.whole("tpm", 1, MAX_RATE)
    shares = {"weight": params.number("weight", 0, MAX_RATE), "rpm": rpm, "tpm": tpm}
    rules: dict[str, Plain] = {
        "requests": None if rpm is None else f"{rpm}/min",
        "tokens": None if tpm is None else f"{tpm}/min",
        "concurrency": params.whole("max_parallel_requests", 1, MILLION) or concurrency,
    }
    return (
        {key: float(share) for key, share in shares.items() if share is not None},
        {key: rule for key, rule in rules.items() if rule is not None},
    )


def _traits(params: Section, info: Section) -> dict[str, Plain]:
    """Return sizes and price, in our units."""
    info.drop("id", *_INFO_SILENT, *(key for key in info if key.startswith("supports_")))
    window = info.whole("max_input_tokens", 1, MAX_TOKENS)
    sizes = [info.whole(key, 1, MAX_TOKENS) for key in ("max_output_tokens", "max_tokens")]
    longest = next((size for size in sizes if size is not None), None)
    if window is not None and longest is not None:
        # Ours is what prompt and reply share.
        longest = min(longest, window)
    prices = {
        "input": "input_cost_per_token",
        "cached_input": "cache_read_input_token_cost",
        "output": "output_cost_per_token",
    }
    found = {ours: next(_usd((params, info), theirs), None) for ours, theirs in prices.items()}
    price: dict[str, Plain] = {ours: money for ours, money in found.items() if money is not None}
    traits: dict[str, Plain] = {
        "context_window": window,
        "max_output_tokens": longest,
        "price": price or None,
    }
    return {key: value for key, value in traits.items() if value is not None}


def _usd(sections: tuple[Section, ...], key: str) -> Iterator[str]:
    """Yield what a million tokens cost, to a millionth of a dollar."""
    for section in sections:
        number = section.number(key, 0, MAX_PRICE_USD)
        if number is not None:
            yield usd(number, MILLION)
