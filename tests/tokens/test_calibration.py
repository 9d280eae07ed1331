"""Learning a tokenizer from what its upstream reports."""

import random

import pytest

from gateway.tokens.calibration import Calibration, Features


def features(content: int, messages: int, tools: int) -> Features:
    return Features(content, messages, tools, int(tools > 0))


def samples(count: int, seed: int) -> list[tuple[Features, int]]:
    """Return prompts and what a made-up model counts for them: its own vocabulary and template, and 3 % of noise."""
    dice = random.Random(seed)
    made = []
    for _ in range(count):
        x = features(dice.randint(5, 5_000), dice.randint(1, 30), dice.choice([0, 0, 120, 800]))
        truth = (
            1.4 * x.content_tokens + 6 * x.messages + 1.8 * x.tool_tokens + 50 * x.has_tools + 12
        )
        made.append((x, round(truth * dice.uniform(0.97, 1.03))))
    return made


def test_predictions_come_close() -> None:
    """After fifty replies the median error is small, and the margin covers nearly all of it."""
    calibration = Calibration()
    for x, truth in samples(50, seed=1):
        calibration.observe("m", x, truth)

    errors, covered = [], 0
    for x, truth in samples(200, seed=2):
        prediction = calibration.predict("m", x)
        assert prediction is not None
        errors.append(abs(prediction.tokens - truth) / truth)
        covered += abs(prediction.tokens - truth) <= prediction.margin_tokens
    assert sorted(errors)[100] < 0.04
    assert covered >= 180


def test_nothing_is_said_before_something_was_seen() -> None:
    """Two replies are too few; impossible reports are no replies."""
    calibration = Calibration()
    x = features(100, 2, 0)

    for _ in range(2):
        calibration.observe("m", x, 130)
        calibration.observe("m", x, 0)
    assert calibration.predict("m", x) is None
    calibration.observe("m", x, 130)
    assert calibration.predict("m", x) is not None
    assert calibration.predict("other", x) is None


def test_years_of_the_same_prompt_leave_it_sane() -> None:
    """What is never exercised does not drift away while one prompt comes again and again."""
    calibration = Calibration()
    for _ in range(20_000):
        calibration.observe("m", features(100, 2, 0), 150)

    usual = calibration.predict("m", features(100, 2, 0))
    new = calibration.predict("m", features(100, 2, 100))
    for _ in range(5):
        calibration.observe("m", features(100, 2, 100), 300)
        calibration.observe("m", features(200, 4, 0), 280)
    later = calibration.predict("m", features(150, 3, 100))
    assert usual is not None
    assert new is not None
    assert usual.tokens == pytest.approx(150, abs=2)
    assert 150 <= new.tokens <= 500
    assert later is not None
    assert later.tokens == pytest.approx(365, rel=0.05)


def test_the_number_of_models_is_bounded() -> None:
    """The model seen longest ago is forgotten."""
    calibration = Calibration(max_models=2)
    x = features(10, 1, 0)
    for model in ("a", "b", "c"):
        for _ in range(3):
            calibration.observe(model, x, 20)

    assert calibration.predict("a", x) is None
    assert calibration.predict("c", x) is not None
