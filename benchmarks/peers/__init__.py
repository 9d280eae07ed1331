"""The peers, and which of them can be had on this machine: a row of PEERS is one."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.peers.golang import BIFROST, GOMODEL
from benchmarks.peers.litellm import LITELLM
from benchmarks.peers.peer import LeftOutError, Peer
from benchmarks.peers.portkey import PORTKEY
from benchmarks.peers.rust import SMG, VLLM_ROUTER
from benchmarks.targets import Target

PEERS = (LITELLM, PORTKEY, VLLM_ROUTER, SMG, GOMODEL, BIFROST)


def home() -> Path:
    """Return the folder that peers are installed in, outside the repository."""
    named = os.environ.get("BENCHMARK_PEERS")
    return Path(named) if named else Path.home() / ".cache" / "gateway-benchmark" / "peers"


def chosen(names: str) -> list[Peer]:
    """Return the peers that a comma-separated list names; "all" is every one.

    Raises ValueError.
    """
    wanted = [name for name in names.split(",") if name]
    known = [peer.name for peer in PEERS]
    if unknown := set(wanted) - {*known, "all"}:
        raise ValueError(f"no such peer: {', '.join(unknown)}; there are {', '.join(known)}")
    return [peer for peer in PEERS if peer.name in wanted or "all" in wanted]


def targets(peers: Sequence[Peer]) -> tuple[list[Target], dict[str, str]]:
    """Install what is missing; return those that are there, and why others are left out."""
    found, left_out = [], {}
    for peer in peers:
        folder = home() / peer.name
        try:
            _ensure(peer, folder)
        except LeftOutError as error:
            left_out[peer.target(folder).name] = str(error)
        else:
            found.append(peer.target(folder))
    return found, left_out


def _ensure(peer: Peer, folder: Path) -> None:
    done = folder / "installed"
    if done.exists():
        return
    print(f"installing {peer.name} into {folder}", file=sys.stderr)
    folder.mkdir(parents=True, exist_ok=True)
    peer.install(folder)
    done.touch()
