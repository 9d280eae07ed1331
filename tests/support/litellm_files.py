"""LiteLLM's configurations made up: its keys, with values that fit and values that do not."""

from hypothesis import strategies as st


def one_of(words: str) -> st.SearchStrategy[str]:
    """Return one of some words."""
    return st.sampled_from(words.split())


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-5, 10**13)
    | st.floats(allow_nan=False)
    | st.sampled_from(["", "os.environ/1 x", "\U0001f600"])
    | one_of("a * gpt-4o openai/* os.environ/X sk-123 [x a? $ ${ redis 30d weight on")
    | one_of("http://h/v1 https://u:p@h http://localhost:4000")
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(one_of("a b * gpt-4o model Authorization"), inner, max_size=3)
    ),
    max_leaves=5,
)
NAMES = one_of("a b gpt-4o * a* openai/* [x $c")
PARAMETERS = st.dictionaries(
    one_of(
        "api_base api_key api_version rpm tpm weight order timeout max_retries num_retries cooldown_time organization"
        " extra_headers max_parallel_requests input_cost_per_token custom_llm_provider"
    ),
    VALUES,
    max_size=5,
)
MODELS = one_of("gpt-4o openai/gpt-4o openai/* azure/x ollama/a* groq/a * [x a? bedrock/x groq/$x")
DEPLOYMENTS = st.fixed_dictionaries(
    {
        "model_name": NAMES | VALUES,
        "litellm_params": st.tuples(PARAMETERS, MODELS).map(lambda p: {**p[0], "model": p[1]})
        | VALUES,
    },
    optional={"model_info": VALUES},
)
ROUTER = st.fixed_dictionaries(
    {},
    optional={
        "fallbacks": st.lists(st.dictionaries(NAMES, st.lists(NAMES, max_size=3)), max_size=4)
        | VALUES,
        "model_group_alias": st.dictionaries(NAMES, NAMES) | VALUES,
    },
) | st.dictionaries(
    one_of(
        "num_retries timeout allowed_fails cooldown_time disable_cooldowns redis_host redis_port redis_password"
        " redis_url redis_db default_fallbacks routing_strategy fallbacks model_group_alias"
    ),
    VALUES,
)
SETTINGS = st.dictionaries(
    one_of(
        "cache cache_params fallbacks default_fallbacks max_budget budget_duration callbacks json_logs"
    ),
    VALUES,
)
GENERAL = st.dictionaries(
    one_of(
        "master_key user_header_name max_request_size_mb global_max_parallel_requests database_url"
    ),
    VALUES,
)
FILES = st.fixed_dictionaries(
    {"model_list": st.lists(DEPLOYMENTS, min_size=1, max_size=5)},
    optional={
        "router_settings": ROUTER | VALUES,
        "litellm_settings": SETTINGS | VALUES,
        "general_settings": GENERAL | VALUES,
        "credential_list": VALUES,
        "environment_variables": VALUES,
    },
)
