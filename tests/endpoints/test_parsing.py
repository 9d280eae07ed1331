"""What the journey takes from a body."""

import pytest

from gateway.endpoints import find
from gateway.endpoints.parsing import parse
from gateway.errors import InvalidRequestError
from gateway.types import Call


def parsed(payload: dict[str, object], path: str = "/v1/chat/completions") -> Call:
    call = Call(
        endpoint="/v1/x", method="POST", target="/x", headers=(), body=b"", repeatable=False
    )
    parse(call, find(path, "http://gateway/v1"), b"{}", None, payload)
    return call


def test_what_a_call_says() -> None:
    """Model, stream, number of answers, bound and end user are read where they have their types."""
    call = parsed(
        {
            "model": "m",
            "stream": True,
            "n": 3,
            "max_completion_tokens": 9,
            "max_tokens": 5,
            "user": "u",
        }
    )

    assert (call.model, call.stream, call.n, call.max_output_tokens, call.end_user) == (
        "m",
        True,
        3,
        9,
        "u",
    )
    assert (call.endpoint, call.body) == ("/v1/x", b"{}")


def test_the_newer_name_of_the_end_user_comes_first() -> None:
    """`safety_identifier` is what OpenAI asks for today, `user` what it asked for before."""
    assert parsed({"model": "m", "safety_identifier": "s", "user": "u"}).end_user == "s"


@pytest.mark.parametrize(
    "payload",
    [
        {"stream": "yes", "n": "3", "max_tokens": -1, "user": 7},
        {"stream": None, "n": True, "max_tokens": 1.5, "user": ""},
    ],
)
def test_odd_values_are_not_guessed_at(payload: dict[str, object]) -> None:
    """What has another type says nothing here; judging it is the checks' matter."""
    call = parsed({"model": "m", **payload})

    assert (call.stream, call.n, call.max_output_tokens, call.end_user) == (False, 1, None, None)


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        ({}, "missing_required_parameter"),
        ({"model": ""}, "invalid_type"),
        ({"model": 7}, "invalid_type"),
        ({"model": None}, "invalid_type"),
        ({"model": ["m"]}, "invalid_type"),
    ],
)
def test_a_model_is_needed(payload: dict[str, object], code: str) -> None:
    """Without a model's name there is nowhere to go."""
    with pytest.raises(InvalidRequestError) as refused:
        parsed(payload)

    assert (refused.value.code, refused.value.param) == (code, "model")


def test_other_paths_need_none() -> None:
    """Where OpenAI has a default, a missing model is none."""
    assert parsed({"input": "x"}, "/v1/moderations").model is None


def test_what_is_not_stored_may_be_asked_again() -> None:
    """A response that the client does not want stored creates nothing."""
    assert not parsed({"model": "m"}, "/v1/responses").repeatable
    assert parsed({"model": "m", "store": False}, "/v1/responses").repeatable
