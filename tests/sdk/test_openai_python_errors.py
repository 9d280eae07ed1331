"""The newest openai-python when things go wrong: its own exceptions, its retries, and never a whole look."""

import json
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from openai import OpenAI
from openai.types.chat import ChatCompletionChunk

from tests.sdk.conftest import Demo, Gateway
from tests.sdk.test_openai_python import MESSAGES, scripted


@pytest.fixture
def client(gateway: Gateway) -> Iterator[OpenAI]:
    """Make a client that does not retry by itself."""
    with OpenAI(base_url=gateway.base_url, api_key=gateway.key, max_retries=0) as made:
        yield made


def ask(client: OpenAI, **script: Any) -> str | None:
    """Ask for a completion under a script; return what is said."""
    completion = client.chat.completions.create(
        model="gpt-4o-mini", messages=MESSAGES, extra_body=scripted(**script)
    )
    return completion.choices[0].message.content


@pytest.mark.parametrize(
    ("error", "kind", "code", "param"),
    [
        (
            {"status": 400, "code": "context_length_exceeded", "param": "messages"},
            openai.BadRequestError,
            "context_length_exceeded",
            "messages",
        ),
        (404, openai.NotFoundError, "model_not_found", None),
        (409, openai.ConflictError, None, None),
        (422, openai.UnprocessableEntityError, None, None),
        (429, openai.RateLimitError, "rate_limit_exceeded", None),
        (
            {"status": 429, "code": "insufficient_quota"},
            openai.RateLimitError,
            "insufficient_quota",
            None,
        ),
        (500, openai.InternalServerError, None, None),
        (503, openai.InternalServerError, None, None),
    ],
    ids=str,
)
def test_the_upstream_s_errors_are_the_sdk_s(
    client: OpenAI,
    error: int | dict[str, Any],
    kind: type[openai.APIStatusError],
    code: str | None,
    param: str | None,
) -> None:
    """Status, code, param, message and the upstream's request id all arrive."""
    with pytest.raises(kind) as caught:
        ask(client, error=error)

    assert type(caught.value) is kind
    assert (caught.value.code, caught.value.param) == (code, param)
    assert caught.value.request_id is not None
    assert caught.value.request_id.startswith("req_demo_")
    assert isinstance(caught.value.body, dict)
    assert caught.value.body["message"]


def test_an_error_before_a_stream_is_a_status(client: OpenAI) -> None:
    """A stream that fails at once raises at once."""
    with pytest.raises(openai.RateLimitError) as caught:
        client.chat.completions.create(
            model="gpt-4o-mini", messages=MESSAGES, stream=True, extra_body=scripted(error=429)
        )

    assert caught.value.response.headers["retry-after"] == "1"


def test_a_wrong_key_is_refused_here(gateway: Gateway, demo: Demo) -> None:
    """The gateway's own 401 is the SDK's AuthenticationError; the upstream hears nothing."""
    with (
        OpenAI(base_url=gateway.base_url, api_key="sk-gw-wrong", max_retries=0) as client,
        pytest.raises(openai.AuthenticationError) as caught,
    ):
        ask(client)

    assert caught.value.code == "invalid_api_key"
    assert caught.value.request_id
    assert demo.requests() == []


def test_the_upstream_s_401_is_not_the_client_s(client: OpenAI) -> None:
    """A refusal of the gateway's own key is the gateway's trouble, not a wrong key of the client's."""
    with pytest.raises(openai.InternalServerError) as caught:
        ask(client, error=401)

    assert (caught.value.status_code, caught.value.code) == (502, "upstream_auth_failed")


def test_a_wrong_body_is_refused_here(client: OpenAI, demo: Demo) -> None:
    """A missing member is OpenAI's 400 with its param."""
    with pytest.raises(openai.BadRequestError) as caught:
        client.post("/chat/completions", cast_to=object, body={"messages": MESSAGES})

    assert caught.value.code == "missing_required_parameter"
    assert caught.value.param == "model"
    assert demo.requests() == []


def test_an_unknown_url_is_told(gateway: Gateway) -> None:
    """A base URL without /v1 is the commonest mistake: the answer says what is right."""
    origin = gateway.base_url.removesuffix("/v1")
    with (
        OpenAI(base_url=origin, api_key=gateway.key, max_retries=0) as client,
        pytest.raises(openai.NotFoundError) as caught,
    ):
        ask(client)

    assert caught.value.code == "unknown_url"
    assert gateway.base_url in caught.value.message


