"""A property: no bytes of a client's are a 5xx, a hang, or the end of the gateway."""

import asyncio
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.loops import new_loop
from tests.support.faults import CHAT, chat
from tests.support.gateway import HANG_SECONDS, RawClient, RunningGateway, running
from tests.support.raw_upstream import raw_upstream, say, whole

# Whoever sends no whole request is told so at once.
SHORT = ", header_timeout: 50ms, body_timeout: 50ms, keepalive_timeout: 50ms"

METHODS = [
    b"GET",
    b"POST",
    b"HEAD",
    b"OPTIONS",
    b"DELETE",
    b"CONNECT",
    b"TRACE",
    b"PRI",
    b"get",
    b"",
]
TARGETS = b"/v1/chat/completions /v1/models /v1/audio/speech /v1/%2e * http://localhost/v1/x // a:1 /healthz ".split(
    b" "
)
VERSIONS = [b"HTTP/1.1", b"HTTP/1.0", b"HTTP/2.0", b"HTTP/1.1 ", b""]
FIELDS = [
    b"Host: localhost",
    b"Content-Type: application/json",
    b"Content-Type: multipart/form-data; boundary=b",
    b"Content-Length: %d" % len(CHAT),
    b"Content-Length: 9",
    b"Transfer-Encoding: chunked",
    b"Content-Encoding: gzip",
    b"Connection: close",
    b"Connection: upgrade",
    b"Upgrade: h2c",
    b"Upgrade: websocket",
    b"Expect: 100-continue",
    b"Origin: null",
    b"Authorization: Bearer x",
    b"X-Request-Id: mine",
    b"X-Gateway-Context: trim",
    b"Sec-WebSocket-Key1: x",
]
LINE_ENDS = st.sampled_from([b"\r\n"] * 12 + [b"\n", b"\r", b"\r\n ", b"\x00"])
BODIES = [
    CHAT,
    b"%x\r\n%b\r\n0\r\n\r\n" % (len(CHAT), CHAT),
    b"{",
    b"0\r\n\r\n",
    b"--b\r\n\r\n--b--",
    b"",
]


def or_bytes(good: list[bytes]) -> st.SearchStrategy[bytes]:
    """Return mostly the usual, now and then anything."""
    return st.one_of(st.sampled_from(good), st.sampled_from(good), st.binary(max_size=40))


REQUESTS = st.builds(
    lambda line, fields, body: line + b"".join(fields) + b"\r\n" + body,
    st.builds(
        lambda *parts: b"%b %b %b%b" % parts,
        or_bytes(METHODS),
        or_bytes(TARGETS),
        or_bytes(VERSIONS),
        LINE_ENDS,
    ),
    st.lists(st.builds(bytes.__add__, or_bytes(FIELDS), LINE_ENDS), max_size=8),
    or_bytes(BODIES),
)
CHAT_REQUEST = chat(b"Connection: close")
MUTATED = st.builds(
    lambda at, cut, put: CHAT_REQUEST[:at] + put + CHAT_REQUEST[at + cut :],
    st.integers(0, len(CHAT_REQUEST)),
    st.integers(0, 8),
    st.binary(max_size=8),
)
BODIES_OF_BYTES = st.binary(max_size=200).map(lambda body: chat(b"Connection: close", body=body))
NAMES = [
    "model",
    "messages",
    "stream",
    "n",
    "tools",
    "stop",
    "max_tokens",
    "temperature",
    "user",
    "x",
]
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)


class Bench:
    """A gateway in a loop of its own, which takes the bytes of one example after the other."""

    def __init__(self, runner: asyncio.Runner, gateway: RunningGateway) -> None:
        self._runner = runner
        self._gateway = gateway

    def told(self, raw: bytes) -> bytes:
        """Send bytes and return all that comes back until the connection ends."""
        return self._runner.run(self._told(raw))

    async def _told(self, raw: bytes) -> bytes:
        client = await RawClient.connect(self._gateway)
        client.send(raw)
        async with asyncio.timeout(HANG_SECONDS):
            said = await client.closed()
        await client.aclose()
        assert self._gateway.app.calls_in_flight == 0
        return said


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """Run a gateway for all examples of a test."""
    with asyncio.Runner(loop_factory=new_loop) as runner:
        upstream = raw_upstream(say(whole(b"{}")))
        scripted = runner.run(upstream.__aenter__())
        gateway = running(
            f'server: {{listen: "127.0.0.1:0", shutdown_grace: 100ms{SHORT}}}\n'
            'admin: {listen: "127.0.0.1:0"}\n'
            f'upstreams: [{{name: up, base_url: "{scripted.url}/v1"}}]\n',
            tmp_path,
        )
        yield Bench(runner, runner.run(gateway.__aenter__()))
        runner.run(gateway.__aexit__(None, None, None))
        runner.run(upstream.__aexit__(None, None, None))


def statuses(said: bytes) -> list[int]:
    """Return the statuses of the replies in what came back."""
    return [int(found) for found in re.findall(rb"(?:^|\n|\}|\})HTTP/1\.[01] (\d{3}) ", said)]


@given(data=st.data())
def _no_server_error(bench: Bench, data: st.DataObject) -> None:
    raw = data.draw(st.one_of(REQUESTS, MUTATED, BODIES_OF_BYTES, st.binary(max_size=300)))
    said = bench.told(raw)
    assert all(status < 500 or status == 501 for status in statuses(said))


def test_no_bytes_are_a_server_error(bench: Bench) -> None:
    """Requests of odd parts, good ones with bytes changed, any body and any bytes: told or let go, never a 5xx."""
    _no_server_error(bench)


@given(
    payload=st.dictionaries(
        st.sampled_from(
            [
                "model",
                "messages",
                "stream",
                "n",
                "tools",
                "stop",
                "max_tokens",
                "temperature",
                "user",
                "x",
            ]
        ),
        JSON,
    )
)
def _judged(bench: Bench, payload: dict[str, object]) -> None:
    body = sloppy(payload)
    assert statuses(bench.told(chat(b"Connection: close", body=body)))[0] in (200, 400, 404)


def sloppy(payload: object) -> bytes:
    """Return JSON, NaN and lone surrogates included: what a sloppy client would send."""
    return json.dumps(payload).encode()


def test_no_json_is_a_server_error(bench: Bench) -> None:
    """Parameters of any JSON whatsoever are relayed or refused as the client's own fault."""
    _judged(bench)
