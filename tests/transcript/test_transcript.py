"""The transcript of a reply: the same at every split, within bounds, whatever comes."""

import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.transcript import ReplyError, Transcript
from gateway.types import Call, Output, Usage
from tests.corpus import Reply, corpus, pieces

SSE = b"text/event-stream"
JSON = b"application/json"

Seen = tuple[Usage | None, bool, ReplyError | None, Output]


def observe(
    reply: Reply, parts: list[bytes], *, usage_expected: bool = False, clean: bool = True
) -> Seen:
    transcript = Transcript(
        content_type=reply.content_type or b"",
        content_encoding=reply.content_encoding or b"",
        choices=reply.choices,
        usage_expected=usage_expected,
    )
    for part in parts:
        transcript.feed(part)
    if clean:
        transcript.finish()
    return transcript.usage(), transcript.complete, transcript.error, transcript.output()


@pytest.mark.parametrize("reply", corpus(), ids=lambda reply: reply.name)
def test_each_reply_is_understood_at_any_split(reply: Reply) -> None:
    """Usage and completeness are what the upstream meant, and nothing depends on where the bytes are cut."""
    for usage_expected in (False, True):
        whole = observe(reply, [reply.body], usage_expected=usage_expected)

        if reply.usage is not None or not usage_expected:
            assert whole[:2] == (reply.usage, reply.complete)
        for seed in range(4):
            split = observe(reply, pieces(reply.body, seed), usage_expected=usage_expected)
            assert split == whole


@pytest.mark.parametrize("reply", corpus()[::3], ids=lambda reply: reply.name)
def test_a_cut_reply_is_never_complete(reply: Reply) -> None:
    """Where the connection broke, a reply is not complete, whatever its bytes say."""
    assert observe(reply, [reply.body], clean=False)[1] is False


