"""A gateway as a process: it starts, says where it is, reloads, drains and ends."""

import asyncio
import contextlib
import os
import re
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gateway.demo_upstream import DemoUpstream
from tests.support.gateway import HANG_SECONDS

ROOT = Path(__file__).parent.parent.parent
CHAT = b'{"model":"demo","messages":[{"role":"user","content":"hi"}],"stream":true}'


class Process:
    """A `gateway` command that runs."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.lines: list[str] = []
        self.url = ""
        self.admin = ""

    async def line(self, pattern: str) -> re.Match[str]:
        """Read standard error up to a line that fits `pattern`."""
        if self.process.stderr is None:
            raise ValueError("no standard error")
        async with asyncio.timeout(HANG_SECONDS * 2):
            while line := (await self.process.stderr.readline()).decode():
                self.lines.append(line)
                if found := re.search(pattern, line):
                    return found
        raise AssertionError("".join(self.lines))

    async def ended(self) -> int:
        """Wait for the end and return the exit code."""
        async with asyncio.timeout(HANG_SECONDS):
            rest = await self.process.communicate()
        self.lines.append((rest[1] or b"").decode())
        return self.process.returncode or 0


@asynccontextmanager
async def gateway(*arguments: str, **environ: str) -> AsyncIterator[Process]:
    """Run `gateway` with these arguments and nothing of this test's own environment but the paths."""
    env = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "gateway",
        *arguments,
        env={**env, "PYTHONPATH": str(ROOT), **environ},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield Process(process)
    finally:
        if process.returncode is None:
            process.kill()
        # What nobody read is read now: a pipe that is full never ends.
        await process.communicate()


@asynccontextmanager
async def serving(upstream: str, *arguments: str, **environ: str) -> AsyncIterator[Process]:
    """Run `gateway serve` before `upstream` and wait until it says where it listens."""
    async with gateway(
        "serve",
        *arguments,
        GATEWAY_UPSTREAM_URL=f"{upstream}/v1",
        GATEWAY_LISTEN="127.0.0.1:0",
        GATEWAY_ADMIN_LISTEN="127.0.0.1:0",
        **environ,
    ) as process:
        said = await process.line(r"listening at (\S+?)/v1 \(metrics and health at (\S+?)\)")
        process.url, process.admin = said.groups()
        yield process


