"""Browsers and names: who may reach a local port."""

import pytest

from gateway.errors import PermissionDeniedError
from gateway.guard import Guard


def guard(loopback: bool = True, origins: tuple[str, ...] = ()) -> Guard:
    return Guard(loopback=loopback, allowed_hosts=("gateway.internal",), cors_origins=origins)


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1:4000",
        "localhost",
        "LOCALHOST:4000",
        "[::1]:4000",
        "192.168.1.7",
        "gateway.internal",
        None,
    ],
)
def test_hosts_that_a_loopback_listener_has(host: str | None) -> None:
    """Addresses, localhost and the listed names are let through."""
    guard().check_host(host)


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example:4000", "", "127.0.0.1.nip.io"]
)
def test_rebound_names_are_refused(host: str) -> None:
    """A page that points its own name at loopback is refused."""
    with pytest.raises(PermissionDeniedError) as refused:
        guard().check_host(host)

    assert refused.value.code == "host_not_allowed"


def test_names_are_free_off_loopback_unless_listed() -> None:
    """Off loopback any Host will do when no names are listed."""
    Guard(loopback=False, allowed_hosts=(), cors_origins=()).check_host("api.example")


@pytest.mark.parametrize(
    ("origin", "fetch_site"),
    [
        ("https://evil.example", None),
        ("null", None),
        (None, "cross-site"),
        (None, "same-site"),
        ("http://localhost:9999", "same-site"),
    ],
)
def test_pages_of_other_sites_are_refused(origin: str | None, fetch_site: str | None) -> None:
    """A browser's page from elsewhere may not call, whether it says so by Origin or Sec-Fetch-Site."""
    with pytest.raises(PermissionDeniedError) as refused:
        guard().check_origin(origin, fetch_site, "localhost:4000")

    assert refused.value.code == "origin_not_allowed"


def test_programs_and_the_same_origin_pass() -> None:
    """What is no browser sends no Origin; a page of the gateway's own origin is no stranger."""
    assert guard().check_origin(None, None, "localhost:4000") == ()
    assert guard().check_origin(None, "none", "localhost:4000") == ()
    assert guard().check_origin("http://localhost:4000", "same-origin", "localhost:4000") == ()


def test_a_listed_origin_gets_its_headers() -> None:
    """A listed origin's page may call and read the reply's headers."""
    cors = guard(origins=("https://app.example",)).check_origin(
        "https://app.example", "cross-site", "localhost:4000"
    )

    assert cors == (
        (b"access-control-allow-origin", b"https://app.example"),
        (b"access-control-expose-headers", b"*"),
        (b"vary", b"Origin"),
    )
    assert Guard.preflight(b"authorization,x-stainless-os") == (
        (b"access-control-allow-methods", b"GET, HEAD, POST, PUT, PATCH, DELETE"),
        (b"access-control-allow-headers", b"authorization,x-stainless-os"),
        (b"access-control-max-age", b"600"),
    )
