"""Who is measured: the table of targets, how each is started, and the upstream behind them."""

import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.cases import KEY, MODELS_ON_THE_WIRE, REPLY_ON_THE_WIRE, STREAM_ON_THE_WIRE
from benchmarks.processes import Program, compiled, free_port, program

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
    # A case that it is measured in; empty: all of them.
    only: str = ""
    # What it does not do, or what it does beside passing on.
    note: str = ""
    peer: bool = False


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


def _gateway(folder: Path, port: int, upstream: int, store: str = "") -> list[str]:
    config = folder / "config.yaml"
    config.write_text(
        f"""
        server: {{listen: "127.0.0.1:{port}"}}
        admin: {{listen: "127.0.0.1:{free_port()}"}}
        upstreams:
          - name: upstream
            base_url: http://127.0.0.1:{upstream}/v1
            api_key: sk-upstream-0123456789abcdef
        auth:
          keys:
            - {{user: benchmark, key: {KEY}}}
        models:
          gpt-4o-mini: {{targets: [{{upstream: upstream}}], context_window: 10000000}}
        limits:
          - {{per: user, requests: 1000000/s, tokens: 1000000000/s}}
          - {{per: model, requests: 1000000/s, tokens: 1000000000/s}}
        cache: {{}}
        {store}
        """
    )
    return [sys.executable, "-m", "gateway", "serve", "-c", str(config)]


# The yardstick comes first: the others are told as multiples of it.
TARGETS = (
    Target(name="nginx", prepare=_nginx_proxy),
    Target(name="aiohttp pass-through", prepare=_pass_through),
    Target(name="gateway", prepare=_gateway),
)


def _upstream(folder: Path, port: int, _: int) -> list[str]:
    files = []
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
