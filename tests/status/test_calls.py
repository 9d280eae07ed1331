"""The last calls."""

from gateway.entries import Entry
from gateway.status.calls import MAX_CALLS, MAX_NAME_CHARS, LastCalls
from gateway.types import Target, Usage, User


def test_what_is_shown_of_a_call() -> None:
    """Who, what, where, how it ended, what it cost; no id, no path, no end user."""
    calls = LastCalls()
    calls.note(
        Entry(
            1_800_000_000.5,
            "call-1",
            200,
            user=User(name="alice"),
            end_user="somebody",
            target="/chat/completions?key=secret",
            endpoint="/v1/chat/completions",
            model="fast",
            answered=Target(upstream="up", model="gpt-4o-mini"),
            attempts=2,
            usage=Usage(input_tokens=7, output_tokens=3, estimated=True),
            cost_nanodollars=1500,
            cache="miss",
            first_byte_seconds=0.2,
            total_seconds=0.5,
        )
    )

    assert calls.since(0) == [
        {
            "number": 1,
            "time": 1_800_000_000.5,
            "endpoint": "/v1/chat/completions",
            "user": "alice",
            "asked": "fast",
            "served": "gpt-4o-mini",
            "upstream": "up",
            "attempts": 2,
            "status": 200,
            "code": None,
            "input_tokens": 7,
            "output_tokens": 3,
            "estimated": True,
            "usd": 0.0000015,
            "cache": "miss",
            "seconds": 0.5,
            "first_byte_seconds": 0.2,
        }
    ]


def test_the_last_fifty_are_kept_and_only_new_ones_told() -> None:
    """Whoever knows the first so many is told those that came after."""
    calls = LastCalls()
    for number in range(MAX_CALLS + 10):
        calls.note(Entry(0.0, str(number), 200))

    assert [call["number"] for call in calls.since(0)] == list(range(11, MAX_CALLS + 11))
    assert [call["number"] for call in calls.since(MAX_CALLS + 8)] == [
        MAX_CALLS + 9,
        MAX_CALLS + 10,
    ]


def test_long_names_are_cut() -> None:
    """A model's name of a megabyte is neither kept nor shown."""
    calls = LastCalls()
    calls.note(Entry(0.0, "call-1", 404, model="m" * 1_000_000))

    (call,) = calls.since(0)
    assert call["asked"] == "m" * MAX_NAME_CHARS + "…"
