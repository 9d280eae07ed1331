"""What upstreams write in JSON, and what their names for tokens mean."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.transcript.wire import ReplyError, error_of, parse, parse_array, usage_of
from gateway.types import Usage


@pytest.mark.parametrize(
    ("raw", "usage"),
    [
        (
            {"prompt_tokens": 19, "completion_tokens": 10, "total_tokens": 29},
            Usage(input_tokens=19, output_tokens=10),
        ),
        (
            {
                "prompt_tokens": 19,
                "completion_tokens": 10,
                "prompt_tokens_details": {"cached_tokens": 4, "audio_tokens": 2},
                "completion_tokens_details": {"reasoning_tokens": 3, "audio_tokens": 1},
            },
            Usage(
                input_tokens=19,
                cached_input_tokens=4,
                audio_input_tokens=2,
                output_tokens=10,
                reasoning_tokens=3,
                audio_output_tokens=1,
            ),
        ),
        (
            {
                "input_tokens": 36,
                "input_tokens_details": {"cached_tokens": 8},
                "output_tokens": 87,
                "output_tokens_details": {"reasoning_tokens": 64},
                "total_tokens": 123,
            },
            Usage(input_tokens=36, cached_input_tokens=8, output_tokens=87, reasoning_tokens=64),
        ),
        (
            {
                "type": "tokens",
                "input_tokens": 14,
                "input_token_details": {"text_tokens": 0, "audio_tokens": 14},
                "output_tokens": 45,
            },
            Usage(input_tokens=14, audio_input_tokens=14, output_tokens=45),
        ),
        ({"prompt_tokens": 8, "total_tokens": 8}, Usage(input_tokens=8)),
        ({"total_tokens": 8}, Usage(input_tokens=8)),
        # DeepSeek, Moonshot.
        (
            {"prompt_tokens": 9, "completion_tokens": 1, "prompt_cache_hit_tokens": 5},
            Usage(input_tokens=9, cached_input_tokens=5, output_tokens=1),
        ),
        (
            {"prompt_tokens": 9, "completion_tokens": 1, "cached_tokens": 5},
            Usage(input_tokens=9, cached_input_tokens=5, output_tokens=1),
        ),
        # Reasoning outside the output: xAI says how much, Gemini only in the total.
        (
            {
                "prompt_tokens": 30,
                "completion_tokens": 10,
                "total_tokens": 90,
                "completion_tokens_details": {"reasoning_tokens": 50},
            },
            Usage(input_tokens=30, output_tokens=60, reasoning_tokens=50),
        ),
        (
            {"prompt_tokens": 30, "completion_tokens": 10, "total_tokens": 90},
            Usage(input_tokens=30, output_tokens=60),
        ),
        # Parts never exceed the whole.
        (
            {
                "prompt_tokens": 4,
                "completion_tokens": 3,
                "prompt_tokens_details": {"cached_tokens": 9, "audio_tokens": 9},
                "completion_tokens_details": {"reasoning_tokens": 2, "audio_tokens": 9},
            },
            Usage(
                input_tokens=4,
                cached_input_tokens=4,
                output_tokens=3,
                reasoning_tokens=2,
                audio_output_tokens=1,
            ),
        ),
        ({"prompt_tokens": 12.0, "completion_tokens": None}, Usage(input_tokens=12)),
        (
            {"prompt_tokens": 1, "completion_tokens": 10**400, "prompt_tokens_details": 7},
            Usage(input_tokens=1),
        ),
    ],
)
def test_names_for_tokens_mean_the_same(raw: object, usage: Usage) -> None:
    """Every API's and vendor's usage comes to input and output, with their parts inside them."""
    assert usage_of(raw) == usage


@pytest.mark.parametrize(
    "raw",
    [
        None,
        {},
        [],
        7,
        "7",
        {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0},
        {"prompt_tokens": -1, "completion_tokens": True, "total_tokens": "9"},
        {"prompt_tokens": float("nan"), "completion_tokens": float("inf")},
        {"type": "duration", "seconds": 7},
    ],
)
def test_what_is_no_report_is_none(raw: object) -> None:
    """Nothing, zeros, and what are no counts report nothing."""
    assert usage_of(raw) is None


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["prompt_tokens", "output_tokens", "total_tokens", "prompt_tokens_details", "a"]
            ),
            inner,
            max_size=3,
        )
    ),
    max_leaves=8,
)


@given(json_values)
def test_any_usage_adds_up(raw: object) -> None:
    """Whatever an upstream reports, no part is negative or larger than what it is part of."""
    usage = usage_of(raw)

    if usage is not None:
        inputs = (usage.cached_input_tokens, usage.audio_input_tokens)
        outputs = (usage.reasoning_tokens, usage.audio_output_tokens)
        assert min(*inputs, *outputs) >= 0
        assert sum(inputs) <= usage.input_tokens
        assert sum(outputs) <= usage.output_tokens


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (
            b'{"error":{"message":"m","type":"invalid_request_error","code":"context_length_exceeded"}}',
            ReplyError(type="invalid_request_error", code="context_length_exceeded"),
        ),
        (b'{"error":{"code":429}}', ReplyError(code="429")),
        (b'{"error":{"type":"t","code":null}}', ReplyError(type="t")),
        (b'{"error":"model not found"}', ReplyError()),
        (
            b'{"object":"error","type":"BadRequestError","code":400}',
            ReplyError(type="BadRequestError", code="400"),
        ),
        (b'{"type":"error","code":"c","message":"m"}', ReplyError(type="error", code="c")),
        (b'{"response":{"error":{"code":"server_error"}}}', ReplyError(code="server_error")),
        (b'{"error":{"type":"' + b"x" * 99 + b'"}}', ReplyError(type="x" * 64)),
        (b'{"error":null}', None),
        (b'{"object":"chat.completion"}', None),
    ],
)
def test_errors_are_known_in_every_form(text: bytes, error: ReplyError | None) -> None:
    """An error's type and code are found where providers put them, and are never long."""
    reply = parse(text)

    assert reply is not None
    assert error_of(reply, reply.type) == error


