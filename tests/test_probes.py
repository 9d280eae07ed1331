"""Probes: what the command line finds out about servers, over real sockets."""

import socketserver
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.config import Upstream
from gateway.config_types import HttpUrl, Secret, SecretUrl, TcpAddress, UnixAddress
from gateway.probes import Answer, ask_models, ask_ready
from tests.support.servers import Server, serving

MODELS = b'{"object": "list", "data": [{"id": "a"}, {"id": "b"}]}'


def upstream(port: int) -> Upstream:
    url = HttpUrl(scheme="http", host="127.0.0.1", port=port, path="/v1")
    return Upstream(name="u", base_url=url, api_key=Secret("sk-1"))


def asked(server: Server, **changes: object) -> Answer:
    with server.running() as port:
        changed = replace(upstream(port), **changes)  # type: ignore[arg-type]
        return ask_models([changed])["u"]


def test_an_upstream_lists_its_models() -> None:
    """An upstream is asked as the gateway asks it, and its models are counted."""
    server = Server(200, MODELS)

    answer = asked(server, headers={"x-team": Secret("t")})

    assert answer == Answer(good=True, words="reachable, 2 models", models=frozenset({"a", "b"}))
    ((path, fields),) = server.asked
    assert path == "/v1/models"
    assert fields["authorization"] == "Bearer sk-1"
    assert fields["x-team"] == "t"


@pytest.mark.parametrize("prefix", ["", "/openai"])
def test_azure_is_asked_in_its_own_way(prefix: str) -> None:
    """Azure has its own path, version and header."""
    server = Server(200, MODELS)
    with server.running() as port:
        url = HttpUrl(scheme="http", host="127.0.0.1", port=port, path=prefix)
        azure = replace(upstream(port), kind="azure", base_url=url, api_version="2024-10-21")
        answer = ask_models([azure])["u"]

    ((path, fields),) = server.asked
    assert answer.good
    assert path == "/openai/models?api-version=2024-10-21"
    assert fields["api-key"] == "sk-1"
    assert "authorization" not in fields


@pytest.mark.parametrize(
    ("status", "body", "good", "words"),
    [
        (200, b"<html>", True, "reachable, but its list of models cannot be read"),
        (200, b'{"data": [1]}', True, "reachable, but its list of models cannot be read"),
        (200, b"[" * 100_000, True, "reachable, but its list of models cannot be read"),
        (401, b"", False, "refuses the key (401)"),
        (403, b"", False, "refuses the key (403)"),
        (404, b"", True, "reachable, lists no models (404); does base_url end in /v1?"),
        (500, b"", False, "answers 500"),
    ],
)
def test_what_an_upstream_may_answer(status: int, body: bytes, good: bool, words: str) -> None:
    """Each answer is told in words that say what to mend."""
    assert asked(Server(status, body)) == Answer(good=good, words=words)


def test_a_passthrough_upstream_has_no_key_of_ours() -> None:
    """That it refuses us without the client's key is in order."""
    answer = asked(Server(401, b""), auth="passthrough", api_key=None)

    assert answer == Answer(good=True, words="reachable, asks for the client's key (401)")


def test_a_redirect_is_not_followed() -> None:
    """A key goes to the configured address and nowhere else."""
    other = Server(200, MODELS)
    with other.running() as port:
        answer = asked(Server(302, b"", location=f"http://127.0.0.1:{port}/v1/models"))

    assert answer == Answer(good=False, words="answers 302")
    assert other.asked == []


def test_the_environments_proxy_is_not_obeyed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only a proxy of the configuration is used."""
    proxy, server = Server(200, MODELS), Server(200, MODELS)
    with proxy.running() as port:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{port}")
        assert asked(server).good
        assert (len(proxy.asked), len(server.asked)) == (0, 1)

        assert asked(server, proxy=SecretUrl(f"http://127.0.0.1:{port}")).good
        assert (len(proxy.asked), len(server.asked)) == (1, 1)


def test_an_upstream_that_is_not_there(unused_tcp_port: int) -> None:
    """What the system says is passed on."""
    assert ask_models([upstream(unused_tcp_port)])["u"] == Answer(
        good=False, words="cannot be reached: Connection refused"
    )


def test_an_upstream_that_speaks_something_else() -> None:
    """Bytes that are no HTTP are no crash."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.recv(1024)
            self.request.sendall(b"220 smtp.example.com\r\n")

    server = socketserver.TCPServer(("127.0.0.1", 0), Handler)
    with serving(server):
        answer = ask_models([upstream(server.socket.getsockname()[1])])["u"]

    assert answer == Answer(good=False, words="cannot be reached: BadStatusLine")


def test_authorities_that_cannot_be_read(tmp_path: Path, unused_tcp_port: int) -> None:
    """A file without a certificate is told, not crashed on."""
    ca_file = tmp_path / "ca.pem"
    ca_file.write_text("nothing", encoding="utf-8")

    answer = ask_models([replace(upstream(unused_tcp_port), ca_file=ca_file)])["u"]

    assert not answer.good
    assert answer.words.startswith("cannot be reached: ")


def test_every_upstream_is_asked() -> None:
    """One that is down does not hide another."""
    with Server(200, MODELS).running() as up, Server(500, b"").running() as down:
        answers = ask_models([upstream(up), replace(upstream(down), name="v")])

    assert [(name, answer.good) for name, answer in answers.items()] == [("u", True), ("v", False)]


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_readiness_is_asked_where_the_gateway_listens(host: str) -> None:
    """A listener on every address is asked on loopback."""
    server = Server(200, b"ok")
    with server.running() as port:
        answer = ask_ready(TcpAddress(host=host, port=port))

    assert answer == Answer(good=True, words="ready")
    assert [path for path, _ in server.asked] == ["/readyz"]


def test_a_gateway_that_drains_is_not_ready() -> None:
    """Any other status than 200 is told."""
    with Server(503, b"draining").running() as port:
        answer = ask_ready(TcpAddress(host="127.0.0.1", port=port))

    assert answer == Answer(good=False, words=f"not ready: 127.0.0.1:{port} answers 503")


def test_readiness_over_a_unix_socket(tmp_path: Path) -> None:
    """An admin listener may be a socket in the file system."""
    path = str(tmp_path / "admin.sock")

    with serving(socketserver.UnixStreamServer(path, Server(200, b"ok").handler)):
        assert ask_ready(UnixAddress(path=path)) == Answer(good=True, words="ready")

    assert ask_ready(UnixAddress(path=f"{path}x")) == Answer(
        good=False, words=f"no answer from unix:{path}x: No such file or directory"
    )


def test_a_port_that_nobody_knows() -> None:
    """Port 0 cannot be asked."""
    assert ask_ready(TcpAddress(host="127.0.0.1", port=0)) == Answer(
        good=False, words="admin.listen has port 0: nobody knows where it is"
    )
