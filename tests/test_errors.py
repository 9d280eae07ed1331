"""What a client reads of a failure."""

import json

from gateway.errors import (
    GatewayError,
    InternalError,
    InvalidRequestError,
    NotFoundError,
    UnavailableError,
    UpstreamConnectError,
    UpstreamConnectTimeoutError,
    UpstreamError,
    UpstreamFailedError,
)


def test_the_body_is_openais_object() -> None:
    """Message, type, param and code, each null where there is nothing to say."""
    error = InvalidRequestError("Wrong é", code="invalid_value", param="messages[0].role")

    assert json.loads(error.body()) == {
        "error": {
            "message": "Wrong é",
            "type": "invalid_request_error",
            "param": "messages[0].role",
            "code": "invalid_value",
        }
    }
    assert json.loads(NotFoundError("x", code=None).body())["error"]["code"] is None


def test_a_status_can_be_its_own() -> None:
    """The kind gives a status that a case may narrow."""
    assert InvalidRequestError("x", code="y").status == 400
    assert InvalidRequestError("x", code="request_too_large", status=413).status == 413
    assert UpstreamFailedError("x", code="upstream_timeout", status=504).status == 504


def test_the_label_is_of_low_cardinality() -> None:
    """Metrics carry the code, or the type where there is none; never the message."""
    assert InvalidRequestError("some text", code="invalid_json").label == "invalid_json"
    assert NotFoundError("some text", code=None).label == "invalid_request_error"


def test_a_refusal_for_now_says_when_to_come_back() -> None:
    """503 carries retry-after."""
    assert UnavailableError("busy", code="overloaded").headers == {"retry-after": "1"}


def test_a_defect_tells_nothing_of_the_inside() -> None:
    """A 500 has one text, whatever happened."""
    error = InternalError()

    assert (error.status, error.code) == (500, "internal_error")
    assert error.message == "The gateway failed to process this request."


def test_what_a_surrogate_would_break_is_replaced() -> None:
    """A message that cannot be UTF-8 is still a body."""
    assert b"?" in GatewayError("\ud800", code=None).body()


def test_upstream_failures_are_not_for_clients() -> None:
    """What a transport says is another family; a connect that timed out is a connect that failed."""
    assert not issubclass(UpstreamError, GatewayError)
    assert issubclass(UpstreamConnectTimeoutError, UpstreamConnectError)
