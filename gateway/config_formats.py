"""How configuration values are written as text: one `Format` each, and the types that carry them.

No YAML, and nothing of what the keys are called.
"""

import ipaddress
import re
from datetime import date
from typing import Annotated
from urllib.parse import SplitResult, urlsplit

from gateway.config_types import (
    BadValueError,
    Format,
    HttpUrl,
    ListenAddress,
    Secret,
    SecretUrl,
    TcpAddress,
    UnixAddress,
)

KIB, MIB, GIB = 1024, 1024**2, 1024**3
MINUTE, HOUR = 60.0, 3600.0
MIN_KEY_CHARACTERS = 16

_DURATION = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,3})?)(ms|s|m|h)")
_DURATION_UNITS = {"h": HOUR, "m": MINUTE, "s": 1.0, "ms": 0.001}
_SIZE = re.compile(r"([0-9]{1,12})(B|KiB|MiB|GiB)")
_SIZE_UNITS = {"GiB": GIB, "MiB": MIB, "KiB": KIB, "B": 1}
_PORT = re.compile(r"[0-9]{1,5}")
_MAX_PORT = 65535
_HOST = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9._-]*[A-Za-z0-9_])?\.?")
_VISIBLE = re.compile(r"[\x21-\x7e]+")
_VISIBLE_OR_BLANK = re.compile(r"[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?")
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_SHA256 = re.compile(r"[0-9A-Fa-f]{64}")
_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://[^/?#@\s]+")
_ENDPOINT = re.compile(r"(\*|[A-Z]+) /\S*")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")

# The connection's own (RFC 9110, 7.6.1), and those that frame a message: nobody's to set.
_CONNECTION_HEADERS = frozenset(
    {"connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection"}
    | {"te", "trailer", "transfer-encoding", "upgrade", "content-length", "host", "expect"}
)
_CREDENTIAL_HEADERS = frozenset({"authorization", "api-key", "x-api-key", "cookie"})


def parse_duration(text: str) -> float:
    """Return the seconds of `500ms`, `30s`, `5m` or `1h`."""
    match = _DURATION.fullmatch(text)
    if match is None:
        raise BadValueError
    return float(match[1]) * _DURATION_UNITS[match[2]]


