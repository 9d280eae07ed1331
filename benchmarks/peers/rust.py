"""vllm-router and smg (both Rust): routers for one's own model servers, installed from PyPI."""

from pathlib import Path

from benchmarks.peers.peer import Peer, from_pypi
from benchmarks.processes import free_port
from benchmarks.sizes import environment
from benchmarks.targets import Target


def _vllm_router(home: Path) -> Target:
    def prepare(_: Path, port: int, upstream: int) -> list[str]:
        argv = [f"{home}/bin/vllm-router", "--host", "127.0.0.1", "--port", str(port)]
        argv += ["--worker-urls", f"http://127.0.0.1:{upstream}", "--policy", "round_robin"]
        return [*argv, "--prometheus-host", "127.0.0.1", "--prometheus-port", str(free_port())]

    return Target(
        name="vllm-router",
        prepare=prepare,
        peer=True,
        installed=lambda: environment(home, "vllm-router"),
        note="metrics; no keys of users, no counting, no limits of users or tokens, no cache, "
        "no log line a call",
    )


def _smg(home: Path) -> Target:
    def prepare(_: Path, port: int, upstream: int) -> list[str]:
        argv = [f"{home}/bin/smg", "launch", "--host", "127.0.0.1", "--port", str(port)]
        argv += ["--worker-urls", f"http://127.0.0.1:{upstream}", "--policy", "round_robin"]
        return [*argv, "--prometheus-host", "127.0.0.1", "--prometheus-port", str(free_port())]

    return Target(
        name="smg",
        prepare=prepare,
        peer=True,
        installed=lambda: environment(home, "smg"),
        note="metrics, log lines for each call; no keys of users, no counting, no limits of users or "
        "tokens, no cache",
    )


VLLM_ROUTER = Peer(name="vllm-router", install=from_pypi("vllm-router"), target=_vllm_router)
SMG = Peer(name="smg", install=from_pypi("smg"), target=_smg)
