"""What a call is expected to need, and what is learned for it."""

import pytest

from gateway.limit_estimates import (
    MAX_PAIRS,
    REMEMBERED_CALLS,
    START_OUTPUT_TOKENS,
    Demand,
    Estimate,
    LearnedOutputs,
    Needs,
)
from gateway.prices import Price
from tests.support.limiting import call

PRICE = Price(input=2_000, cached_input=1_000, output=8_000)


@pytest.mark.parametrize(
    ("asked", "n", "most", "tokens", "most_tokens"),
    [
        (100, 1, None, 150, 150),
        (100, 3, None, 350, 350),
        (100, 1, 40, 90, 90),
        (None, 1, None, 550, 50 + (1 << 40)),
        (None, 1, 4096, 550, 4146),
        (None, 1, 40, 90, 90),
        (None, 1, 0, 50, 50),
    ],
)
def test_the_output_is_what_was_asked_or_what_is_expected(
    asked: int | None, n: int, most: int | None, tokens: int, most_tokens: int
) -> None:
    """The request's maximum for each choice, else what was learned; never more than the model can."""
    demand = Demand(
        "alice",
        call(max_output_tokens=asked, n=n),
        Estimate(input_tokens=50, max_output_tokens=most),
        None,
        500,
    )

    assert demand.needs == Needs(1, tokens, most_tokens)


def test_money_follows_the_tokens() -> None:
    """Expected and at most, in nanodollars."""
    demand = Demand(
        "alice",
        call(max_output_tokens=None),
        Estimate(input_tokens=50, max_input_tokens=80, max_output_tokens=1000),
        PRICE,
        500,
    )

    assert demand.needs == Needs(1, 550, 1080, 50 * 2 + 500 * 8, 80 * 2 + 1000 * 8)


def test_without_guesses_the_input_is_left() -> None:
    """And the output that the client itself asked for, or that the model's maximum bounds."""
    estimate = Estimate(input_tokens=50)
    bounded = Estimate(input_tokens=50, max_output_tokens=1000)

    assert Demand("a", call(max_output_tokens=None), estimate, PRICE, 500).without_guess() == Needs(
        1, 50, 50, 100, 100
    )
    assert Demand("a", call(max_output_tokens=None), bounded, None, 500).without_guess() == Needs(
        1, 50, 1050
    )
    assert Demand("a", call(max_output_tokens=7), estimate, None, 500).without_guess() == Needs(
        1, 57, 57
    )


def test_the_95th_percentile_is_learned_by_model_and_user() -> None:
    """Of the last calls; a start value before the first."""
    outputs = LearnedOutputs()
    assert outputs.expect("gpt-4o", "alice") == START_OUTPUT_TOKENS
    for tokens in range(1, 41):
        outputs.learn("gpt-4o", "alice", tokens)

    assert outputs.expect("gpt-4o", "alice") == 38
    assert outputs.expect("gpt-4o", "bob") == START_OUTPUT_TOKENS
    assert outputs.expect("o3", "alice") == START_OUTPUT_TOKENS
    for _ in range(REMEMBERED_CALLS):
        outputs.learn("gpt-4o", "alice", 7)
    assert outputs.expect("gpt-4o", "alice") == 7


def test_what_is_learned_is_bounded() -> None:
    """The pair that was quiet longest is forgotten."""
    outputs = LearnedOutputs()
    outputs.learn(None, "first", 5)
    outputs.learn(None, "second", 5)
    outputs.learn(None, "first", 6)
    for number in range(MAX_PAIRS - 1):
        outputs.learn("m", f"user-{number}", 5)

    assert len(outputs) == MAX_PAIRS
    assert outputs.expect(None, "first") == 6
    assert outputs.expect(None, "second") == START_OUTPUT_TOKENS
