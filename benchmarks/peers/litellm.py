"""LiteLLM's proxy (Python), as its page on production advises, with a key, limits, a cache and metrics."""

from pathlib import Path

from benchmarks.cases import KEY
from benchmarks.peers.peer import Peer, from_pypi
from benchmarks.sizes import environment
from benchmarks.targets import Target


def _target(home: Path) -> Target:
    def prepare(folder: Path, port: int, upstream: int) -> list[str]:
        config = folder / "config.yaml"
        config.write_text(
            f"""
            model_list:
              - model_name: gpt-4o-mini
                litellm_params:
                  model: openai/gpt-4o-mini
                  api_base: http://127.0.0.1:{upstream}/v1
                  api_key: sk-upstream-0123456789abcdef
                  rpm: 1000000000
                  tpm: 1000000000000
            litellm_settings:
              cache: true
              cache_params: {{type: local}}
              callbacks: [prometheus]
              request_timeout: 600
              set_verbose: false
              json_logs: true
            router_settings: {{optional_pre_call_checks: [enforce_model_rate_limits]}}
            general_settings: {{master_key: {KEY}}}
            """
        )
        environ = [
            "LITELLM_MODE=PRODUCTION",
            "LITELLM_LOG=ERROR",
            "LITELLM_LOCAL_MODEL_COST_MAP=True",
        ]
        argv = [f"{home}/bin/litellm", "--config", str(config), "--host", "127.0.0.1"]
        return ["env", *environ, *argv, "--port", str(port), "--num_workers", "1"]

    return Target(
        name="LiteLLM",
        prepare=prepare,
        peer=True,
        installed=lambda: environment(home, "litellm"),
        slower=10,
        caches=True,
        note="one master key (keys of users need a database), a request limit and a token limit on "
        "the model, its cache in memory, metrics; no strict check of bodies",
    )


LITELLM = Peer(
    name="litellm", install=from_pypi("litellm[proxy]", "prometheus-client"), target=_target
)