@pytest.mark.parametrize("status", [429, 500])
def test_the_sdk_s_own_retry_succeeds(gateway: Gateway, demo: Demo, status: int) -> None:
    """One failure that passes costs a second call and no exception."""
    with OpenAI(base_url=gateway.base_url, api_key=gateway.key, max_retries=2) as client:
        said = ask(
            client,
            error={"status": status, "times": 1},
            headers={"retry-after-ms": "1"},
            reply="at last",
        )

    assert said == "at last"
    assert [request["status"] for request in demo.requests()] == [status, 200]


def test_the_gateway_s_retry_is_unseen(client: OpenAI, demo: Demo) -> None:
    """A 503 that passes costs the SDK nothing, not even one that never retries."""
    said = ask(client, error={"status": 503, "times": 1}, reply="at last")

    assert said == "at last"
    assert [request["status"] for request in demo.requests()] == [503, 200]


def test_x_should_retry_is_obeyed(gateway: Gateway, demo: Demo) -> None:
    """An upstream that says no more tries is asked once."""
    with (
        OpenAI(base_url=gateway.base_url, api_key=gateway.key, max_retries=2) as client,
        pytest.raises(openai.RateLimitError),
    ):
        ask(client, error=429, headers={"x-should-retry": "false"})

    assert len(demo.requests()) == 1


def test_a_timeout_leaves_nothing_behind(client: OpenAI, demo: Demo) -> None:
    """A client that gives up ends the upstream's work too."""
    with pytest.raises(openai.APITimeoutError):
        ask(client.with_options(timeout=1.0), delay_ms=3_600_000)

    (asked,) = demo.requests()
    assert asked["aborted"] == "waiting"


@pytest.mark.parametrize("script", [{"cut_after": 3}, {"garbage_after": 3}], ids=str)
def test_a_stream_that_breaks_raises(client: OpenAI, script: dict[str, Any]) -> None:
    """What came is seen, and then an exception: a broken stream never looks complete."""
    chunks: list[ChatCompletionChunk] = []
    with (
        client.chat.completions.create(
            model="gpt-4o-mini",
            messages=MESSAGES,
            stream=True,
            extra_body=scripted(pace_ms=10, **script),
        ) as stream,
        pytest.raises(openai.APIConnectionError),
    ):
        chunks.extend(stream)

    assert 1 <= len(chunks) <= 3
    assert all(chunk.choices[0].finish_reason is None for chunk in chunks)


@pytest.mark.parametrize(
    "script", [{"piece_bytes": 50, "cut_after": 2}, {"length_off": 10}, {"cut_after": 0}], ids=str
)
def test_a_whole_reply_that_breaks_is_502(client: OpenAI, script: dict[str, Any]) -> None:
    """Half a JSON body is never handed on."""
    with pytest.raises(openai.InternalServerError) as caught:
        ask(client, **script)

    assert (caught.value.status_code, caught.value.type) == (502, "upstream_error")


def test_garbage_instead_of_a_reply_is_502(client: OpenAI) -> None:
    """What is no HTTP is told as the upstream's fault."""
    with pytest.raises(openai.InternalServerError) as caught:
        ask(client, garbage_after=-1)

    assert (caught.value.status_code, caught.value.code) == (502, "upstream_protocol_error")


def test_leaving_a_stream_ends_the_upstream_s(client: OpenAI, demo: Demo) -> None:
    """Closing after the first chunk reaches the upstream, which would otherwise hang for ever."""
    with client.chat.completions.create(
        model="gpt-4o-mini", messages=MESSAGES, stream=True, extra_body=scripted(hang_after=2)
    ) as stream:
        first = next(iter(stream))

    (asked,) = demo.requests()
    assert first.choices[0].delta.role == "assistant"
    assert asked["aborted"] == "streaming"


def test_no_error_tells_of_the_inside(client: OpenAI, demo: Demo) -> None:
    """The upstream's address and key stay here, whatever breaks."""
    with pytest.raises(openai.InternalServerError) as caught:
        ask(client, cut_after=-1, reset=True)

    told = json.dumps(caught.value.body) + str(dict(caught.value.response.headers))
    assert demo.origin.partition("//")[2] not in told
    assert "sk-upstream" not in told
