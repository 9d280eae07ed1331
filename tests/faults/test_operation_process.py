"""The process, its files and its signals."""

import asyncio
import contextlib
import json
import os
import resource
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.demo_upstream import DemoUpstream
from tests.journey.conftest import Connect, Start
from tests.journey.test_lifecycle import Process, connected, fetched, gateway, serving
from tests.support.faults import HOST, asked, chat
from tests.support.gateway import HANG_SECONDS, RawClient, RunningGateway
from tests.support.raw_upstream import raw_upstream, say, whole

GET = "/v1/models"


async def soon(done: Callable[[], bool]) -> None:
    """Wait for what must come."""
    async with asyncio.timeout(HANG_SECONDS * 2):
        while not done():  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.01)


def written(path: Path, text: str) -> None:
    """Replace a file as tools do: in one step."""
    path.with_suffix(".new").write_text(text)
    path.with_suffix(".new").replace(path)


async def test_idle_connections_end_with_the_first_signal(demo: DemoUpstream) -> None:
    """SIGTERM closes who asks for nothing at once, without a word, and the process ends with 0."""
    async with serving(demo.url) as process:
        reader, writer = await connected(process.url)
        process.process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(HANG_SECONDS):
            assert await reader.read() == b""
        writer.close()
        assert await process.ended() == 0


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
async def test_a_second_signal_ends_all_at_once(demo: DemoUpstream, second: signal.Signals) -> None:
    """Who does not want to wait for the grace says it twice: what is open is cut, never ended."""
    async with serving(demo.url) as process:
        reader, writer = await connected(process.url)
        writer.write(
            chat(b'x-demo: {"hang_after": 1}', body=b'{"model":"demo","messages":[],"stream":true}')
        )
        async with asyncio.timeout(HANG_SECONDS):
            await reader.readuntil(b"\r\n\r\n")
        process.process.send_signal(signal.SIGTERM)
        await process.line("stopping")
        process.process.send_signal(second)
        await process.ended()
        with contextlib.suppress(ConnectionError):
            assert not (await reader.read()).endswith(b"0\r\n\r\n")
        writer.close()
    assert "Traceback" not in "".join(process.lines)


async def test_an_interrupt_before_the_start_is_no_traceback() -> None:
    """Ctrl-C while Python still imports ends the process in silence."""
    async with gateway("serve", PYTHONPROFILEIMPORTTIME="1") as process:
        await process.line("gateway.config_types")
        process.process.send_signal(signal.SIGINT)
        assert await process.ended() != 0
    assert "Traceback" not in "".join(process.lines)


async def test_a_killed_gateway_is_back_at_its_port(demo: DemoUpstream) -> None:
    """After kill -9 with calls in flight the same address can be taken at once, and serves."""
    async with serving(demo.url) as first:
        _, writer = await connected(first.url)
        writer.write(chat(b'x-demo: {"hang_after": -1}', body=b'{"model":"demo","messages":[]}'))
        await soon(lambda: any(seen.phase != "done" for seen in demo.requests))
        first.process.kill()
        await first.process.wait()
        async with gateway(
            "serve",
            GATEWAY_UPSTREAM_URL=f"{demo.url}/v1",
            GATEWAY_LISTEN=first.url.removeprefix("http://"),
            GATEWAY_ADMIN_LISTEN="127.0.0.1:0",
        ) as second:
            await second.line("listening at")
            assert b" 200 OK" in await fetched(first.url, GET)
        writer.close()


BAD = {
    "no YAML": ("upstreams: [", "3"),
    "an unknown key": ("modles: {}", "modles"),
    "a key twice": ("models: {}\nmodels: {}", "models"),
    "a wrong type": ("server: {max_body: many}", "max_body"),
    "an unset variable": ("limits: [{per: user, requests: '${NOT_SET}'}]", "NOT_SET"),
    "a missing secret": ("store: {url: '${file:nowhere}'}", "nowhere"),
    "an empty client key": ("auth: {keys: [{user: a, key: ''}]}", "auth.keys[0]"),
    "a short client key": ("auth: {keys: [{user: a, key: abc}]}", "auth.keys[0]"),
    "a key twice among users": (
        "auth: {keys: [{user: a, key: sk-0123456789abcdef}, {user: b, key: sk-0123456789abcdef}]}",
        "auth.keys[1]",
    ),
    "the digest of nothing": (
        "auth: {keys: [{user: a, sha256: e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855}]}",
        "auth.keys[0]",
    ),
    "an open port without keys": (
        "server: {listen: '0.0.0.0:0'}\nauth: {mode: none}",
        "auth.mode",
    ),
    "an upstream nobody has": ("models: {m: {targets: [{upstream: nowhere}]}}", "nowhere"),
    "a circle": ("models: {a: {fallbacks: [b]}, b: {fallbacks: [a]}}", "circle"),
}


