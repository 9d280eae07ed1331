"""Who may talk to a local port at all, before anybody is asked who they are: hosts, origins, preflights.

A page in a browser can reach a loopback port under a name of its own (DNS rebinding) and send forms across sites;
both are refused here. Host and Origin may refuse, they never grant.
"""

import ipaddress
from urllib.parse import urlsplit

from gateway.errors import PermissionDeniedError
from gateway.types import Headers

MAX_SEEN = 64

ALLOWED_METHODS = b"GET, HEAD, POST, PUT, PATCH, DELETE"


class Guard:
    """The rules of one listener."""

    def __init__(
        self, *, loopback: bool, allowed_hosts: tuple[str, ...], cors_origins: tuple[str, ...]
    ) -> None:
        self._loopback = loopback
        self._hosts = frozenset(host.lower() for host in allowed_hosts)
        self._origins = frozenset(cors_origins)
        # What was found good, as it was written, and what is answered to it.
        self._seen: dict[tuple[bytes | None, bytes | None, bytes | None], Headers] = {}

    def check(self, host: bytes | None, origin: bytes | None, fetch_site: bytes | None) -> Headers:
        """Refuse by a request's own words: PermissionDeniedError; return the CORS headers for a listed origin.

        What was let through before is let through at once.
        """
        asked = (host, origin, fetch_site)
        cors = self._seen.get(asked)
        if cors is None:
            name = _text(host)
            self.check_host(name)
            cors = self.check_origin(_text(origin), _text(fetch_site), name)
            if len(self._seen) < MAX_SEEN:
                self._seen[asked] = cors
        return cors

    def check_host(self, host: str | None) -> None:
        """Refuse a Host that a listener on loopback cannot have: PermissionDeniedError."""
        if host is None or not (self._loopback or self._hosts):
            return
        name = _hostname(host)
        if name in self._hosts or name == "localhost" or _is_address(name):
            return
        raise PermissionDeniedError(
            "This host name is not among server.allowed_hosts.", code="host_not_allowed"
        )

    def check_origin(self, origin: str | None, fetch_site: str | None, host: str | None) -> Headers:
        """Refuse a page of another site (PermissionDeniedError); return the CORS headers for one that is listed."""
        if origin is None:
            if fetch_site in ("cross-site", "same-site"):
                raise _refused()
            return ()
        if origin in self._origins:
            return (
                (b"access-control-allow-origin", origin.encode("latin-1")),
                (b"access-control-expose-headers", b"*"),
                (b"vary", b"Origin"),
            )
        if not host or _authority(origin) != host.lower():
            raise _refused()
        return ()

    @staticmethod
    def preflight(requested_headers: bytes) -> Headers:
        """Return what answers a preflight of a listed origin, beside its own (Fetch standard, CORS protocol)."""
        return (
            (b"access-control-allow-methods", ALLOWED_METHODS),
            (b"access-control-allow-headers", requested_headers or b"authorization, content-type"),
            (b"access-control-max-age", b"600"),
        )


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode("utf-8", "surrogateescape")


def _refused() -> PermissionDeniedError:
    return PermissionDeniedError(
        "This origin is not among server.cors_origins.", code="origin_not_allowed"
    )


def _authority(origin: str) -> str | None:
    try:
        return urlsplit(origin).netloc.lower() or None
    except ValueError:
        return None


def _hostname(host: str) -> str:
    if host.startswith("["):
        name, bracket, port = host[1:].partition("]")
        return name if bracket and port[:1] in ("", ":") else host
    name, _, _ = host.partition(":")
    return name.lower().rstrip(".")


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
