"""What a request may say: golden cases from body to refusal, and what holds for every body.

`data/validation_cases.jsonl` has a case a line: endpoint, mode, body (or its base64), headers where they
matter, and what is expected: null, or the error's status, type, param, code and, for many, its message.
"""

import base64
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from docs import generate_validation
from gateway.body_coding import check_content_coding, check_content_type, inflate
from gateway.endpoints import Kind
from gateway.endpoints.rules import RULES
from gateway.errors import InvalidRequestError
from gateway.json_body import decode
from gateway.validation import Mode, check

ROOT = Path(__file__).parent.parent
LINES = (ROOT / "tests/data/validation_cases.jsonl").read_text(encoding="utf-8")
CASES = [json.loads(line) for line in LINES.splitlines()]
MODES: tuple[Mode, ...] = ("strict", "lenient", "off")
MAX_BODY_BYTES = 1_000_000


def body_of(case: Mapping[str, str]) -> bytes:
    if "base64" in case:
        return base64.b64decode(case["base64"])
    return case["body"].encode()


def judge(body: bytes, kind: Kind, mode: Mode, headers: Mapping[str, str]) -> None:
    """Take a body the way that a request's takes."""
    check_content_type(headers.get("content-type", "application/json"))
    coding = headers.get("content-encoding", "identity")
    check_content_coding(coding)
    plain = inflate(body, coding, MAX_BODY_BYTES)
    check(decode(plain), RULES[kind], mode)


def refusal(
    body: bytes, kind: Kind, mode: Mode, headers: Mapping[str, str] | None = None
) -> InvalidRequestError | None:
    try:
        judge(body, kind, mode, headers or {})
    except InvalidRequestError as error:
        return error
    return None


@pytest.mark.parametrize("case", CASES, ids=[case["id"] for case in CASES])
def test_golden_cases(case: dict[str, Any]) -> None:
    """Each body is taken, or refused with OpenAI's status, type, param, code and words."""
    error = refusal(body_of(case), case["endpoint"], case["mode"], case.get("headers"))
    expected = case["expected"]
    if expected is None or error is None:
        assert (error and error.message) == expected
        return
    got = {"status": error.status, "type": error.error_type}
    got |= {"param": error.param, "code": error.code, "message": error.message}
    assert got == {"message": error.message, **expected}


def test_there_are_enough_cases() -> None:
    """Every endpoint and every mode has its cases, and no two have one name."""
    assert len(CASES) >= 300
    assert len({case["id"] for case in CASES}) == len(CASES)
    assert {case["endpoint"] for case in CASES} == set(RULES)
    assert {case["mode"] for case in CASES} == set(MODES)


NAMES = sorted({name for rules in RULES.values() for name in rules.body.members})
WORDS = ["text", "image_url", "function", "user", "assistant", "tool", "a", "", "x" * 70, "{param}"]
scalars = st.none() | st.booleans() | st.integers(-3, 200) | st.floats(allow_nan=False)
values = st.recursive(
    scalars | st.sampled_from(WORDS) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "role", "content", "text", "tool_calls", "tool_call_id", "id"])
            | st.sampled_from(["function", "name", "arguments", "image_url", "url", "5"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)
payloads = st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=3), values, max_size=5).map(
    lambda payload: {"model": "m", **payload}
)


def refused(payload: dict[str, object], kind: Kind, mode: Mode) -> InvalidRequestError | None:
    try:
        check(payload, RULES[kind], mode)
    except InvalidRequestError as error:
        return error
    return None


@settings(max_examples=500, deadline=None)
@given(payloads, st.sampled_from(sorted(RULES)), st.sampled_from(MODES))
def test_nothing_but_a_refusal_comes_out(
    payload: dict[str, object], kind: Kind, mode: Mode
) -> None:
    """No payload makes anything but silence or a short 400 that can be told."""
    error = refused(payload, kind, mode)
    if error is not None:
        assert error.status == 400
        assert error.param is not None
        assert len(error.message) < 600
        assert json.loads(error.body())["error"]["message"] == error.message


@settings(max_examples=300, deadline=None)
@given(payloads, st.sampled_from(sorted(RULES)))
def test_a_milder_mode_takes_what_a_stricter_takes(payload: dict[str, object], kind: Kind) -> None:
    """What strict lets pass lenient does, and what that does off does."""
    taken = [refused(payload, kind, mode) is None for mode in MODES]
    assert taken == sorted(taken)


@given(st.binary(max_size=60))
def test_bytes_are_refused_or_taken(body: bytes) -> None:
    """No bytes do anything but come through or be refused."""
    error = refusal(body, "chat", "strict")
    assert error is None or error.status == 400


@pytest.mark.parametrize("kind", sorted(RULES))
def test_every_optional_parameter_may_be_null(kind: Kind) -> None:
    """Clients send null for what they leave open, and it passes."""
    payload: dict[str, object] = {"model": "m", "input": "x"}
    payload["messages"] = [{"role": "user", "content": "x"}]
    payload |= {"prompt": "x"} if kind == "completions" else {}
    nulls = dict.fromkeys(RULES[kind].body.members)
    check({**nulls, **payload}, RULES[kind], "strict")


def test_nothing_is_changed() -> None:
    """Checking leaves the payload as it was, defaults and oddities included."""
    text = '{"model":"m","messages":[{"role":"user","content":"x","y":1}],"n":null,"z":[1.0]}'
    payload = decode(text.encode())
    for mode in MODES:
        check(payload, RULES["chat"], mode)
    assert payload == json.loads(text)


def test_the_page_is_current() -> None:
    """docs/validation.md is what `make docs` writes."""
    page = (ROOT / "docs" / "validation.md").read_text(encoding="utf-8")
    assert generate_validation.documentation(page) == page


def test_a_parameter_in_the_page_has_its_row() -> None:
    """The page says of each parameter whether it must be there and what it takes."""
    rows = (ROOT / "docs" / "validation.md").read_text(encoding="utf-8").splitlines()
    assert "| `temperature` |  | number, 0 to 2 |" in rows
    assert "| `messages[user].content[image_url].image_url.url` | yes | URL |" in rows