@pytest.mark.parametrize(("text", "named"), BAD.values(), ids=BAD)
async def test_a_bad_configuration_does_not_start(tmp_path: Path, text: str, named: str) -> None:
    """It exits with 2 and names file and key, without a traceback and without a secret."""
    config = tmp_path / "config.yaml"
    config.write_text(
        f"upstreams: [{{name: up, base_url: 'http://127.0.0.1:1/v1', api_key: s3cret-s3cret}}]\n{text}\n"
    )
    async with gateway("serve", "-c", str(config)) as process:
        assert await process.ended() == 2
    said = "".join(process.lines)
    assert str(config) in said
    assert named in said
    for never in ("Traceback", "s3cret", "0123456789abcdef"):
        assert never not in said


@pytest.mark.parametrize("listen", ["server", "admin"])
async def test_an_upstream_that_is_the_gateway_itself_is_refused(
    tmp_path: Path, listen: str
) -> None:
    """Neither its clients' port nor its operator's may be its own upstream."""
    config = tmp_path / "config.yaml"
    config.write_text(
        f"{listen}: {{listen: '127.0.0.1:45678'}}\nupstreams: [{{name: up, base_url: 'http://localhost:45678/v1'}}]\n"
    )
    async with gateway("serve", "-c", str(config)) as process:
        assert await process.ended() == 2
    assert "this is the gateway itself" in "".join(process.lines)


async def test_reloads_under_load_lose_no_call(start: Start, connect: Connect) -> None:
    """While forty configurations come and go, good ones and bad, every call of many clients is answered."""
    async with raw_upstream(say(whole(b"{}"))) as upstream:
        running = await start(upstream.url)
        text = running.path.read_text()
        stop = asyncio.Event()
        answered = 0

        async def call(client: RawClient) -> None:
            nonlocal answered
            while not stop.is_set():
                assert (await asked(client, chat())).status == 200
                answered += 1

        async with asyncio.TaskGroup() as tasks:
            for _ in range(10):
                tasks.create_task(call(await connect(running)))
            for turn in range(40):
                more = ("", ", idle_timeout: 100s", ", nonsense: 1", ", connect_timeout: 9s")[
                    turn % 4
                ]
                written(running.path, text.replace('/v1"', f'/v1"{more}', 1))
                running.app.reload()
                before = answered
                await soon(lambda floor=before + 10: answered >= floor)  # type: ignore[misc]
            stop.set()
    reloads = running.app.metrics.reloads.values
    assert (reloads[("success",)], reloads[("failure",)]) == (30, 10)


async def test_a_bad_certificate_leaves_every_upstream_in_force(
    start: Start, connect: Connect, tmp_path: Path
) -> None:
    """A reload that fails at its second upstream has not let go of the first one's connections."""
    async with raw_upstream(say(whole(b"{}"))) as upstream:
        running = await start(upstream.url)
        client = await connect(running)
        assert (await asked(client, chat())).status == 200
        bad = tmp_path / "bad.pem"
        bad.write_text("no certificate")
        text = running.path.read_text()
        second = f', idle_timeout: 9s}}, {{name: other, base_url: "https://127.0.0.1:1/v1", ca_file: {bad}}}]'
        running.path.write_text(text.replace("}]", second, 1))
        running.app.reload()
        assert running.app.metrics.reload_ok.values[()] == 0
        assert (await asked(client, chat())).status == 200
        assert len(upstream.connections) == 1


async def test_mounted_files_are_watched_through_their_links(
    demo: DemoUpstream, tmp_path: Path
) -> None:
    """A ConfigMap's swap of its link reloads; a secret that a bad configuration names is watched until it is right."""
    for name, model in (("one", "first"), ("two", "second")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.yaml").write_text(
            f'upstreams: [{{name: up, base_url: "{demo.url}/v1"}}]\n'
            f"models: {{{model}: {{targets: [{{upstream: up, model: demo}}]}}}}\n"
        )
    (tmp_path / "data").symlink_to("one")
    (tmp_path / "config.yaml").symlink_to("data/config.yaml")
    async with serving(demo.url, "-c", str(tmp_path / "config.yaml")) as process:
        assert b'"first"' in await fetched(process.url, GET)
        (tmp_path / "new").symlink_to("two")
        (tmp_path / "new").replace(tmp_path / "data")
        await process.line("read anew")
        assert b'"second"' in await fetched(process.url, GET)

        written(
            tmp_path / "two" / "config.yaml",
            f'upstreams: [{{name: up, base_url: "{demo.url}/v1", api_key: "${{file:{tmp_path}/key}}"}}]\n',
        )
        await process.line("old configuration stays in force")
        (tmp_path / "key").write_text("upstream-key-0123")
        await process.line("read anew")
        assert b'"second"' not in await fetched(process.url, GET)


def _few_descriptors() -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (48, 48))


async def _served(url: str) -> bool:
    with contextlib.suppress(ConnectionError, TimeoutError):
        return b" 200 OK" in await fetched(url, "/healthz")
    return False


