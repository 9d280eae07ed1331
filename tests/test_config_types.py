"""Values: what they show of themselves, and which addresses are this machine's own."""

import pytest

from gateway.config_types import HttpUrl, Secret, SecretUrl, TcpAddress, UnixAddress, is_loopback


def test_a_secret_is_never_seen() -> None:
    """Neither text, nor repr, nor an f-string shows what only `reveal` gives out."""
    secret = Secret("hunter2")

    assert (str(secret), repr(secret), f"{secret}") == (
        "********",
        "Secret('********')",
        "********",
    )
    assert secret.reveal() == "hunter2"


def test_secrets_compare_by_value() -> None:
    """A reload can tell whether a secret changed."""
    assert Secret("a") == Secret("a")
    assert Secret("a") != Secret("b")
    assert len({Secret("a"), Secret("a")}) == 1


def test_a_proxy_shows_its_address_alone() -> None:
    """Of a URL with a password, host and port are seen."""
    assert str(SecretUrl("http://me:pass@proxy:3128")) == "http://********@proxy:3128"
    assert str(SecretUrl("http://proxy:3128")) == "http://proxy:3128"
    assert "p@ss" not in repr(SecretUrl("http://me:p@ss@proxy:3128"))


@pytest.mark.parametrize(
    ("host", "local"),
    [
        ("localhost", True),
        ("LOCALHOST.", True),
        ("127.0.0.1", True),
        ("127.8.9.1", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("0.0.0.0", False),
        ("::", False),
        ("10.0.0.1", False),
        ("localhost.example.com", False),
    ],
)
def test_loopback_in_all_its_spellings(host: str, local: bool) -> None:
    """What only this machine can reach is known by name and by address."""
    assert is_loopback(host) is local


def test_addresses_are_written_as_they_are_read() -> None:
    """IPv6 stands in brackets, a socket behind `unix:`, a URL without its scheme's own port."""
    assert str(TcpAddress(host="::1", port=4000)) == "[::1]:4000"
    assert str(UnixAddress(path="/run/g.sock")) == "unix:/run/g.sock"
    assert str(HttpUrl(scheme="https", host="a.b", port=443, path="/v1")) == "https://a.b/v1"
    assert str(HttpUrl(scheme="http", host="::1", port=443, path="")) == "http://[::1]:443"


def test_a_unix_socket_is_local() -> None:
    """A socket in the file system counts as loopback."""
    assert UnixAddress(path="/run/g.sock").is_loopback
