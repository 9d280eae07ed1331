"""What the page is told: the counters of /metrics, added up."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from gateway.metering import Meter
from gateway.metrics import Metrics
from gateway.status.board import MAX_USERS, About, StatusBoard
from gateway.types import Call, Record, Target, Usage, User
from tests.support.clock import FakeClock


class Running:
    """A board over counters that calls move."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.metrics = Metrics()
        self.meter = Meter(self.metrics, self.clock)
        self.trouble: str | None = None
        self.board = StatusBoard(self.meter, self.clock, lambda: self.trouble)
        self.board.sample()

    def record(self, user: str = "alice", **known: object) -> Record:
        self.metrics.user.admit([user])
        call = Call(
            endpoint="/v1/chat/completions",
            method="POST",
            target="/chat/completions",
            headers=(),
            body=b"",
            model="fast",
            stream=True,
        )
        return Record(
            request_id="call",
            endpoint=call.endpoint,
            method="POST",
            started=self.clock.monotonic(),
            user=User(name=user),
            call=call,
            target=Target(upstream="up", model="gpt-4o-mini"),
            **known,  # type: ignore[arg-type]
        )

    def call(self, user: str = "alice", status: int = 200, **known: object) -> None:
        record = self.record(user, status=status, **known)
        self.meter.begin(record)
        self.clock.advance(0.1)
        self.meter.end(record)

    def whole(self) -> Mapping[str, Any]:
        told: Mapping[str, Any] = json.loads(json.dumps(self.board.whole()))
        return told


@pytest.fixture
def running() -> Running:
    return Running()


def test_calls_add_up(running: Running) -> None:
    """Tokens, money, shares of failures and refusals, and how long it took."""
    usage = Usage(input_tokens=100, cached_input_tokens=40, output_tokens=10, reasoning_tokens=4)
    running.call(usage=usage, cost_nanodollars=2_000_000, first_byte_at=running.clock.monotonic())
    running.call(status=503)
    running.call(status=429)
    running.call(left="streaming")
    running.clock.advance(9.6)
    told = running.whole()

    assert told["calls_ever"] == 4
    assert told["calls_per_second"] == pytest.approx(0.4)
    assert (told["input_tokens"], told["output_tokens"]) == (100, 10)
    assert told["usd"] == told["usd_ever"] == 0.002
    # A client that left is neither.
    assert (told["failed_share"], told["refused_share"]) == (0.25, 0.25)
    assert told["first_token_p50"] == pytest.approx(0.0005)
    assert told["own_p95"] is not None
    assert [call["status"] for call in told["calls"]] == [200, 503, 429, 499]


def test_what_is_in_flight(running: Running) -> None:
    """Calls, streams, and where they are."""
    running.board.about = About(
        upstreams={"up": "http://127.0.0.1:9/v1", "idle": "http://[::1]/v1"}
    )
    record = running.record()
    running.meter.begin(record)
    running.metrics.streams.set((), 1)
    told = running.whole()
    running.meter.end(record)

    assert (told["in_flight"], told["streams"]) == (1, 1)
    assert [(one["name"], one["in_flight"]) for one in told["upstreams"]] == [
        ("up", 1),
        ("idle", 0),
    ]
    assert running.whole()["in_flight"] == 0


def test_upstreams_and_their_failures(running: Running) -> None:
    """What was asked of each in the last minutes, what failed, and for which models it cools down."""
    running.board.about = About(upstreams={"up": "http://127.0.0.1:9/v1"})
    running.metrics.show_health(lambda: {("up", ""): 1.0, ("up", "gpt-4o-mini"): 0.0})
    running.metrics.model.admit(["gpt-4o-mini"])
    for status in ("200", "429", "502", "connect"):
        running.metrics.upstream_asked("up", status)

    assert running.whole()["upstreams"] == [
        {
            "name": "up",
            "where": "http://127.0.0.1:9/v1",
            "cooling": ["gpt-4o-mini"],
            "in_flight": 0,
            "asked": 4,
            "failed": 2,
        }
    ]


def test_users_beside_their_limits(running: Running) -> None:
    """Whoever is nearest to a limit comes first; each user's fullest limit too."""
    running.call("alice", usage=Usage(input_tokens=3, output_tokens=4), cost_nanodollars=1_000_000)
    running.call("bob")
    running.call("bob")
    running.metrics.limit_used.read = lambda: {
        ("alice", "user", "requests"): 0.2,
        ("alice", "user", "tokens"): 0.9,
    }

    assert running.whole()["users"] == [
        {
            "name": "alice",
            "calls": 1,
            "tokens": 7,
            "usd": 0.001,
            "limits": [
                {"dimension": "tokens", "per": "user", "used": 0.9},
                {"dimension": "requests", "per": "user", "used": 0.2},
            ],
        },
        {"name": "bob", "calls": 2, "tokens": 0, "usd": 0, "limits": []},
    ]


def test_many_users_are_counted_not_listed(running: Running) -> None:
    """What a page is told stays small."""
    for number in range(MAX_USERS + 7):
        running.call(f"user-{number}")
    told = running.whole()

    assert (len(told["users"]), told["more_users"]) == (MAX_USERS, 7)


def test_cache_hits(running: Running) -> None:
    """Answers that no upstream was asked for, as a share of those that the cache looked at."""
    for outcome in ("hit", "hit", "collapsed", "miss", "bypass"):
        running.metrics.cache_requests.add((outcome,))
    running.metrics.cache_bytes.set((), 2048)
    told = running.whole()

    assert (told["cached_share"], told["cache_bytes"]) == (0.75, 2048)


def test_news_are_what_is_new(running: Running) -> None:
    """Calls are told once, and the newest point until there is a newer one."""
    running.call()
    first = running.board.news()
    assert [call["number"] for call in first["calls"]] == [1]  # type: ignore[attr-defined]
    assert first["points"] == []

    running.clock.advance(10)
    running.board.sample()
    second = running.board.news()

    assert second["calls"] == []
    assert [point["time"] for point in second["points"]] == [running.clock.time()]  # type: ignore[attr-defined]


def test_trouble_is_told(running: Running) -> None:
    """As readiness has it."""
    assert running.whole()["trouble"] is None

    running.trouble = "draining"

    assert running.whole()["trouble"] == "draining"
