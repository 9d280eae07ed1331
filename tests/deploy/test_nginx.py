"""nginx in front of the gateway by the example's file: streams, large bodies, and what stays inside."""

import asyncio
import shutil
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest

from tests.test_architecture import ROOT

SNIPPET = (ROOT / "examples" / "nginx" / "gateway.conf").read_text(encoding="utf-8")
KEY = "sk-gw-of-the-tests-1"
HANG_SECONDS = 30.0
BODY = b'{"model": "m", "stream": true, "messages": [{"role": "user", "content": "hi"}]}'
EVENT = b'data: {"choices": [{"index": 0, "delta": {"content": "a"}}]}\n\n'


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def running(command: list[str], port: int, environ: dict[str, str]) -> Iterator[None]:
    """Run a server until it answers at `port`, and to the end of the block."""
    with subprocess.Popen(command, env=environ, stderr=subprocess.PIPE, text=True) as process:
        try:
            while not listens(port):
                assert process.poll() is None, process.stderr and process.stderr.read()
            yield
        finally:
            process.terminate()


def written(folder: Path, port: int, gateway_port: int) -> Path:
    """Write the example with free ports, without TLS, inside the least that nginx needs around it."""
    conf = SNIPPET.replace("127.0.0.1:4000", f"127.0.0.1:{gateway_port}")
    conf = conf.replace("listen 443 ssl", f"listen 127.0.0.1:{port}")
    conf = "".join(line for line in conf.splitlines(True) if "ssl_certificate" not in line)
    paths = "".join(
        f"{name}_temp_path {folder}/{name};\n"
        for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    path = folder / "nginx.conf"
    path.write_text(
        f"daemon off;\nmaster_process off;\npid {folder}/pid;\nerror_log stderr;\n"
        f"events {{}}\nhttp {{\naccess_log off;\n{paths}{conf}\n}}\n"
    )
    return path


class Upstream:
    """Sends one event of a stream, and the rest when it is told that the first one arrived."""

    def __init__(self) -> None:
        self.arrived = asyncio.Event()
        self.bytes_read = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one call."""
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        length = head.partition(b"content-length:")[2].split(b"\r\n")[0]
        self.bytes_read += len(await reader.readexactly(int(length or 0)))
        writer.write(
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"
        )
        writer.write(EVENT)
        await writer.drain()
        if head.startswith(b"post"):
            await self.arrived.wait()
        writer.write(b"data: [DONE]\n\n")
        writer.close()


@asynccontextmanager
async def chain(folder: Path) -> AsyncIterator[tuple[Upstream, int]]:
    """Run nginx, before a gateway, before a scripted upstream; yield the upstream and nginx's port."""
    nginx = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
    if nginx is None:
        pytest.skip("nginx is not installed")
    upstream = Upstream()
    server = await asyncio.start_server(upstream.serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    port, gateway_port = free_port(), free_port()
    environ = {
        "GATEWAY_UPSTREAM_URL": url,
        "GATEWAY_API_KEY": KEY,
        "GATEWAY_LISTEN": f"127.0.0.1:{gateway_port}",
        "GATEWAY_ADMIN_LISTEN": "127.0.0.1:0",
    }
    conf = written(folder, port, gateway_port)
    gateway = [sys.executable, "-m", "gateway", "serve"]
    front = [nginx, "-c", str(conf), "-p", str(folder)]
    with running(gateway, gateway_port, environ), running(front, port, {}):
        async with server:
            yield upstream, port


@asynccontextmanager
async def sent(
    port: int, path: str, body: bytes
) -> AsyncIterator[tuple[asyncio.StreamReader, bytes]]:
    """Send a call through nginx; yield the reader after the reply's head, and the head."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(
        f"POST {path} HTTP/1.1\r\nHost: llm.example.com\r\nAuthorization: Bearer {KEY}\r\n"
        "Content-Type: application/json\r\nConnection: close\r\n"
        f"Content-Length: {len(body)}\r\n\r\n".encode()
    )
    writer.write(body)
    try:
        yield reader, await reader.readuntil(b"\r\n\r\n")
    finally:
        writer.close()
        await writer.wait_closed()


async def test_a_stream_passes_event_by_event(tmp_path: Path) -> None:
    """The first event is with the client while the upstream still holds the second."""
    async with (
        asyncio.timeout(HANG_SECONDS),
        chain(tmp_path) as (upstream, port),
        sent(port, "/v1/chat/completions", BODY) as (reader, head),
    ):
        first = await reader.readuntil(b"}\n\n")
        upstream.arrived.set()
        rest = await reader.read()

    assert head.startswith(b"HTTP/1.1 200 ")
    assert EVENT in first
    assert b"data: [DONE]\n\n" in rest


async def test_large_bodies_pass_and_the_rest_stays_inside(tmp_path: Path) -> None:
    """A body above nginx's own megabyte goes up whole; what is no API is not there."""
    large = BODY.replace(b'"hi"', b'"' + b"hi " * 700_000 + b'"')
    async with asyncio.timeout(HANG_SECONDS), chain(tmp_path) as (upstream, port):
        upstream.arrived.set()
        async with sent(port, "/v1/chat/completions", large) as (_, head):
            pass
        async with sent(port, "/healthz", b"") as (_, inside):
            pass

    assert head.startswith(b"HTTP/1.1 200 ")
    assert upstream.bytes_read == len(large)
    assert inside.startswith(b"HTTP/1.1 404 ")
