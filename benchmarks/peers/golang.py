"""GoModel and Bifrost (both Go): built from source, where a Go toolchain and the source can be had."""

import os
from pathlib import Path

from benchmarks.cases import KEY
from benchmarks.peers.peer import Peer, run
from benchmarks.sizes import binary
from benchmarks.targets import Target

GOMODEL_SOURCE = "https://github.com/ENTERPILOT/GoModel"
BIFROST_MODULE = "github.com/maximhq/bifrost/transports/bifrost-http@latest"


def _install_gomodel(folder: Path) -> None:
    # Its module has no path of the network: a checkout of its source is the only way.
    if not (folder / "src").exists():
        source = os.environ.get("GOMODEL_SOURCE", GOMODEL_SOURCE)
        run(["git", "clone", "--quiet", "--depth", "1", source, "src"], folder)
    run(["go", "build", "-C", "src", "-o", "../bin/gomodel", "./cmd/gomodel"], folder)


def _gomodel(home: Path) -> Target:
    def prepare(folder: Path, port: int, upstream: int) -> list[str]:
        environ = {
            "PORT": port,
            "OPENAI_API_KEY": "sk-upstream-0123456789abcdef",
            "OPENAI_BASE_URL": f"http://127.0.0.1:{upstream}/v1",
            "GOMODEL_MASTER_KEY": KEY,
            "METRICS_ENABLED": "true",
            "LOGGING_ENABLED": "true",
            "SQLITE_PATH": folder / "gomodel.db",
            "GOMODEL_CACHE_DIR": folder / "cache",
        }
        settings = [f"{name}={value}" for name, value in environ.items()]
        return ["env", "-C", str(folder), *settings, f"{home}/bin/gomodel"]

    return Target(
        name="GoModel",
        prepare=prepare,
        peer=True,
        installed=lambda: binary(home / "bin/gomodel", home / "src"),
        note="one master key, usage and an audit log in SQLite, metrics; no counting before the call, "
        "no limits, no cache without Redis",
    )


def _install_bifrost(folder: Path) -> None:
    run(["env", f"GOBIN={folder}/bin", "go", "install", BIFROST_MODULE], folder)


def _bifrost(home: Path) -> Target:
    def prepare(folder: Path, port: int, upstream: int) -> list[str]:
        (folder / "config.json").write_text(
            f"""{{
            "providers": {{"openai": {{
                "keys": [{{"name": "up", "value": "sk-upstream-0123456789abcdef", "models": ["*"], "weight": 1}}],
                "network_config": {{"base_url": "http://127.0.0.1:{upstream}"}}}}}}}}"""
        )
        argv = [f"{home}/bin/bifrost-http", "-app-dir", str(folder), "-host", "127.0.0.1"]
        return [*argv, "-port", str(port)]

    return Target(name="Bifrost", prepare=prepare, peer=True, note="no keys of users, no limits")


GOMODEL = Peer(name="gomodel", install=_install_gomodel, target=_gomodel)
BIFROST = Peer(name="bifrost", install=_install_bifrost, target=_bifrost)
