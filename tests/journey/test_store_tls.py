"""Limits in a Redis that speaks TLS alone, asked by a gateway that is started as in production."""

import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from gateway.demo_upstream import DemoUpstream
from tests.journey.test_lifecycle import fetched, serving
from tests.journey.test_restart import asked
from tests.support.redis_server import find_binary, running_redis

pytestmark = pytest.mark.skipif(
    find_binary() is None, reason="no Redis server: install redis-server"
)


@contextlib.contextmanager
def tls_redis(directory: Path, authority: trustme.CA) -> Iterator[str]:
    """Run a server whose port speaks TLS and knows one user, `limits`; yield its URL."""
    certificate = authority.issue_cert("127.0.0.1")
    files = {
        "cert": directory / "cert.pem",
        "key": directory / "key.pem",
        "ca": directory / "ca.pem",
    }
    certificate.cert_chain_pems[0].write_to_path(str(files["cert"]))
    certificate.private_key_pem.write_to_path(str(files["key"]))
    authority.cert_pem.write_to_path(str(files["ca"]))
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    options = (
        *("--port", "0", "--tls-port", str(port), "--tls-auth-clients", "no"),
        *("--tls-cert-file", str(files["cert"]), "--tls-key-file", str(files["key"])),
        *("--tls-ca-cert-file", str(files["ca"])),
        *("--user", "default", "off"),
        *("--user", "limits", "on", ">p@ss", "~gateway:*", "+@all"),
    )
    with running_redis(directory, *options):
        yield f"rediss://limits:p%40ss@127.0.0.1:{port}"


def config(demo: DemoUpstream, store: str, tmp_path: Path) -> str:
    path = tmp_path / "config.yaml"
    path.write_text(
        f'upstreams: [{{name: up, base_url: "{demo.url}/v1"}}]\n'
        f'store: {{url: "{store}", timeout: 5s, on_failure: refuse}}\n'
        "limits: [{per: global, requests: 2/day}]\n"
    )
    return str(path)


async def test_gateways_share_limits_over_tls(demo: DemoUpstream, tmp_path: Path) -> None:
    """As a user of its own and under TLS the server counts for whoever asks it, one gateway after the other."""
    authority = trustme.CA()
    with tls_redis(tmp_path, authority) as store:
        trusts = {"SSL_CERT_FILE": str(tmp_path / "ca.pem")}
        arguments = ("-c", config(demo, store, tmp_path))
        async with serving(demo.url, *arguments, **trusts) as first:
            assert [await asked(first.url) for _ in range(2)] == [b"200", b"200"]
            first.process.kill()
            await first.process.wait()
        async with serving(demo.url, *arguments, **trusts) as second:
            assert await asked(second.url) == b"429"
            assert b"gateway_store_up 1" in await fetched(second.admin, "/metrics")


async def test_a_server_that_nobody_vouches_for_is_not_asked(
    demo: DemoUpstream, tmp_path: Path
) -> None:
    """A certificate of an unknown authority is no store: it is down, one line says why, and no password is in it."""
    with tls_redis(tmp_path, trustme.CA()) as store:
        async with serving(demo.url, "-c", config(demo, store, tmp_path)) as process:
            assert await asked(process.url) == b"503"
            assert b"gateway_store_up 0" in await fetched(process.admin, "/metrics")
            process.process.terminate()
            await process.ended()
    said = "".join(process.lines)
    assert said.count("certificate verify failed") == 1
    assert "p@ss" not in said
    assert "p%40ss" not in said
