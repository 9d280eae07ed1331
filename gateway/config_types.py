"""The values that a configuration is made of, and the marks that its fields carry.

How they are written as text is in `config_formats`; which keys there are is in `config`.
"""

import ipaddress
import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

_DEFAULT_PORTS = {"http": 80, "https": 443}


class BadValueError(Exception):
    """A text that cannot be read, and why, never quoting it. Empty: see the format's `expected`."""


@dataclass(frozen=True, slots=True)
class Doc:
    """What a key means, in one line."""

    text: str


@dataclass(frozen=True, slots=True)
class Range:
    """The least and the greatest value, both allowed, in the field's own unit."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Format:
    """A way to write a value: `parse` reads its text or raises BadValueError, `show` writes it."""

    name: str
    # Completes "expected …".
    expected: str
    # What an editor can check beforehand; None: any text.
    pattern: re.Pattern[str] | None
    parse: Callable[[str], object]
    show: Callable[..., str] = str
    # Whether a message must not quote the text: a secret, or where one is easily put by mistake.
    secret: bool = False


@dataclass(frozen=True, slots=True)
class OneOrMore:
    """Marks a list that may be written as its only item."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimit:
    """At most `amount` in any window of `window_seconds`, written in `unit`."""

    amount: int
    window_seconds: int
    unit: str

    def __str__(self) -> str:
        return f"{self.amount}/{self.unit}"


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetLimit:
    """At most so much money in a calendar day or month, UTC."""

    usd: Decimal
    period: Literal["day", "month"]

    def __str__(self) -> str:
        return f"{self.usd}/{self.period}"


class Secret:
    """A text that must not be seen: `reveal` alone gives it out."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """Return the secret itself."""
        return self._value

    def __str__(self) -> str:
        return "********"

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)


class SecretUrl(Secret):
    """A URL that may carry a user and a password, which are not seen."""

    __slots__ = ()

    def __str__(self) -> str:
        return re.sub(r"//[^/]*@", "//********@", self.reveal())


@dataclass(frozen=True, slots=True, kw_only=True)
class TcpAddress:
    """Where a TCP listener binds; port 0 lets the system choose."""

    host: str
    port: int

    @property
    def is_loopback(self) -> bool:
        """Whether this machine alone can connect."""
        return is_loopback(self.host)

    def __str__(self) -> str:
        return _authority(self.host, self.port)


@dataclass(frozen=True, slots=True, kw_only=True)
class UnixAddress:
    """The path of the Unix socket that a listener binds."""

    path: str

    @property
    def is_loopback(self) -> bool:
        """Whether this machine alone can connect: always."""
        return True

    def __str__(self) -> str:
        return f"unix:{self.path}"


ListenAddress = TcpAddress | UnixAddress


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpUrl:
    """An http or https URL without user, query and fragment; `path` never ends in a slash."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def is_loopback(self) -> bool:
        """Whether it leads to this machine alone."""
        return is_loopback(self.host)

    def __str__(self) -> str:
        port = None if self.port == _DEFAULT_PORTS[self.scheme] else self.port
        return f"{self.scheme}://{_authority(self.host, port)}{self.path}"


def is_loopback(host: str) -> bool:
    """Tell whether a host's name or address leads to this machine alone."""
    if host.lower().rstrip(".") == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback


def _authority(host: str, port: int | None) -> str:
    bracketed = f"[{host}]" if ":" in host else host
    return bracketed if port is None else f"{bracketed}:{port}"