@pytest.mark.parametrize(
    "text",
    [
        b'{"choices":"none","usage":{"prompt_tokens":3}}',
        b'{"choices":[{"delta":"x"}],"usage":{"prompt_tokens":3}}',
        b'{"choices":[{"logprob":NaN}],"usage":{"prompt_tokens":3}}',
        b'{"choices":[{"delta":{"content":"\\ud83d"}}],"usage":{"prompt_tokens":3}}',
        b'{"response":[],"x_groq":1,"usage":{"prompt_tokens":3}}',
    ],
)
def test_one_odd_member_hides_no_other(text: bytes) -> None:
    """Usage is found beside members of an unknown form, NaN and halves of surrogate pairs."""
    reply = parse(text)

    assert reply is not None
    assert usage_of(reply.usage) == Usage(input_tokens=3)


@pytest.mark.parametrize(
    "text",
    [b"", b"{", b'{"a":1}x', b"\xff", b"[" * 100_000, b'{"a":' * 100_000, b"1" * 5000 + b"x"],
)
def test_what_is_no_json_is_none(text: bytes) -> None:
    """Broken texts say nothing and raise nothing, nested ones too."""
    assert parse(text) is None
    assert parse_array(text) is None


@given(st.binary(max_size=30))
def test_no_text_raises(text: bytes) -> None:
    """Any bytes are read or are not."""
    parse(text)
    parse(b'{"choices":[' + text + b"]}")


def test_an_array_is_read_at_once() -> None:
    """Several texts come out as if they were read one by one."""
    replies = parse_array(b'[{"type":"a"},{"usage":{"prompt_tokens":3}}]')

    assert replies is not None
    assert [reply.type for reply in replies] == ["a", None]
    assert usage_of(replies[1].usage) == Usage(input_tokens=3)
