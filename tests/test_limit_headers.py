"""OpenAI's words for limits, byte for byte."""

import pytest

from gateway.limit_headers import duration, headers, refusal
from gateway.limit_rules import Budget, LimitRule, Rate, rows
from gateway.stores import NEVER, Decision
from gateway.stores.memory import MemoryStore
from tests.support.clock import FakeClock

SUBJECT = {"user": "alice", "group": None, "end_user": "bob", "model": "gpt-4o"}
RULE = LimitRule(
    per=("user",),
    requests=(Rate(60, 60), Rate(1000, 86_400)),
    tokens=(Rate(40_000, 60),),
    budget=(Budget(5 * 10**9, "day"),),
    concurrency=10,
)
# 2027-01-15T08:00:00Z
NOW = 1_800_000_000.0
REQUESTS, DAILY = rows(RULE, "requests", SUBJECT, NOW)
(TOKENS,) = rows(RULE, "tokens", SUBJECT, NOW)
(BUDGET,) = rows(RULE, "budget", SUBJECT, NOW)
(PLACES,) = rows(RULE, "concurrency", SUBJECT, NOW)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (0.0001, "1ms"),
        (0.017, "17ms"),
        (0.9995, "1s"),
        (1, "1s"),
        (1.5, "1.5s"),
        (59.999, "59.999s"),
        (60, "1m0s"),
        (72.172, "1m12.172s"),
        (360, "6m0s"),
        (3600, "1h0m0s"),
        (86_400, "24h0m0s"),
        (90_061.5, "25h1m1.5s"),
    ],
)
def test_times_are_written_as_openai_does(seconds: float, text: str) -> None:
    """Rounded up to the millisecond."""
    assert duration(seconds) == text


def test_each_dimension_tells_of_its_tightest_limit() -> None:
    """Six headers; 10 of 1,000 left is less than 20 of 60."""
    charges = [(REQUESTS.bucket, 1), (DAILY.bucket, 1), (TOKENS.bucket, 787)]
    decision = Decision(MemoryStore(FakeClock()), charges, [0, 0, 0], [40, 990, 50_000])
    decision.resets = [60.0, 3600.5, 0.408]

    assert headers((("requests", (0, 1)), ("tokens", (2,))), decision) == (
        (b"x-ratelimit-limit-requests", b"1000"),
        (b"x-ratelimit-remaining-requests", b"10"),
        (b"x-ratelimit-reset-requests", b"1h0m0.5s"),
        (b"x-ratelimit-limit-tokens", b"40000"),
        (b"x-ratelimit-remaining-tokens", b"0"),
        (b"x-ratelimit-reset-tokens", b"408ms"),
    )


def test_an_old_decision_tells_the_time_that_is_left() -> None:
    """A remembered refusal's times run on."""
    decision = Decision(MemoryStore(FakeClock()), [(REQUESTS.bucket, 1)], [0], [60])
    decision.resets = [20.0]

    found = dict(headers((("requests", (0,)),), decision, age_seconds=5.25))

    assert found[b"x-ratelimit-reset-requests"] == b"14.75s"
    assert dict(headers((("requests", (0,)),), decision, 99.0))[b"x-ratelimit-reset-requests"] == (
        b"0s"
    )


def test_a_reached_rate_is_told_in_openais_sentence() -> None:
    """Type, code, words; and when to come back, surely late enough."""
    error = refusal(TOKENS, model="gpt-4o", requested=787, used=39_485, retry_after_seconds=0.4074)

    assert error.message == (
        "Rate limit reached for gpt-4o for user alice on tokens per min (TPM): Limit 40000,"
        " Used 39485, Requested 787. Please try again in 408ms."
    )
    assert (error.status, error.error_type, error.code) == (429, "tokens", "rate_limit_exceeded")
    assert error.headers == {"retry-after": "1", "retry-after-ms": "408"}


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (59.9, {"retry-after": "60", "retry-after-ms": "59901"}),
        (60.5, {"retry-after": "61", "retry-after-ms": "60501", "x-should-retry": "false"}),
        (0, {"retry-after": "1", "retry-after-ms": "1"}),
    ],
)
def test_what_a_minute_cannot_cure_is_not_to_be_tried_again(
    seconds: float, told: dict[str, str]
) -> None:
    """SDKs ignore a longer time and would come back at once."""
    error = refusal(DAILY, model=None, requested=1, used=1000, retry_after_seconds=seconds)

    assert error.headers == told
    assert error.message.startswith(
        "Rate limit reached for user alice on requests per day (RPD): Limit 1000, Used 1000,"
    )
    assert error.error_type == "requests"


def test_what_is_larger_than_the_whole_is_told_so() -> None:
    """There is no time to come back."""
    error = refusal(TOKENS, model="gpt-4o", requested=41_000, used=0, retry_after_seconds=NEVER)

    assert error.message == (
        "Request too large for gpt-4o for user alice on tokens per min (TPM): Limit 40000,"
        " Requested 41000. The input or output tokens must be reduced in order to run successfully."
    )
    assert error.headers == {"x-should-retry": "false"}


def test_concurrency_is_told_as_requests() -> None:
    """OpenAI has no word of its own for it."""
    error = refusal(PLACES, model="gpt-4o", requested=1, used=10, retry_after_seconds=0.999)

    assert error.message == (
        "Rate limit reached for gpt-4o for user alice on concurrent requests: Limit 10, Used 10,"
        " Requested 1. Please try again in 1s."
    )
    assert error.error_type == "requests"


def test_a_spent_budget_is_an_insufficient_quota() -> None:
    """Agents look at the code; a person at what was spent and when it is renewed."""
    error = refusal(
        BUDGET, model="gpt-4o", requested=30_000_000, used=4_980_000_000, retry_after_seconds=57_600
    )

    assert error.message == (
        "You exceeded your current quota for user alice: $5.00 per day, $4.98 used,"
        " $0.03 requested. It is renewed at 2027-01-16T00:00:00Z."
    )
    assert (error.error_type, error.code) == ("insufficient_quota", "insufficient_quota")
    assert error.headers == {
        "retry-after": "57601",
        "retry-after-ms": "57600001",
        "x-should-retry": "false",
    }
