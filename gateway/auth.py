"""Who calls: a key's digest looked up among the configured ones, and what that caller may ask for.

Keys are never kept or logged: only their SHA-256 is compared.
"""

import hashlib
import hmac
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

from gateway.clock import Clock
from gateway.errors import AuthenticationError, NotFoundError, PermissionDeniedError
from gateway.types import Headers, User

CREDENTIAL_HEADERS = (b"authorization", b"api-key", b"x-api-key")

_CREDENTIAL_LENGTHS = frozenset(map(len, CREDENTIAL_HEADERS))

ANONYMOUS = User(name="anonymous", configured=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyEntry:
    """A configured key: its digest, its owner, and when it ends (seconds since 1970, UTC; None: never)."""

    sha256: str
    user: User
    expires: float | None = None


def credential(headers: Headers) -> str | None:
    """Return the one key that a request carries, None where it carries none that can be read as one.

    Raises AuthenticationError for two that differ or two of one name.
    """
    found: tuple[bytes, bytes] | None = None
    for name, value in headers:
        if len(name) in _CREDENTIAL_LENGTHS and (lower := name.lower()) in CREDENTIAL_HEADERS:
            if found is not None:
                return _one_of_several(headers)
            found = lower, value
    return None if found is None else _token(*found) or None


def _one_of_several(headers: Headers) -> str | None:
    found: dict[bytes, str] = {}
    for name, value in headers:
        lower = name.lower()
        if lower in CREDENTIAL_HEADERS:
            if lower in found:
                raise AuthenticationError("The request carries more than one API key.")
            found[lower] = _token(lower, value)
    keys = {key for key in found.values() if key}
    if len(keys) > 1:
        raise AuthenticationError("The request carries API keys that differ.")
    return keys.pop() if keys else None


def _token(name: bytes, value: bytes) -> str:
    """Return the key that a field holds, empty where it holds none: a key may have spaces in it."""
    text = value.decode("latin-1").strip()
    if name != b"authorization":
        return text
    scheme, _, token = text.partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


class Authenticator:
    """Turns a request's key into a user.

    With `keys` every caller needs one of them; without, anybody is let in, and where `name_by_key` is set (the
    clients' own keys go up) each is named after the digest of the key.
    """

    def __init__(
        self,
        keys: Iterable[KeyEntry],
        clock: Clock,
        *,
        required: bool,
        name_by_key: bool = False,
        endpoints: tuple[str, ...] | None = None,
    ) -> None:
        self._keys: Mapping[str, KeyEntry] = {entry.sha256: entry for entry in keys}
        self._clock = clock
        self._required = required
        self._name_by_key = name_by_key
        self._endpoints = endpoints

    def identify(self, key: str | None) -> User:
        """Return the user that `key` belongs to.

        Raises AuthenticationError.
        """
        if not self._required:
            if key is None or not self._name_by_key:
                return ANONYMOUS
            digest = hashlib.sha256(key.encode("latin-1")).hexdigest()
            return User(name="key-" + digest[:12], configured=False)
        if key is None:
            raise AuthenticationError(
                "You didn't provide an API key. Send it in an Authorization header using Bearer auth"
                " (i.e. Authorization: Bearer YOUR_KEY).",
                code=None,
            )
        # Anew each time, for half a microsecond: what is remembered by a shorter hash could take one key for another.
        digest = hashlib.sha256(key.encode("latin-1")).hexdigest()
        entry = self._keys.get(digest)
        if entry is None or not hmac.compare_digest(entry.sha256, digest):
            raise AuthenticationError("Incorrect API key provided.")
        if entry.expires is not None and self._clock.time() >= entry.expires:
            raise AuthenticationError("The API key provided has expired.")
        return entry.user

    def permit_endpoint(self, user: User, method: str, path: str, *, shareable: bool) -> None:
        """Let `user` call `method` `path`, or raise PermissionDeniedError.

        `shareable`: whether users of one upstream account may call it without seeing one another's data.
        """
        if not self._required:
            allowed = self._endpoints is None or matches_endpoint(self._endpoints, method, path)
        elif self._endpoints is None:
            allowed = shareable
        else:
            allowed = matches_endpoint(self._endpoints, method, path)
        if not allowed and not matches_endpoint(user.endpoints or (), method, path):
            raise PermissionDeniedError(
                f"This API key may not call {method} {path}.", code="endpoint_not_allowed"
            )


def permit_model(user: User, model: str | None) -> None:
    """Let `user` ask for `model`, or raise PermissionDeniedError.

    A call whose model is not known is refused to a user who may use only some.
    """
    if user.models is None:
        return
    if model is None:
        raise PermissionDeniedError(
            "This API key may use only some models, and the request does not say which one it is for.",
            code="model_not_found",
            param="model",
        )
    if not may_use(user, model):
        raise PermissionDeniedError(
            f"This API key may not use the model `{model[:200]}`.",
            code="model_not_found",
            param="model",
        )


def may_use(user: User, model: str) -> bool:
    """Return whether `user` may ask for `model`."""
    return user.models is None or any(fnmatchcase(model, glob) for glob in user.models)


def unknown_model(model: str) -> NotFoundError:
    """Return OpenAI's own words for a model that does not exist."""
    return NotFoundError(
        f"The model `{model[:200]}` does not exist or you do not have access to it.",
        code="model_not_found",
        param="model",
    )


def matches_endpoint(globs: Iterable[str], method: str, path: str) -> bool:
    """Return whether "METHOD /path" matches one of `globs` ("GET /v1/files*", "* /v1/batches")."""
    return any(fnmatchcase(f"{method} {path}", glob) for glob in globs)
