"""Portkey's gateway (Node), as npm installs it, but for one dependency, without which no stream works."""

import json
from pathlib import Path

from benchmarks.peers.peer import Peer, run
from benchmarks.sizes import node_modules
from benchmarks.targets import Target

# As npm installs it, every stream is a 500, "TypeError: immutable": the package makes `new Response(stream, reply)` of
# a reply of fetch and adds header fields to it. @hono/node-server puts a Response of its own in the place of Node's,
# and since 1.14 that one takes over the reply's header object, which is immutable, where a real one copies it. The
# package asks for ^1.3.3; the last version before works.
MENDED = {"@hono/node-server": "1.13.8"}


def _install(folder: Path) -> None:
    (folder / "package.json").write_text(json.dumps({"private": True, "overrides": MENDED}))
    run(["npm", "install", "--no-fund", "--no-audit", "@portkey-ai/gateway"], folder)


def _target(home: Path) -> Target:
    def prepare(_: Path, port: int, __: int) -> list[str]:
        script = home / "node_modules/@portkey-ai/gateway/build/start-server.js"
        return ["env", "NODE_ENV=production", "node", str(script), f"--port={port}", "--headless"]

    return Target(
        name="Portkey",
        prepare=prepare,
        fields=(
            "x-portkey-provider: openai",
            "x-portkey-custom-host: http://127.0.0.1:{upstream}/v1",
        ),
        peer=True,
        installed=lambda: node_modules(home, "@portkey-ai/gateway"),
        slower=10,
        note="no keys of users, no counting, no limits, no cache and no metrics in what npm installs",
    )


PORTKEY = Peer(name="portkey", install=_install, target=_target)