def show_duration(seconds: float) -> str:
    """Write seconds in whole hours, else whole seconds, else milliseconds."""
    milliseconds = round(seconds * 1000)
    if milliseconds % 1000:
        return f"{milliseconds}ms"
    hours, rest = divmod(milliseconds // 1000, round(HOUR))
    return f"{hours}h" if hours and not rest else f"{milliseconds // 1000}s"


def parse_size(text: str) -> int:
    """Return the bytes of `512B`, `64KiB`, `32MiB` or `1GiB`."""
    match = _SIZE.fullmatch(text)
    if match is None:
        raise BadValueError
    return int(match[1]) * _SIZE_UNITS[match[2]]


def show_size(size_bytes: int) -> str:
    """Write bytes in the largest unit that divides them."""
    for unit, factor in _SIZE_UNITS.items():
        count, rest = divmod(size_bytes, factor)
        if count and not rest:
            return f"{count}{unit}"
    return "0B"


def parse_listen(text: str) -> ListenAddress:
    """Return the address of `127.0.0.1:4000`, `[::1]:4000` or `unix:/run/gateway.sock`."""
    if text.startswith("unix:"):
        path = text.removeprefix("unix:")
        if not path.startswith("/") or not path.isprintable():
            raise BadValueError("a Unix socket needs an absolute path: unix:/run/gateway.sock")
        return UnixAddress(path=path)
    host, colon, port = text.rpartition(":")
    if not colon or not _PORT.fullmatch(port) or int(port) > _MAX_PORT:
        raise BadValueError
    return TcpAddress(host=_host(host, brackets=True), port=int(port))


def parse_url(text: str) -> HttpUrl:
    """Return an upstream's base URL, taken apart."""
    parts = _split_url(text)
    if "@" in parts.netloc:
        raise BadValueError("a user or password in the URL is not allowed; give `api_key`")
    if "?" in text or "#" in text:
        raise BadValueError("a query or fragment in the URL is not allowed")
    host = _host(parts.hostname or "", brackets=False)
    port = parts.port if parts.port is not None else {"http": 80, "https": 443}[parts.scheme]
    return HttpUrl(scheme=parts.scheme, host=host, port=port, path=parts.path.rstrip("/"))


def parse_proxy(text: str) -> SecretUrl:
    """Return the URL of an HTTP proxy; it may carry user and password."""
    parts = _split_url(text)
    _host(parts.hostname or "", brackets=False)
    if parts.path not in ("", "/") or "?" in text or "#" in text:
        raise BadValueError("a proxy's URL ends after its port")
    return SecretUrl(text)


def parse_secret(text: str) -> Secret:
    """Return what goes into a header unseen."""
    return Secret(_header_text(text))


def parse_client_key(text: str) -> Secret:
    """Return a client's key, long enough not to be guessed."""
    if len(text) < MIN_KEY_CHARACTERS:
        raise BadValueError(f"a key has at least {MIN_KEY_CHARACTERS} characters")
    return Secret(_header_text(text))


def parse_sha256(text: str) -> str:
    """Return a SHA-256 in lower-case hex."""
    return _matching(_SHA256, text).lower()


def parse_header_name(text: str) -> str:
    """Return the lower-case name of a header that may be set."""
    name = _matching(_TOKEN, text).lower()
    if name in _CONNECTION_HEADERS:
        raise BadValueError("this header belongs to the connection")
    return name


def parse_end_user_header(text: str) -> str:
    """Return the lower-case name of a header that may carry an end user's name."""
    name = parse_header_name(text)
    if name in _CREDENTIAL_HEADERS:
        raise BadValueError("this header carries credentials")
    return name


def parse_day(text: str) -> date:
    """Return the day of `2027-01-31`."""
    try:
        return date.fromisoformat(_matching(_DAY, text))
    except ValueError:
        raise BadValueError("there is no such day") from None


def parse_origin(text: str) -> str:
    """Return a browser's origin in lower case."""
    return _matching(_ORIGIN, text.lower())


def parse_host_name(text: str) -> str:
    """Return a host's name or address in lower case, without a port."""
    return _host(text, brackets=False)


def parse_endpoint(text: str) -> str:
    """Return a glob over "METHOD /path"."""
    return _matching(_ENDPOINT, text)


def parse_name(text: str) -> str:
    """Return a name that can stand in a header and in a metric."""
    return _matching(_NAME, text)


def parse_text(text: str) -> str:
    """Return a text that is not empty and can be printed."""
    if not text.strip() or not text.isprintable():
        raise BadValueError
    return text


def _matching(pattern: re.Pattern[str], text: str) -> str:
    if not pattern.fullmatch(text):
        raise BadValueError
    return text


def _header_text(text: str) -> str:
    if not text:
        raise BadValueError("it is empty")
    if not _VISIBLE_OR_BLANK.fullmatch(text):
        raise BadValueError("it holds line breaks, blanks at its ends or characters outside ASCII")
    return text


def _host(text: str, *, brackets: bool) -> str:
    bracketed = text.startswith("[") and text.endswith("]")
    bare = text[1:-1] if bracketed else text
    if ":" in bare:
        try:
            ipaddress.IPv6Address(bare)
        except ValueError:
            raise BadValueError from None
        if brackets and not bracketed:
            raise BadValueError("an IPv6 address stands in brackets: [::1]:4000")
        return bare.lower()
    if bracketed:
        raise BadValueError
    return _matching(_HOST, bare).lower()


def _split_url(text: str) -> SplitResult:
    # urlsplit drops tabs and line breaks in silence.
    try:
        parts = urlsplit(_matching(_VISIBLE, text))
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        raise BadValueError from None
    if not usable:
        raise BadValueError
    return parts


Seconds = Annotated[
    float,
    Format(
        "duration",
        "a duration such as 500ms, 30s, 5m or 1h",
        _DURATION,
        parse_duration,
        show_duration,
    ),
]
Bytes = Annotated[
    int, Format("size", "a size such as 64KiB or 32MiB", _SIZE, parse_size, show_size)
]
Listen = Annotated[
    ListenAddress,
    Format(
        "address", "127.0.0.1:4000, [::1]:4000 or unix:/run/gateway.sock", _VISIBLE, parse_listen
    ),
]
Url = Annotated[
    HttpUrl,
    Format("URL", "a URL such as https://api.openai.com/v1", _VISIBLE, parse_url, secret=True),
]
ProxyUrl = Annotated[
    SecretUrl,
    Format("proxy URL", "a URL such as http://proxy:3128", _VISIBLE, parse_proxy, secret=True),
]
SecretText = Annotated[
    Secret, Format("secret", "a secret", _VISIBLE_OR_BLANK, parse_secret, secret=True)
]
ClientKey = Annotated[
    Secret,
    Format(
        "client key",
        "a key of 16 characters or more",
        _VISIBLE_OR_BLANK,
        parse_client_key,
        secret=True,
    ),
]
Sha256 = Annotated[
    str,
    Format(
        "SHA-256",
        "64 hex digits, as `gateway keys digest` prints",
        _SHA256,
        parse_sha256,
        secret=True,
    ),
]
HeaderName = Annotated[str, Format("header name", "a header's name", _TOKEN, parse_header_name)]
EndUserHeader = Annotated[
    str, Format("header name", "a header's name", _TOKEN, parse_end_user_header)
]
Day = Annotated[date, Format("day", "a day such as 2027-01-31", _DAY, parse_day)]
Origin = Annotated[
    str, Format("origin", "an origin such as https://app.example.com", _ORIGIN, parse_origin)
]
HostName = Annotated[
    str, Format("host name", "a host's name or address, without a port", _VISIBLE, parse_host_name)
]
Endpoint = Annotated[
    str, Format("endpoint", 'a glob such as "GET /v1/files*"', _ENDPOINT, parse_endpoint)
]
Name = Annotated[
    str, Format("name", "a name of letters, digits, dots, dashes, underscores", _NAME, parse_name)
]
Text = Annotated[str, Format("text", "a text without control characters", None, parse_text)]
Glob = Annotated[str, Format("glob", "a name or a glob such as gpt-4*", None, parse_text)]
