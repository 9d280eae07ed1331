"""Replies: errors in OpenAI's shape, events as they stand on the wire."""

from gateway.demo_upstream.reply import data_event, error_reply, json_reply, named_event
from gateway.demo_upstream.script import Failure


def test_an_error_has_the_status_own_words() -> None:
    """A bare status becomes what OpenAI says for it, a 429 with `retry-after`."""
    reply = error_reply(Failure(status=429))

    assert reply.status == 429
    assert reply.headers == (("retry-after", "1"),)
    assert b"".join(reply.pieces) == (
        b'{"error":{"message":"Rate limit reached for demo on requests per min (RPM): Limit 3, '
        b'Used 3, Requested 1. Please try again in 1s.","type":"requests","param":null,'
        b'"code":"rate_limit_exceeded"}}'
    )


def test_an_error_says_what_it_is_told() -> None:
    """What the script spells out goes before OpenAI's words."""
    reply = error_reply(
        Failure(status=418, message="m", type="t", code="c", param="p", retry_after="7")
    )

    assert reply.headers == (("retry-after", "7"),)
    assert b"".join(reply.pieces) == (
        b'{"error":{"message":"m","type":"t","param":"p","code":"c"}}'
    )


def test_events_end_with_an_empty_line() -> None:
    """An event is its lines and an empty one, UTF-8 and not escaped."""
    assert data_event({"a": "ü"}) == 'data: {"a":"ü"}\n\n'.encode()
    assert named_event("done", {}) == b"event: done\ndata: {}\n\n"


def test_a_whole_reply_is_one_piece() -> None:
    """JSON is announced by its length."""
    reply = json_reply({"a": 1})

    assert list(reply.pieces) == [b'{"a":1}']
    assert reply.length_known
    assert not reply.is_events