async def connected(url: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    host, _, port = url.removeprefix("http://").partition(":")
    return await asyncio.open_connection(host, int(port))


async def fetched(url: str, path: str) -> bytes:
    reader, writer = await connected(url)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
    async with asyncio.timeout(HANG_SECONDS):
        reply = await reader.read()
    writer.close()
    return reply


async def stream(url: str, demo: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Begin a stream and return when its head is there."""
    reader, writer = await connected(url)
    writer.write(
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"x-demo: %b\r\nContent-Length: %d\r\n\r\n" % (demo.encode(), len(CHAT)) + CHAT
    )
    async with asyncio.timeout(HANG_SECONDS):
        await reader.readuntil(b"\r\n\r\n")
    return reader, writer


async def test_a_stream_in_flight_ends_within_the_grace(demo: DemoUpstream) -> None:
    """SIGTERM closes the listener at once, lets a stream finish, and the exit code is 0."""
    async with serving(demo.url) as process:
        assert b"200 OK" in await fetched(process.admin, "/readyz")
        reader, writer = await stream(process.url, '{"chunks": 60, "pace_ms": 10}')

        process.process.send_signal(signal.SIGTERM)
        await process.line("stopping")
        with pytest.raises(ConnectionRefusedError):
            await connected(process.url)
        async with asyncio.timeout(HANG_SECONDS):
            rest = await reader.read()

        assert rest.endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n")
        writer.close()
        assert await process.ended() == 0


async def test_what_outlasts_the_grace_is_cut(demo: DemoUpstream, tmp_path: Path) -> None:
    """A stream that goes on beyond the grace is cut, not ended, and the process ends."""
    config = tmp_path / "config.yaml"
    config.write_text(
        f'server: {{shutdown_grace: 100ms}}\nupstreams: [{{name: up, base_url: "{demo.url}/v1"}}]\n'
    )
    async with serving(demo.url, "-c", str(config)) as process:
        reader, writer = await stream(process.url, '{"hang_after": 1}')

        process.process.send_signal(signal.SIGTERM)

        assert await process.ended() == 0
        with contextlib.suppress(ConnectionError):
            assert not (await reader.read()).endswith(b"0\r\n\r\n")
        writer.close()


async def test_sighup_and_a_changed_file_reload(demo: DemoUpstream, tmp_path: Path) -> None:
    """A new configuration is taken; a bad one keeps the old and says so in a line and a metric."""
    config = tmp_path / "config.yaml"
    text = f'upstreams: [{{name: up, base_url: "{demo.url}/v1"}}]\n'
    config.write_text(text)
    async with serving(demo.url, "-c", str(config)) as process:
        process.process.send_signal(signal.SIGHUP)
        await process.line("read anew")

        config.write_text(text + "models: {quick: {targets: [{upstream: up, model: demo}]}}\n")
        await process.line("read anew")
        assert b'"quick"' in await fetched(process.url, "/v1/models")

        config.write_text(text + "modles: {}\n")
        said = await process.line("old configuration stays in force")
        assert "modles" in said.string
        metrics = await fetched(process.admin, "/metrics")
        assert b"gateway_config_last_reload_successful 0.0" in metrics
        assert b'gateway_config_reloads_total{outcome="failure"} 1.0' in metrics
        assert b'"quick"' in await fetched(process.url, "/v1/models")


async def test_a_taken_port_is_one_line_and_exit_code_1(demo: DemoUpstream) -> None:
    """Nothing but one clear line when the address is in use."""
    async with serving(demo.url) as first:
        address = first.url.removeprefix("http://")
        async with gateway(
            "serve",
            GATEWAY_UPSTREAM_URL=f"{demo.url}/v1",
            GATEWAY_LISTEN=address,
            GATEWAY_ADMIN_LISTEN="127.0.0.1:0",
        ) as second:
            assert await second.ended() == 1
            complaint = [line for line in "".join(second.lines).splitlines() if line]

    assert len(complaint) == 1
    assert address in complaint[0]


async def test_the_demo_answers_and_says_what_to_try() -> None:
    """`gateway demo` works with no key and no configuration, and prints what to type."""
    async with gateway("demo", "--listen", "127.0.0.1:0") as process:
        await process.line("listening")
        if process.process.stdout is None:
            raise ValueError("no standard output")
        async with asyncio.timeout(HANG_SECONDS):
            banner = (await process.process.stdout.readuntil(b"Ctrl-C")).decode()
        url = re.search(r"curl (http://\S+)/v1/chat/completions", banner)
        assert url is not None
        assert f'OpenAI(base_url="{url.group(1)}/v1"' in banner
        assert b'"object":"list"' in (await fetched(url.group(1), "/v1/models")).replace(b" ", b"")

        process.process.send_signal(signal.SIGINT)

        assert await process.ended() == 0


async def test_listed_models_are_labels(demo: DemoUpstream) -> None:
    """What the upstream lists is counted by name; what nobody lists is `other`."""
    async with serving(demo.url) as process:
        async with asyncio.timeout(HANG_SECONDS):
            while not demo.requests or demo.requests[0].phase != "done":  # noqa: ASYNC110
                await asyncio.sleep(0.001)
        _, writer = await stream(process.url, '{"chunks": 1}')
        writer.close()
        metrics = b""
        async with asyncio.timeout(HANG_SECONDS):
            while b"gateway_requests_total{" not in metrics:
                metrics = await fetched(process.admin, "/metrics")

    assert demo.requests[0].target == "/v1/models"
    assert b'model="demo"' in metrics
