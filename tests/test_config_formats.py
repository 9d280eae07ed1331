"""How values are written: what is taken, what is refused and in which words."""

from collections.abc import Callable
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import config_formats as formats
from gateway.config_types import BadValueError, HttpUrl, TcpAddress, UnixAddress

Parse = Callable[[str], object]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("500ms", 0.5), ("30s", 30.0), ("1.5s", 1.5), ("5m", 300.0), ("1h", 3600.0), ("0s", 0.0)],
)
def test_durations(text: str, seconds: float) -> None:
    """A duration is a number and its unit."""
    assert formats.parse_duration(text) == seconds


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.5, "500ms"), (75.0, "75s"), (600.0, "600s"), (7200.0, "2h"), (0, "0s")]
)
def test_durations_are_shown_in_a_plain_unit(seconds: float, text: str) -> None:
    """Hours where they are whole, else seconds, else milliseconds."""
    assert formats.show_duration(seconds) == text


@given(st.integers(0, 10**9))
def test_every_duration_reads_back(milliseconds: int) -> None:
    """What is shown of a duration means the same duration."""
    seconds = milliseconds / 1000

    assert formats.parse_duration(formats.show_duration(seconds)) == pytest.approx(seconds)


@given(st.integers(0, 2**50))
def test_every_size_reads_back(size_bytes: int) -> None:
    """What is shown of a size means the same size."""
    shown = formats.show_size(size_bytes)

    assert formats.parse_size(shown) == size_bytes if len(shown) <= 13 else True


@pytest.mark.parametrize(
    ("text", "size"), [("512B", 512), ("64KiB", 65536), ("32MiB", 33554432), ("1GiB", 2**30)]
)
def test_sizes(text: str, size: int) -> None:
    """A size is a whole number and a binary unit."""
    assert formats.parse_size(text) == size
    assert formats.show_size(size) == text


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:4000", TcpAddress(host="127.0.0.1", port=4000)),
        ("LocalHost:0", TcpAddress(host="localhost", port=0)),
        ("[::1]:4000", TcpAddress(host="::1", port=4000)),
        ("0.0.0.0:65535", TcpAddress(host="0.0.0.0", port=65535)),
        ("unix:/run/g.sock", UnixAddress(path="/run/g.sock")),
    ],
)
def test_listen_addresses(text: str, address: object) -> None:
    """TCP by name or address, IPv6 in brackets, Unix sockets by path."""
    assert formats.parse_listen(text) == address


@pytest.mark.parametrize(
    ("text", "url"),
    [
        (
            "https://api.openai.com/v1",
            HttpUrl(scheme="https", host="api.openai.com", port=443, path="/v1"),
        ),
        ("http://[::1]:8000/v1/", HttpUrl(scheme="http", host="::1", port=8000, path="/v1")),
        ("HTTP://vllm_1", HttpUrl(scheme="http", host="vllm_1", port=80, path="")),
    ],
)
def test_upstream_urls(text: str, url: HttpUrl) -> None:
    """A URL is taken apart; its path loses a slash at its end."""
    assert formats.parse_url(text) == url


