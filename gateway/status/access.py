"""Who may see the status page: whoever has the token; without a token, whoever sits at this machine."""

import hmac
from dataclasses import dataclass, field
from hashlib import sha256

from gateway.errors import PermissionDeniedError
from gateway.guard import Guard

# What the cookie's value is made of beside the token, so that it is of no use elsewhere.
_PURPOSE = b"gateway status page"

NETWORK = (
    "The status page shows names, models and spending. Reached over a network it needs a token:\n"
    "set admin.token in the configuration, or let admin.listen be a loopback address.\n"
)
FOREIGN_NAME = (
    "Reached under this name the status page needs a token: set admin.token in the configuration,\n"
    "or go to it by the machine's IP address or as localhost.\n"
)
FOREIGN_PAGE = "Another site's page may not read this one.\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """The rules of one configuration."""

    loopback: bool
    token: str | None = field(default=None, repr=False)
    _guard: Guard = field(
        default_factory=lambda: Guard(loopback=True, allowed_hosts=(), cors_origins=())
    )

    def closed(self, host: str | None) -> str | None:
        """Return why nobody may see the page under this Host; None: somebody may.

        With a token a foreign name does no harm: a page that rebinds its name has no cookie of ours.
        """
        if self.token is not None:
            return None
        if not self.loopback:
            return NETWORK
        try:
            self._guard.check_host(host)
        except PermissionDeniedError:
            return FOREIGN_NAME
        return None

    def foreign(self, origin: str | None, fetch_site: str | None, host: str | None) -> str | None:
        """Return why a browser may not have the events for the page that asks for them; None: it may."""
        try:
            self._guard.check_origin(origin, fetch_site, host)
        except PermissionDeniedError:
            return FOREIGN_PAGE
        return None

    def permits(self, authorization: str | None, cookie: str | None) -> bool:
        """Return whether a header or a cookie shows the token, or none is needed."""
        if self.token is None:
            return True
        scheme, _, sent = (authorization or "").partition(" ")
        if scheme.lower() == "bearer" and self.is_token(sent.strip()):
            return True
        return cookie is not None and _same(cookie, self.cookie())

    def is_token(self, sent: str) -> bool:
        """Compare in constant time."""
        return self.token is not None and _same(sent, self.token)

    def cookie(self) -> str:
        """Return what a browser keeps instead of the token: good for this page while the token is the same."""
        return hmac.new((self.token or "").encode(), _PURPOSE, sha256).hexdigest()


def _same(sent: str, expected: str) -> bool:
    return hmac.compare_digest(
        sent.encode("utf-8", "surrogateescape"), expected.encode("utf-8", "surrogateescape")
    )