async def test_out_of_descriptors_it_lives_and_recovers(demo: DemoUpstream, tmp_path: Path) -> None:
    """Where no descriptor is left it neither dies nor spins, and serves again as soon as there is one."""
    config = tmp_path / "config.yaml"
    config.write_text(
        'server: {listen: "127.0.0.1:0"}\nadmin: {listen: "127.0.0.1:0"}\n'
        f'upstreams: [{{name: up, base_url: "{demo.url}/v1"}}]\n'
    )
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gateway", "serve", "-c", str(config),
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
        stderr=asyncio.subprocess.PIPE,
        preexec_fn=_few_descriptors,
    )  # fmt: skip
    try:
        process = Process(child)
        said = await process.line(r"listening at (\S+?)/v1 \(metrics")
        url = said.group(1)
        held = [await connected(url) for _ in range(80)]
        for _, writer in held:
            writer.write(b"GET /healthz HTTP/1.1\r\n" + HOST + b"\r\n")
        used = _cpu_seconds(child.pid)
        await asyncio.sleep(1)
        assert _cpu_seconds(child.pid) - used < 0.8
        for _, writer in held:
            writer.transport.abort()
        async with asyncio.timeout(HANG_SECONDS):
            while not await _served(url):  # noqa: ASYNC110 - nothing tells
                await asyncio.sleep(0.05)
        child.terminate()
        assert await process.ended() == 0
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.mark.parametrize("kind", ["full", "closed", "gone"])
async def test_a_log_that_cannot_be_written_stops_nobody(demo: DemoUpstream, kind: str) -> None:
    """With its disk full, its stderr closed or its reader gone, calls are served as before."""
    with contextlib.ExitStack() as stack:
        probe = stack.enter_context(socket.socket())
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
        probe.close()
        reading, writing = os.pipe()
        stack.callback(os.close, writing)
        target = os.open("/dev/full", os.O_WRONLY) if kind == "full" else writing
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "gateway", "serve",
            env=os.environ | {
                "PYTHONPATH": str(Path(__file__).parents[2]),
                "GATEWAY_UPSTREAM_URL": f"{demo.url}/v1",
                "GATEWAY_LISTEN": address,
                "GATEWAY_ADMIN_LISTEN": "127.0.0.1:0",
            },
            stderr=target,
            preexec_fn=(lambda: os.close(2)) if kind == "closed" else None,
        )  # fmt: skip
        os.close(reading)
        try:
            async with asyncio.timeout(HANG_SECONDS * 2):
                while not await _served(f"http://{address}"):  # noqa: ASYNC110 - nothing tells
                    await asyncio.sleep(0.05)
            for _ in range(5):
                assert b" 200 OK" in await fetched(f"http://{address}", GET)
            child.terminate()
            async with asyncio.timeout(HANG_SECONDS):
                assert await child.wait() == 0
        finally:
            if child.returncode is None:
                child.kill()
                await child.wait()


async def test_the_log_holds_one_line_a_call_and_nothing_of_it(demo: DemoUpstream) -> None:
    """No prompt, answer or key, nor what could not be read; control characters are escaped, strangers rationed."""
    canary = "canary-9f31"
    async with serving(
        demo.url, GATEWAY_API_KEY=f"client-key-{canary}", OPENAI_API_KEY=f"up-key-{canary}"
    ) as process:
        host, _, port = process.url.removeprefix("http://").partition(":")
        where = type("At", (), {"host": host, "port": int(port)})()
        key = f"Authorization: Bearer client-key-{canary}".encode()
        body = json.dumps(
            {"model": "a\n\x1b[31mb", "messages": [{"role": "user", "content": canary}]}
        ).encode()
        client = await RawClient.connect(where)
        assert (await asked(client, chat(key, body=body))).status in (200, 404)
        for raw in (
            chat(b"api-key: " + canary.encode()),
            chat(key, body=b"{" + canary.encode()),
            b"GET /v1/" + canary.encode() + b" nonsense\r\n\r\n",
        ):
            await asked(client, raw)
        await client.aclose()
        for _ in range(100):
            other = await RawClient.connect(where)
            assert (await asked(other, chat())).status == 401
            await other.aclose()
        process.process.send_signal(signal.SIGTERM)
        await process.ended()
    lines = [line for line in "".join(process.lines).splitlines() if line.startswith("{")]
    assert canary not in "".join(process.lines)
    assert all(json.loads(line) for line in lines)
    assert len([line for line in lines if '"status": 401' in line]) < 60
    assert any("lines_not_logged" in line for line in lines) or len(lines) < 120


async def test_gauges_and_series_are_bounded(start: Start, connect: Connect) -> None:
    """Names that clients make up become no series and cannot break the format; afterwards every gauge is at zero."""
    async with raw_upstream(say(whole(b"{}"))) as upstream:
        running: RunningGateway = await start(upstream.url)
        client = await connect(running)
        for number in range(300):
            name = json.dumps(f'm{number}"\n# {{}} 1').encode()
            assert (
                await asked(client, chat(body=b'{"model":' + name + b',"messages":[]}'))
            ).status == 200
        metrics = running.app.metrics
        assert len(metrics.requests.values) <= 2
        assert set(metrics.in_flight.values.values()) == {0}
        assert {key[1] for key in metrics.requests.values} == {"other"}
