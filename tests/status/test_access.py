"""Who may see the status page."""

import pytest

from gateway.status.access import FOREIGN_NAME, FOREIGN_PAGE, NETWORK, Access

TOKEN = "a-token-of-the-operator"


def test_over_a_network_it_needs_a_token_and_says_so() -> None:
    """Without one the page is closed, whoever asks."""
    access = Access(loopback=False)

    assert access.closed("127.0.0.1:9464") == NETWORK
    assert "admin.token" in NETWORK


@pytest.mark.parametrize("host", ["127.0.0.1:9464", "localhost:9464", "[::1]:9464", "10.0.0.1"])
def test_on_this_machine_it_is_open(host: str) -> None:
    """Under an address, or as localhost."""
    access = Access(loopback=True)

    assert access.closed(host) is None
    assert access.permits(None, None)


@pytest.mark.parametrize("host", ["evil.example", "evil.example:9464", "127.0.0.1.evil.example"])
def test_on_this_machine_a_foreign_name_is_refused(host: str) -> None:
    """A page that rebinds its own name to this machine reads nothing."""
    assert Access(loopback=True).closed(host) == FOREIGN_NAME


def test_with_a_token_any_name_will_do() -> None:
    """A proxy in front has a name of its own; the token is what counts."""
    access = Access(loopback=True, token=TOKEN)

    assert access.closed("status.example.com") is None
    assert not access.permits(None, None)


def test_the_token_and_the_cookie_for_it() -> None:
    """Either shows it; nothing else does."""
    access = Access(loopback=False, token=TOKEN)

    assert access.permits(f"Bearer {TOKEN}", None)
    assert access.permits(f"bearer {TOKEN}", None)
    assert access.permits(None, access.cookie())
    assert not access.permits(f"Basic {TOKEN}", None)
    assert not access.permits("Bearer ", None)
    assert not access.permits("Bearer \udcff", None)
    assert not access.permits(None, TOKEN)
    assert not access.permits(None, Access(loopback=False, token="another").cookie())
    assert not Access(loopback=True).is_token("")


def test_the_cookie_is_not_the_token() -> None:
    """Who reads it cannot use it elsewhere; and no text of it shows the token."""
    access = Access(loopback=False, token=TOKEN)

    assert TOKEN not in access.cookie()
    assert TOKEN not in repr(access)


def test_pages_of_other_sites_get_no_events() -> None:
    """They could not read them, but would take the places of those who look."""
    access = Access(loopback=True)

    assert access.foreign(None, "cross-site", "127.0.0.1:9464") == FOREIGN_PAGE
    assert access.foreign("https://evil.example", None, "127.0.0.1:9464") == FOREIGN_PAGE
    assert access.foreign(None, "same-origin", "127.0.0.1:9464") is None
    assert access.foreign(None, None, "127.0.0.1:9464") is None