@pytest.mark.parametrize("reply", corpus(), ids=lambda reply: reply.name)
def test_a_part_of_a_reply_is_not_complete(reply: Reply) -> None:
    """A reply that misses its end is not complete though its connection ended cleanly, as cut ones may."""
    if reply.content_type in (None, b"audio/mpeg", b"text/plain", b"text/html") or not reply.usage:
        return
    for missing in (20, len(reply.body) // 2):
        assert observe(reply, [reply.body[:-missing]])[1] is False


FRAGMENTS = (
    b"data: ",
    b"data:",
    b"[DONE]",
    b'{"choices":[{"index":0,"delta":{"content":"\xc3\xa9"},"finish_reason":null}]}',
    b'{"choices":[{"index":1,"delta":{},"finish_reason":"stop"}]}',
    b'{"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":4}}',
    b'{"usage":null}',
    b'{"type":"response.completed","response":{"usage":{"input_tokens":5}}}',
    b'{"error":{"type":"t"}}',
    b"event: error",
    b": comment",
    b"id: 1",
    b"\n",
    b"\n\n",
    b"\r",
    b"\r\n",
    b"\r\n\r\n",
    b"\xef\xbb\xbf",
    b"{",
    b"}",
    b'"usage":{"prompt_tokens":6}',
    b" " * 5_000,
    b"x" * 70_000,
)


@settings(max_examples=300, deadline=None)
@given(
    # By number: some are too long to be shown.
    st.lists(st.integers(0, len(FRAGMENTS) - 1), max_size=24),
    st.integers(0, 1_000),
    st.sampled_from([SSE, JSON, b"audio/mpeg"]),
    st.booleans(),
)
def test_no_stream_depends_on_its_splits(
    fragments: list[int], seed: int, content_type: bytes, usage_expected: bool
) -> None:
    """Any bytes at all give the same at every split, and never raise."""
    body = b"".join(FRAGMENTS[number] for number in fragments)
    reply = Reply(name="any", body=body, content_type=content_type)

    usage, complete, error, output = observe(reply, [body], usage_expected=usage_expected)
    split = observe(reply, pieces(body, seed), usage_expected=usage_expected)

    assert split[:3] == (usage, complete, error)
    assert (split[3].texts, split[3].tool_calls) == (output.texts, output.tool_calls)
    assert split[3].scale == pytest.approx(output.scale)


def chunk(text: str, finish: str | None = None) -> bytes:
    reason = "null" if finish is None else f'"{finish}"'
    return (
        f'data: {{"choices":[{{"index":0,"delta":{{"content":"{text}"}},'
        f'"finish_reason":{reason}}}]}}\n\n'
    ).encode()


USAGE = b'data: {"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":4}}\n\n'
DONE = b"data: [DONE]\n\n"


@pytest.mark.parametrize(
    ("parts", "choices", "usage_expected", "complete"),
    [
        ([chunk("a"), DONE], 1, False, True),
        ([chunk("a"), DONE], 1, True, True),
        ([chunk("a"), chunk("", "stop")], 1, False, True),
        ([chunk("a"), chunk("", "stop")], 2, False, False),
        ([chunk("a"), chunk("", "stop")], 1, True, False),
        ([chunk("a"), chunk("", "stop"), USAGE], 1, True, True),
        ([chunk("a"), chunk("", "stop")[:-1]], 1, False, False),
        ([chunk("a")], 1, False, False),
        ([chunk("a"), USAGE], 1, True, False),
        ([b": nothing yet\n\n"], 1, False, False),
        ([], 1, False, False),
    ],
)
def test_when_a_stream_is_complete(
    parts: list[bytes], choices: int, usage_expected: bool, complete: bool
) -> None:
    """[DONE] ends a stream; engines that send none must have ended each choice, and reported what was asked."""
    reply = Reply(name="s", body=b"", content_type=SSE, choices=choices)

    assert observe(reply, parts, usage_expected=usage_expected)[1] is complete


def test_words_can_be_counted_where_usage_is_missing() -> None:
    """A stream that nobody asked for its usage is put together, word for word."""
    parts = [chunk(f"{number} ") for number in range(2_000)]
    reply = Reply(name="s", body=b"", content_type=SSE)

    output = observe(reply, [*parts, DONE])[3]

    assert output == Output(texts=("".join(f"{number} " for number in range(2_000)),))


def test_words_can_be_counted_beside_their_usage() -> None:
    """The words of a whole reply that reports its usage can be read too, by whoever asks for them."""
    reply = Transcript(content_type=b"application/json")
    body = (
        b'{"object":"chat.completion","choices":[{"index":0,"message":{"content":"Hello",'
        b'"tool_calls":[{"function":{"name":"f","arguments":"{}"}}]}}],'
        b'"usage":{"prompt_tokens":3,"completion_tokens":8}}'
    )
    reply.feed(body)
    reply.finish()

    assert reply.usage() == Usage(input_tokens=3, output_tokens=8)
    assert reply.output() == Output(texts=("Hello",), tool_calls=(("f", "{}"),))


def test_words_are_extrapolated_where_usage_was_expected() -> None:
    """Where a stream is cut before the usage that was asked for, its last words tell how much was said."""
    parts = [chunk("word ") for _ in range(400)]
    reply = Reply(name="s", body=b"", content_type=SSE)

    output = observe(reply, parts, usage_expected=True, clean=False)[3]

    assert output == Output(texts=("word " * 16,), scale=25.0)


@pytest.mark.parametrize("coding", [b"br", b"gzip"])
def test_what_cannot_be_read_is_not_complete(coding: bytes) -> None:
    """A coding that we do not know, or that is broken, gives nothing and is not known to be whole."""
    reply = Reply(name="s", body=b"", content_type=SSE, content_encoding=coding)

    assert observe(reply, [chunk("a"), USAGE, DONE]) == (None, False, None, Output())


def test_the_transcript_of_a_call_knows_what_was_asked() -> None:
    """From call and head it is known how the body is coded and what was asked for."""
    call = Call(
        endpoint="/v1/chat/completions",
        method="POST",
        target="/chat/completions",
        headers=(),
        body=b"",
        payload={"stream_options": {"include_usage": True}},
        n=2,
    )
    headers = ((b"Date", b"x"), (b"CONTENT-TYPE", b"Text/Event-Stream; charset=utf-8"))

    transcript = Transcript.of(call, headers)
    transcript.feed(chunk("a", "stop") + USAGE)
    transcript.finish()
    assert transcript.usage() == Usage(input_tokens=3, output_tokens=4)
    assert not transcript.complete  # the second choice is missing

    encoded = Transcript.of(call, (*headers, (b"content-encoding", b"br")))
    encoded.feed(USAGE + DONE)
    assert encoded.usage() is None


def test_a_stream_may_lack_its_type() -> None:
    """Where a stream was asked for, a body of another type or of none is read as one, unless it is JSON."""
    call = Call(
        endpoint="/v1/chat/completions",
        method="POST",
        target="/",
        headers=(),
        body=b"",
        stream=True,
    )

    for headers in ((), ((b"content-type", b"text/plain"),)):
        transcript = Transcript.of(call, headers)
        transcript.feed(chunk("a", "stop") + USAGE)
        transcript.finish()
        assert transcript.usage() == Usage(input_tokens=3, output_tokens=4)
        assert transcript.complete
        cut = Transcript.of(call, headers)
        cut.feed(chunk("a"))
        cut.finish()
        assert not cut.complete

    error = Transcript.of(call, ((b"content-type", b"application/json"),))
    error.feed(b'{"error":{"code":"c"}}')
    assert error.error == ReplyError(code="c")


def test_the_responses_api_always_reports_its_usage() -> None:
    """A stream of the Responses API is only read at its end."""
    call = Call(endpoint="/v1/responses", method="POST", target="/", headers=(), body=b"")
    delta = b'data: {"type":"response.output_text.delta","delta":"a"}\n\n'

    transcript = Transcript.of(call, ((b"content-type", SSE),))
    transcript.feed(delta * 1_600)

    assert transcript.output() == Output(texts=("a" * 16,), scale=100.0)


def test_errors_are_told() -> None:
    """An error's type and code are known, in a body and in the midst of a stream."""
    body = b'{"error":{"type":"requests","code":"rate_limit_exceeded"}}'
    whole = Reply(name="e", body=body)
    stream = Reply(name="e", body=chunk("a") + b"data: " + body + b"\n\n", content_type=SSE)

    for reply in (whole, stream):
        error = observe(reply, [reply.body])[2]
        assert error == ReplyError(type="requests", code="rate_limit_exceeded")


@pytest.mark.parametrize("usage_expected", [True, False])
@pytest.mark.parametrize(
    ("content_type", "parts"),
    [
        (SSE, [chunk("word " * 10)] * 20_000),
        (SSE, [b"data: " + b"x" * 100_000] * 60),
        (SSE, [(b"data: " + b"x" * 60_000 + b"\n\n")] * 100),
        (SSE, [b"\n\n" * 20_000] * 100),
        (JSON, [b'{"a":"' + b"x" * 100_000] * 60),
        (JSON, [b"x"] * 60_000),
        (b"audio/mpeg", [b"x" * 100_000] * 60),
    ],
    ids=["words", "endless event", "long events", "blank lines", "document", "bytes", "sound"],
)
def test_memory_is_bounded(content_type: bytes, parts: list[bytes], usage_expected: bool) -> None:
    """However much comes, at most 200 KiB are held."""
    transcript = Transcript(content_type=content_type, usage_expected=usage_expected)
    for part in parts[:2]:
        transcript.feed(part)
    tracemalloc.start()
    try:
        held = []
        for number, part in enumerate(parts):
            transcript.feed(part)
            if number % 50 == 0:
                held.append(tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()

    assert max(held) < 200 * 1024