@pytest.mark.parametrize(
    ("parse", "text"),
    [
        (formats.parse_duration, "30"),
        (formats.parse_duration, "-1s"),
        (formats.parse_duration, "1d"),
        (formats.parse_duration, "1e3s"),
        (formats.parse_duration, "٣s"),
        (formats.parse_size, "32MB"),
        (formats.parse_size, "1.5MiB"),
        (formats.parse_size, "9999999999999B"),
        (formats.parse_listen, "4000"),
        (formats.parse_listen, ":4000"),
        (formats.parse_listen, "[::1:4000"),
        (formats.parse_listen, "[localhost]:4000"),
        (formats.parse_listen, "127.0.0.1:65536"),
        (formats.parse_listen, "127.0.0.1:4_0"),
        (formats.parse_listen, "http://127.0.0.1:4000"),
        (formats.parse_url, "api.openai.com/v1"),
        (formats.parse_url, "ftp://api.openai.com"),
        (formats.parse_url, "https://"),
        (formats.parse_url, "https://host:99999/v1"),
        (formats.parse_url, "https://host:0/v1"),
        (formats.parse_url, "https://ho\tst/v1"),
        (formats.parse_url, "https://hö.example/v1"),
        (formats.parse_proxy, "proxy:3128"),
        (formats.parse_sha256, "9f86"),
        (formats.parse_sha256, "g" * 64),
        (formats.parse_day, "tomorrow"),
        (formats.parse_day, "2027-1-1"),
        (formats.parse_origin, "app.example.com"),
        (formats.parse_origin, "https://app.example.com/"),
        (formats.parse_origin, "*"),
        (formats.parse_endpoint, "/v1/files"),
        (formats.parse_endpoint, "get /v1/files"),
        (formats.parse_header_name, "x y"),
        (formats.parse_header_name, ""),
        (formats.parse_name, "a b"),
        (formats.parse_name, "ä"),
        (formats.parse_host_name, "a:80"),
        (formats.parse_text, " "),
        (formats.parse_text, "a\nb"),
        (formats.parse_text, "\udcff"),
    ],
)
def test_what_is_refused_in_the_words_of_its_format(parse: Parse, text: str) -> None:
    """A text of the wrong form is refused; what was expected is said by whoever reads it."""
    with pytest.raises(BadValueError) as raised:
        parse(text)

    assert str(raised.value) == ""


@pytest.mark.parametrize(
    ("parse", "text", "why"),
    [
        (formats.parse_listen, "::1:4000", "an IPv6 address stands in brackets: [::1]:4000"),
        (
            formats.parse_listen,
            "unix:g.sock",
            "a Unix socket needs an absolute path: unix:/run/gateway.sock",
        ),
        (
            formats.parse_url,
            "https://u:p@host/v1",
            "a user or password in the URL is not allowed; give `api_key`",
        ),
        (
            formats.parse_url,
            "https://host/v1?key=1",
            "a query or fragment in the URL is not allowed",
        ),
        (formats.parse_proxy, "http://proxy:3128/path", "a proxy's URL ends after its port"),
        (formats.parse_secret, "", "it is empty"),
        (
            formats.parse_secret,
            "key\n",
            "it holds line breaks, blanks at its ends or characters outside ASCII",
        ),
        (formats.parse_client_key, "short", "a key has at least 16 characters"),
        (formats.parse_header_name, "Transfer-Encoding", "this header belongs to the connection"),
        (formats.parse_header_name, "Host", "this header belongs to the connection"),
        (formats.parse_end_user_header, "X-Api-Key", "this header carries credentials"),
        (formats.parse_day, "2027-02-29", "there is no such day"),
    ],
)
def test_what_is_refused_for_a_reason(parse: Parse, text: str, why: str) -> None:
    """Where the form is right and the value is not, the reason is told, and never the value."""
    with pytest.raises(BadValueError) as raised:
        parse(text)

    assert str(raised.value) == why


def test_what_is_taken_in_one_spelling() -> None:
    """Digests, header names, hosts and origins are kept in lower case."""
    assert formats.parse_sha256("AB" * 32) == "ab" * 32
    assert formats.parse_header_name("OpenAI-Organization") == "openai-organization"
    assert formats.parse_end_user_header("X-End-User") == "x-end-user"
    assert formats.parse_host_name("My.Host") == "my.host"
    assert formats.parse_host_name("[::1]") == "::1"
    assert formats.parse_origin("https://App.example.com:8443") == "https://app.example.com:8443"
    assert formats.parse_origin("tauri://localhost") == "tauri://localhost"


def test_what_is_taken_as_it_is() -> None:
    """Names, texts, endpoints, days and secrets stay what they were."""
    assert formats.parse_name("vllm-1.local_a") == "vllm-1.local_a"
    assert formats.parse_text("zoë@example.com") == "zoë@example.com"
    assert formats.parse_endpoint("GET /v1/files*") == "GET /v1/files*"
    assert formats.parse_day("2027-01-31") == date(2027, 1, 31)
    assert formats.parse_secret("sk 1").reveal() == "sk 1"
    assert formats.parse_client_key("x" * 16).reveal() == "x" * 16
    assert formats.parse_proxy("http://me:pw@proxy:3128").reveal() == "http://me:pw@proxy:3128"
