"""Every way a call can fail: its status, type, code and the envelope that the client reads.

`GatewayError` and its children are the closed list of what a client may be told by the gateway itself;
`UpstreamError` and its children are how a transport says what went wrong, and never reach a client as they are;
`StoreError` is how a store says that it cannot be asked.
Whatever is neither becomes an `InternalError` that carries nothing of the inside.
The envelope is OpenAI's: https://platform.openai.com/docs/guides/error-codes
"""

import json
import traceback

_SHOWN_CHARACTERS = 64


def whereabouts(error: BaseException) -> str:
    """Return where an error came up, without the values: a message may quote a prompt or a key."""
    frames = traceback.extract_tb(error.__traceback__)
    return " < ".join(f"{frame.name}:{frame.lineno}" for frame in reversed(frames))


def shown(text: str) -> str:
    """Return what a client sent, fit to stand in a message: quoted, cut, nothing invisible in it."""
    cut = text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "…"
    printable = (c if c.isprintable() else c.encode("unicode_escape").decode() for c in cut)
    return f"'{''.join(printable)}'"


class GatewayError(Exception):
    """A refusal or failure in the gateway's own words; only its text reaches a client.

    `code` is also the label that metrics and logs carry.
    `headers` are added to the reply: lower-case name to value.
    """

    status = 500
    error_type = "server_error"

    def __init__(
        self,
        message: str,
        *,
        code: str | None,
        param: str | None = None,
        status: int | None = None,
        error_type: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.param = param
        self.headers = headers or {}
        if status is not None:
            self.status = status
        if error_type is not None:
            self.error_type = error_type

    def again(self) -> "GatewayError":
        """Return the same failure for another caller: raising an exception writes its trace on it."""
        twin: GatewayError = type(self).__new__(type(self), self.message)
        vars(twin).update(vars(self))
        twin.headers = dict(self.headers)
        return twin

    @property
    def label(self) -> str:
        """The low-cardinality word that metrics carry for this error."""
        return self.code or self.error_type

    def body(self) -> bytes:
        """Return the JSON body in OpenAI's error shape."""
        error = {
            "message": self.message,
            "type": self.error_type,
            "param": self.param,
            "code": self.code,
        }
        return json.dumps({"error": error}, ensure_ascii=False).encode("utf-8", "replace")


class InvalidRequestError(GatewayError):
    """The request is wrong and stays wrong: 400, or another 4xx by `status`."""

    status = 400
    error_type = "invalid_request_error"


class AuthenticationError(GatewayError):
    """No key, a wrong key, an expired key, or several keys: 401."""

    status = 401
    error_type = "invalid_request_error"

    def __init__(self, message: str, *, code: str | None = "invalid_api_key") -> None:
        super().__init__(message, code=code, headers={"www-authenticate": "Bearer"})


class PermissionDeniedError(GatewayError):
    """The caller is known and may not do this: 403."""

    status = 403
    error_type = "invalid_request_error"


class NotFoundError(GatewayError):
    """No such path or model: 404."""

    status = 404
    error_type = "invalid_request_error"


class RateLimitError(GatewayError):
    """A limit is reached: 429; `error_type` is the dimension, `requests` or `tokens`, or `insufficient_quota`."""

    status = 429
    error_type = "requests"


class UpstreamFailedError(GatewayError):
    """The upstream could not be reached or understood: 502, or 504 when it was too slow."""

    status = 502
    error_type = "upstream_error"


class UnavailableError(GatewayError):
    """Not now: 503, with `retry-after`."""

    status = 503
    error_type = "service_unavailable_error"

    def __init__(self, message: str, *, code: str, retry_after_seconds: int = 1) -> None:
        super().__init__(message, code=code, headers={"retry-after": str(retry_after_seconds)})


class InternalError(GatewayError):
    """A defect of the gateway: 500, and nothing of the inside."""

    def __init__(self) -> None:
        super().__init__("The gateway failed to process this request.", code="internal_error")


class StoreError(Exception):
    """The store of shared state did not answer in time, or not sensibly; the text is for logs."""


class StartError(Exception):
    """The gateway cannot start, because a port is taken or a socket's folder is missing.

    The text is for its operator, on one line.
    """


class UpstreamError(Exception):
    """Something went wrong on the way to or from an upstream.

    The text is for logs: it may name addresses, and never reaches a client.
    """


class UpstreamConnectError(UpstreamError):
    """No connection was made: no byte of the request left, another try is safe."""


class UpstreamConnectTimeoutError(UpstreamConnectError):
    """No connection was made within its deadline."""


class NotRecordedError(UpstreamError):
    """Replies come from recordings alone, and there is none for this request.

    The text is for the client, whose tests run on recordings: it names the nearest one. Logs leave it out.
    """

    def __init__(self, told: str) -> None:
        super().__init__("nothing was recorded for this request")
        self.told = told


class UpstreamTimeoutError(UpstreamError):
    """A wait for the upstream's head, or for its next bytes, outlasted its deadline."""


class UpstreamProtocolError(UpstreamError):
    """The upstream's bytes break HTTP's rules: the connection is dropped."""


class UpstreamCutError(UpstreamError):
    """The upstream closed or reset the connection before its reply was whole."""
