"""Scripts: where they stand in a request, and what is no script."""

import re
from pathlib import Path

import msgspec
import pytest

from gateway.demo_upstream.script import Failure, Script, read_script


def test_a_request_without_a_script_is_answered_promptly_and_whole() -> None:
    """Nothing in the request means nothing special in the answer."""
    assert read_script(None, b'{"model":"demo"}', is_json=True) == Script()


def test_the_member_of_the_body_is_read() -> None:
    """A JSON body carries its script in `demo`, beside anything else."""
    body = b'{"model":"m","demo":{"pace_ms":20,"cut_after":3}}'

    assert read_script(None, body, is_json=True) == Script(pace_ms=20, cut_after=3)


def test_the_header_goes_before_the_body() -> None:
    """A header decides alone, so that a body can be left as it is."""
    script = read_script('{"error": 503}', b'{"demo":{"error":429}}', is_json=True)

    assert script.failure == Failure(status=503)


def test_a_body_that_is_not_json_has_no_script() -> None:
    """The word in a binary body means nothing."""
    assert read_script(None, b'\xff"demo"', is_json=False) == Script()


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ('{"eror": 429}', "unknown field `eror`"),
        ('{"error": 200}', "Expected `int` >= 400"),
        ('{"pace_ms": "slow"}', "Expected `float | null`, got `str` - at `$.pace_ms`"),
        ("429", "Expected `object`, got `int`"),
    ],
)
def test_a_wrong_script_is_refused_by_name(header: str, words: str) -> None:
    """A typo is told, not ignored: a test that asks for a fault must get it."""
    with pytest.raises(msgspec.ValidationError, match=re.escape(words)):
        read_script(header, b"", is_json=False)


@pytest.mark.parametrize("struct", [Script, Failure])
def test_every_member_is_documented(struct: type[msgspec.Struct]) -> None:
    """Whoever can type it can read what it does."""
    text = (Path(__file__).parents[2] / "docs" / "demo.md").read_text(encoding="utf-8")

    missing = [
        field.name for field in msgspec.structs.fields(struct) if f"`{field.name}`" not in text
    ]
    assert missing == []
