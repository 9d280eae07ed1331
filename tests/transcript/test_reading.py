"""What the JSON texts of a reply say together."""

from gateway.transcript.reading import WORDS_BYTES, Reading
from gateway.types import Output, Usage


def read(*texts: bytes) -> Reading:
    reading = Reading()
    for text in texts:
        assert reading.read(text)
    return reading


def test_deltas_become_texts() -> None:
    """Content, refusal and reasoning are put together choice by choice."""
    reading = read(
        b'{"choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}',
        b'{"choices":[{"index":0,"delta":{"content":"Gr\xc3\xbc"}},{"index":1,"delta":{"content":"No"}}]}',
        b'{"choices":[{"index":0,"delta":{"content":"\xc3\x9fe"}}]}',
        b'{"choices":[{"index":1,"delta":{"refusal":"I can"}}]}',
        b'{"choices":[{"index":1,"delta":{"refusal":"not"}}]}',
        b'{"choices":[{"index":0,"delta":{"reasoning_content":"Hm"}}]}',
        b'{"choices":[{"index":0,"delta":{"reasoning":"m","reasoning_content":"m"}}]}',
    )

    assert reading.output(1) == Output(texts=("Grüße", "No", "I cannot", "Hmm"))


def test_tool_calls_are_put_together_by_index() -> None:
    """Names and arguments of parallel calls, and of the older function call, are told apart."""
    reading = read(
        b'{"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"name":"f","arguments":""}}]}}]}',
        b'{"choices":[{"delta":{"tool_calls":[{"index":1,"function":{"name":"g","arguments":"{"}}]}}]}',
        b'{"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{}"}}]}}]}',
        b'{"choices":[{"delta":{"tool_calls":[{"index":1,"function":{"arguments":"}"}}]}}]}',
        b'{"choices":[{"index":1,"delta":{"function_call":{"name":"h","arguments":"1"}}}]}',
    )

    assert reading.output(1).tool_calls == (("f", "{}"), ("g", "{}"), ("h", "1"))


def test_whole_replies_have_words_too() -> None:
    """Messages, parts of contents, and the texts of completions are read where no usage comes with them."""
    reading = read(
        b'{"choices":[{"message":{"content":[{"type":"text","text":"a"},{"text":"b"},7]}},'
        b'{"index":1,"text":"c"},'
        b'{"index":2,"message":{"tool_calls":[{"function":{"name":"f","arguments":"1"}},'
        b'{"function":{"name":"g","arguments":"2"}}]}}]}'
    )

    assert reading.output(1) == Output(texts=("ab", "c"), tool_calls=(("f", "1"), ("g", "2")))


def test_words_of_the_responses_api() -> None:
    """Deltas of text and arguments are words, those of sound are not."""
    reading = read(
        b'{"type":"response.output_text.delta","delta":"Hel"}',
        b'{"type":"response.output_text.delta","delta":"lo"}',
        b'{"type":"response.function_call_arguments.delta","delta":"{}"}',
        b'{"type":"response.audio.delta","delta":"AAAA"}',
    )

    assert reading.output(1).texts == ("Hello", "{}")


def test_the_last_report_counts() -> None:
    """Of several reports the last one stands, and a null is none."""
    reading = read(
        b'{"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":1}}',
        b'{"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2}}',
        b'{"choices":[],"usage":null}',
    )

    assert reading.usage == Usage(input_tokens=3, output_tokens=2)


def test_words_make_an_earlier_report_stale() -> None:
    """A report that came before the last words is not of all of them."""
    reading = read(
        b'{"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":1}}',
        b'{"choices":[{"delta":{"content":"much more"}}]}',
    )

    assert reading.usage is None


def test_usage_is_found_where_others_put_it() -> None:
    """Groq's own member and the response inside an event hold usage too."""
    groq = read(b'{"choices":[{"delta":{}}],"x_groq":{"id":"r","usage":{"prompt_tokens":3}}}')
    event = read(b'{"type":"response.completed","response":{"usage":{"input_tokens":3}}}')

    assert groq.usage == event.usage == Usage(input_tokens=3)
    assert (groq.ended, event.ended) == (False, True)


def test_ends_of_choices_are_noted() -> None:
    """It is known which choices began and which ended."""
    reading = read(
        b'{"choices":[{"index":0,"delta":{}},{"index":1,"delta":{}}]}',
        b'{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}',
    )

    assert reading.begun == {0, 1}
    assert reading.finished == {0}


def test_a_long_output_is_kept_in_part_and_measured_whole() -> None:
    """Beyond a bound words are only measured; a character is never cut."""
    euros = "€" * 10_000
    text = b'{"choices":[{"delta":{"content":"%b"}}]}' % euros.encode()
    reading = read(*[text] * 4)
    output = reading.output(2)

    assert output.texts == ("€" * (WORDS_BYTES // 3),)
    assert output.scale == 2 * 120_000 / WORDS_BYTES


def test_many_choices_are_bounded() -> None:
    """An upstream that invents choices cannot make it grow."""
    reading = read(
        *(b'{"choices":[{"index":%d,"delta":{"content":"a"}}]}' % i for i in range(2_000))
    )

    assert len(reading.begun) == 1024
    assert len(reading.output(1).texts) == 1024
    assert reading.output(1).scale == 2_000 / 1024


def test_texts_are_read_at_once_or_one_by_one() -> None:
    """An array of texts says what they say; a broken one says nothing."""
    one = b'{"choices":[{"delta":{"content":"a"}}]}'
    reading = Reading()

    assert reading.read_all(b"[%b,%b]" % (one, one))
    assert not reading.read_all(b"[%b,%b" % (one, one))
    assert not reading.read(one[:-1])
    assert reading.output(1).texts == ("aa",)
