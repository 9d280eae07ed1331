"""What each /v1 path means: how its body is read, whether users may share it, whether it may be asked twice.

One `Endpoint` a path; `find` is the only way in. A path that stands in no row is relayed as it is where the
authorisation lets it.
"""

import re
from dataclasses import dataclass
from typing import Literal
from urllib.parse import unquote_to_bytes

from gateway.errors import InvalidRequestError, NotFoundError

# How a request's body is taken: none; JSON that is held and judged; anything, streamed up.
Body = Literal["none", "json", "stream"]
# Which API the body and the reply speak, where the gateway understands them; None: relayed as they are.
Kind = Literal["chat", "completions", "embeddings", "responses"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Endpoint:
    """One path of OpenAI's API, or the family of all others."""

    # The label in metrics and logs, bounded: ids are written {id}.
    path: str
    pattern: re.Pattern[str]
    methods: tuple[str, ...]
    body: Body = "none"
    kind: Kind | None = None
    # Users of one upstream account may all call it: it shows nobody another's data.
    shareable: bool = True
    # A call says which model it is for; one that does not is refused to keys that may use only some.
    names_model: bool = True
    # Nothing is created that asking again would create twice.
    repeatable: bool = True


def _endpoint(path: str, methods: str, **more: object) -> Endpoint:
    pattern = re.escape(path).replace(r"\{id\}", "[^/]+").replace(r"\{rest\}", ".+")
    return Endpoint(path=path, pattern=re.compile(pattern), methods=tuple(methods.split()), **more)  # type: ignore[arg-type]


# The first row that fits decides.
ENDPOINTS = (
    _endpoint("/v1/chat/completions", "POST", body="json", kind="chat"),
    _endpoint("/v1/completions", "POST", body="json", kind="completions"),
    _endpoint("/v1/embeddings", "POST", body="json", kind="embeddings"),
    # Stored by default, so asking twice would store twice.
    _endpoint("/v1/responses", "POST", body="json", kind="responses", repeatable=False),
    _endpoint("/v1/models", "GET HEAD", names_model=False),
    _endpoint("/v1/models/{rest}", "GET HEAD", names_model=False),
    _endpoint("/v1/moderations", "POST", body="json"),
    _endpoint("/v1/audio/speech", "POST", body="json"),
    _endpoint("/v1/images/generations", "POST", body="json"),
    _endpoint("/v1/audio/{rest}", "GET POST", body="stream", repeatable=False),
    _endpoint("/v1/images/{rest}", "GET POST", body="stream", repeatable=False),
    _endpoint(
        "/v1/responses/{rest}",
        "GET POST DELETE",
        body="stream",
        names_model=False,
        repeatable=False,
    ),
)
OTHER = _endpoint(
    "/v1/{rest}",
    "GET HEAD POST PUT PATCH DELETE",
    body="stream",
    shareable=False,
    names_model=False,
    repeatable=False,
)

MODELS = ENDPOINTS[4]
MODEL = ENDPOINTS[5]


_EXACT = {endpoint.path: endpoint for endpoint in ENDPOINTS if "{" not in endpoint.path}
# What most requests ask for: method and path.
USUAL = {(method, path): one for path, one in _EXACT.items() for method in one.methods}


def find(path: str, base_url: str) -> Endpoint:
    """Return what the raw path (no query) means; the method is the caller's to check.

    Raises NotFoundError with a hint at `base_url`; InvalidRequestError for a path that two readers could read in
    two ways: dot segments, doubled slashes, fragments, backslashes, controls, a known path in percent-encoding.
    """
    exact = _EXACT.get(path)
    if exact is not None:
        return exact
    plain = unquote_to_bytes(path).decode("utf-8", "replace")
    if _ambiguous(path, plain):
        raise InvalidRequestError(
            "The request's path is not in its normal form.", code="invalid_path"
        )
    endpoint = _match(path)
    if endpoint is None:
        raise NotFoundError(
            f"Unknown request URL: {path[:200]}.{_hint(path, base_url)}", code="unknown_url"
        )
    if plain != path and _match(plain) is not endpoint:
        raise InvalidRequestError(
            "The request's path is not in its normal form.", code="invalid_path"
        )
    return endpoint


def _match(path: str) -> Endpoint | None:
    if not path.startswith("/v1/") or path.endswith("/"):
        return None
    for endpoint in ENDPOINTS:
        if endpoint.pattern.fullmatch(path):
            return endpoint
    return OTHER


def _ambiguous(path: str, plain: str) -> bool:
    segments = plain.split("/")
    return (
        "." in segments
        or ".." in segments
        or "\\" in plain
        or any(ord(c) < 0x20 or ord(c) == 0x7F for c in plain)
        or "//" in path
        or ";" in path
        or "#" in path
    )


def _hint(path: str, base_url: str) -> str:
    known = "/v1" + path.rstrip("/") if not path.startswith("/v1") else path.rstrip("/")
    if any(endpoint.path == known for endpoint in ENDPOINTS):
        return f" Did you mean {known}? Set base_url to {base_url}."
    return f" The API is at {base_url}."
