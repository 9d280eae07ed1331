"""What the demo upstream answers, before anything goes out: JSON, events, errors."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from http import HTTPStatus

import msgspec

from gateway.demo_upstream.script import Failure

JSON = "application/json"
EVENT_STREAM = "text/event-stream; charset=utf-8"

# Every reply carries the same stamp, so that the same request always gets the same bytes.
CREATED = 1_760_000_000

DONE = b"data: [DONE]\n\n"

_SERVER_ERROR = (
    "The server had an error while processing your request. Sorry about that!",
    "server_error",
    None,
)
# Status -> message, type, code as OpenAI has them.
_ERRORS: dict[int, tuple[str, str, str | None]] = {
    400: ("This request was scripted to be wrong.", "invalid_request_error", None),
    401: (
        "Incorrect API key provided: demo. You can find your API key at https://platform.openai.com/account/api-keys.",
        "invalid_request_error",
        "invalid_api_key",
    ),
    403: ("You are not allowed to do this.", "invalid_request_error", None),
    404: (
        "The model `demo` does not exist or you do not have access to it.",
        "invalid_request_error",
        "model_not_found",
    ),
    429: (
        "Rate limit reached for demo on requests per min (RPM): Limit 3, Used 3, Requested 1. "
        "Please try again in 1s.",
        "requests",
        "rate_limit_exceeded",
    ),
    503: (
        "The engine is currently overloaded, please try again later.",
        "service_unavailable_error",
        None,
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """One answer; `length_known`: its body is announced by its length, not sent in chunks."""

    pieces: Iterable[bytes]
    status: int = 200
    content_type: str = JSON
    headers: tuple[tuple[str, str], ...] = ()
    length_known: bool = True

    @property
    def is_events(self) -> bool:
        """Whether the body is a stream of events."""
        return self.content_type == EVENT_STREAM


def json_reply(value: object, *, status: int = 200) -> Reply:
    """Return a whole JSON reply."""
    return Reply(pieces=[msgspec.json.encode(value)], status=status)


def event_reply(events: Iterator[bytes]) -> Reply:
    """Return a stream of events, one piece each."""
    return Reply(pieces=events, content_type=EVENT_STREAM, length_known=False)


def data_event(value: object) -> bytes:
    """Return an event that only has data."""
    return b"data: %b\n\n" % msgspec.json.encode(value)


def named_event(name: str, value: object) -> bytes:
    """Return an event with a name, as /v1/responses sends them."""
    return b"event: %b\ndata: %b\n\n" % (name.encode(), msgspec.json.encode(value))


def error_reply(failure: Failure) -> Reply:
    """Return an error in OpenAI's shape: https://platform.openai.com/docs/guides/error-codes."""
    message, error_type, code = _ERRORS.get(failure.status, _SERVER_ERROR)
    error = {
        "message": message if failure.message is None else failure.message,
        "type": error_type if failure.type is None else failure.type,
        "param": failure.param,
        "code": code if failure.code is None else failure.code,
    }
    retry_after = failure.retry_after or (
        "1" if failure.status == HTTPStatus.TOO_MANY_REQUESTS else None
    )
    headers = (("retry-after", retry_after),) if retry_after else ()
    body = msgspec.json.encode({"error": error})
    return Reply(pieces=[body], status=failure.status, headers=headers)


def invalid_reply(message: str) -> Reply:
    """Return the refusal of a request that is wrong in itself."""
    return error_reply(Failure(status=400, message=message))
