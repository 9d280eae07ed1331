"""What is told of a call: who, what, how long, how much; nothing of what was said."""

from gateway.entries import Entry
from gateway.types import Target, Usage, User

ENTRY = Entry(
    time=1_800_000_000.25,
    request_id="call-1",
    status=200,
    user=User(name="alice", group="research"),
    end_user="bob@example.com",
    method="POST",
    target="/v1/chat/completions?key=sk-secret",
    endpoint="/v1/chat/completions",
    model="fast",
    answered=Target(upstream="openai", model="gpt-4o-mini"),
    attempts=2,
    usage=Usage(
        input_tokens=100,
        cached_input_tokens=60,
        output_tokens=50,
        reasoning_tokens=30,
        estimated=True,
    ),
    cost_nanodollars=123_456_789,
    cache="miss",
    sent_bytes=999,
    queue_seconds=0.5,
    first_byte_seconds=0.25,
    total_seconds=1.0,
    own_seconds=0.0012345,
)


def test_the_line_of_a_call() -> None:
    """Every field of the log's line, in its order; the path without its query, the end user as a digest."""
    assert ENTRY.fields() == {
        "request_id": "call-1",
        "user": "alice",
        "end_user": "5ff860bf1190596c",
        "method": "POST",
        "path": "/v1/chat/completions",
        "endpoint": "/v1/chat/completions",
        "model": "fast",
        "served": "gpt-4o-mini",
        "upstream": "openai",
        "attempts": 2,
        "status": 200,
        "code": None,
        "input_tokens": 100,
        "cached_input_tokens": 60,
        "output_tokens": 50,
        "reasoning_tokens": 30,
        "estimated": True,
        "cost_usd": 0.123456789,
        "cache": "miss",
        "sent_bytes": 999,
        "queue_ms": 500.0,
        "first_byte_ms": 250.0,
        "total_ms": 1000.0,
        "own_ms": 1.234,
    }


def test_the_line_of_the_usage_log() -> None:
    """Who pays, for what, how much; the money to the nanodollar."""
    assert ENTRY.account() == {
        "time": "2027-01-15T08:00:00.250Z",
        "request_id": "call-1",
        "user": "alice",
        "group": "research",
        "end_user": "5ff860bf1190596c",
        "endpoint": "/v1/chat/completions",
        "model": "fast",
        "served": "gpt-4o-mini",
        "upstream": "openai",
        "status": 200,
        "input_tokens": 100,
        "cached_input_tokens": 60,
        "audio_input_tokens": 0,
        "output_tokens": 50,
        "reasoning_tokens": 30,
        "audio_output_tokens": 0,
        "estimated": True,
        "cost_usd": 0.123456789,
        "cache": "miss",
    }


def test_what_is_not_known_is_null() -> None:
    """A request that could not be read has a line too."""
    fields = Entry(0.0, "call-1", 400, "invalid_http", unsaid=3).fields()

    told = {name: value for name, value in fields.items() if value}
    assert told == {
        "request_id": "call-1",
        "status": 400,
        "code": "invalid_http",
        "lines_not_logged": 3,
    }


def test_long_paths_are_cut() -> None:
    """A path that somebody made up takes no more of a line than 256 characters."""
    path = ENTRY._replace(target="/" + "x" * 8000).fields()["path"]

    assert path == "/" + "x" * 255
