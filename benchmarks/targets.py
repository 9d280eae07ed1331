"""Who is measured: the table of targets, how each is started, and the upstream behind them."""

import contextlib
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks import sizes
from benchmarks.cases import KEY, MODELS_ON_THE_WIRE, REPLY_ON_THE_WIRE, SMALL, STREAM_ON_THE_WIRE
from benchmarks.processes import Program, compiled, free_port, program
from benchmarks.sizes import Installed

SOURCE = Path(__file__).with_name("upstream.c")

# A folder for its files, the port to listen on, the upstream's port -> the command line.
Prepare = Callable[[Path, int, int], list[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A program that stands between client and upstream."""

    name: str
    prepare: Prepare
    # What a client has to send beside OpenAI's header fields; {upstream} stands for its port.
    fields: tuple[str, ...] = ()
    # The cases that it is measured in, and no other figure; empty: all.
    only: tuple[str, ...] = ()
    # How many times slower its streams are paced: it could not keep up otherwise.
    slower: int = 1
    # Whether it answers equal calls by itself.
    caches: bool = False
    # What it does not do, or what it does beside passing on.
    note: str = ""
    peer: bool = False
    # What it takes on disk.
    installed: Callable[[], Installed] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """A target, or the upstream, that listens."""

    target: Target
    port: int
    program: Program
    # What a client has to send beside OpenAI's header fields.
    fields: tuple[str, ...]
    # When it was started, by the monotonic clock.
    began: float

    @property
    def name(self) -> str:
        """What the report calls it."""
        return self.target.name


def _nginx(folder: Path, server: str) -> list[str]:
    # Everything it writes stays in the folder; its workers keep the user who started them.
    user = "user root;" if os.geteuid() == 0 else ""
    paths = "".join(f"{kind}_temp_path {folder};" for kind in ("proxy", "fastcgi", "uwsgi", "scgi"))
    conf = folder / "nginx.conf"
    conf.write_text(
        f"""
        {user} daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/error.log;
        worker_rlimit_nofile 16384;
        events {{ worker_connections 8192; }}
        http {{
            access_log off; client_body_temp_path {folder}; {paths}
            client_max_body_size 64m; keepalive_requests 1000000000; keepalive_timeout 600s;
            {server}
        }}
        """
    )
    return ["nginx", "-p", str(folder), "-e", f"{folder}/error.log", "-c", str(conf)]


def _nginx_proxy(folder: Path, port: int, upstream: int) -> list[str]:
    return _nginx(
        folder,
        f"""
        upstream up {{
            server 127.0.0.1:{upstream}; keepalive 256;
            keepalive_requests 1000000000; keepalive_timeout 600s;
        }}
        server {{
            listen 127.0.0.1:{port} backlog=2048;
            location / {{
                proxy_pass http://up; proxy_http_version 1.1; proxy_set_header Connection "";
                proxy_request_buffering off; client_body_buffer_size 64k;
            }}
        }}
        """,
    )


def _pass_through(_: Path, port: int, upstream: int) -> list[str]:
    url = f"http://127.0.0.1:{upstream}"
    return [sys.executable, "-m", "benchmarks.passthrough", str(port), url]


def gateway_config(
    port: int, upstream: int, *, admin: int, users: int = 0, models: int = 0, store: str = ""
) -> str:
    """Return a configuration with every feature on; more users and models have the names' numbers behind them."""
    keys = [("benchmark", KEY), *((f"user-{n:03}", f"{KEY}{n:03}") for n in range(users))]
    names = ["gpt-4o-mini", *(f"gpt-4o-mini-{n:03}" for n in range(models))]
    return json.dumps(
        {
            "server": {"listen": f"127.0.0.1:{port}"},
            "admin": {"listen": f"127.0.0.1:{admin}"},
            **({"store": {"url": store}} if store else {}),
            "upstreams": [
                {
                    "name": "upstream",
                    "base_url": f"http://127.0.0.1:{upstream}/v1",
                    "api_key": "sk-upstream-0123456789abcdef",
                    "checks": "strict",
                }
            ],
            "auth": {"keys": [{"user": user, "key": key} for user, key in keys]},
            # The largest bodies have more tokens than the model's own window.
            "models": {
                name: {
                    "targets": [{"upstream": "upstream"}],
                    "context_window": 10_000_000,
                    "price": {"input": 0.15, "output": 0.6},
                }
                for name in names
            },
            # Two that apply, and that no load reaches.
            "limits": [
                {"per": per, "requests": "1000000/s", "tokens": "1000000000/s"}
                for per in ("user", "model")
            ],
            "cache": {},
        }
    )


def serve(folder: Path, config: str) -> list[str]:
    """Return the command that serves a configuration, which is JSON and so YAML."""
    file = folder / "config.yaml"
    file.write_text(config)
    return [sys.executable, "-m", "gateway", "serve", "-c", str(file)]


def _gateway(folder: Path, port: int, upstream: int) -> list[str]:
    return serve(folder, gateway_config(port, upstream, admin=free_port()))


def gateway_on_redis(redis_port: int) -> Target:
    """Return the gateway with its limits kept in a Redis."""

    def prepare(folder: Path, port: int, upstream: int) -> list[str]:
        store = f"redis://127.0.0.1:{redis_port}"
        return serve(folder, gateway_config(port, upstream, admin=free_port(), store=store))

    return Target(name="gateway, limits in Redis", prepare=prepare, only=(SMALL.name,))


def _redis(_: Path, port: int, __: int) -> list[str]:
    return ["redis-server", "--bind", "127.0.0.1", "--port", str(port), "--save", ""]


REDIS = Target(name="Redis", prepare=_redis)

# The yardstick comes first: the others are told as multiples of it.
TARGETS = (
    Target(
        name="nginx",
        prepare=_nginx_proxy,
        note="passes on; looks into no body, has no keys, limits, metrics or log",
    ),
    Target(
        name="aiohttp pass-through",
        prepare=_pass_through,
        note="passes on; aiohttp's server and client with nothing between them",
    ),
    Target(
        name="gateway",
        prepare=_gateway,
        caches=True,
        installed=sizes.gateway,
        note="keys, strict checks, tokens counted before the call, two limit rules on requests and "
        "tokens, cache, prices, metrics, one log line a call; the reply's bytes as they came",
    ),
)


def _upstream(folder: Path, port: int, _: int) -> list[str]:
    files: list[str] = []
    for said in (REPLY_ON_THE_WIRE, STREAM_ON_THE_WIRE, MODELS_ON_THE_WIRE):
        file = folder / f"reply-{len(files)}"
        file.write_bytes(said)
        files.append(str(file))
    return [str(compiled(SOURCE, folder)), str(port), *files]


UPSTREAM = Target(name="upstream alone", prepare=_upstream)


@contextlib.contextmanager
def started(target: Target, *, core: int, folder: Path, upstream: int = 0) -> Iterator[Running]:
    """Start a target on one core and wait until it listens; its files and log stand in `folder`."""
    folder.mkdir(parents=True)
    port = free_port()
    argv = target.prepare(folder, port, upstream)
    began = time.monotonic()
    with program(argv, core=core, log=folder / "log") as running:
        running.wait_for(port)
        fields = tuple(field.format(upstream=upstream) for field in target.fields)
        yield Running(target=target, port=port, program=running, fields=fields, began=began)
