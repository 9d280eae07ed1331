"""Where the JSON texts of a reply begin and end."""

import pytest

from gateway.transcript.framing import (
    HELD_BYTES,
    LAST_EVENTS,
    Document,
    EventStream,
    Opaque,
    Skim,
)
from gateway.transcript.reading import Reading
from gateway.types import Usage

TEN = Usage(input_tokens=10)
USAGE = b'{"usage":{"prompt_tokens":10}}'


def say(text: bytes) -> bytes:
    return b'{"choices":[{"delta":{"content":"%b"}}]}' % text


def stream(*parts: bytes, read_all: bool = True) -> tuple[EventStream, Reading]:
    reading = Reading()
    events = EventStream(reading, read_all=read_all)
    for part in parts:
        events.take(part)
    events.end()
    return events, reading


@pytest.mark.parametrize("read_all", [True, False])
@pytest.mark.parametrize("size", [1, 2, 1000])
@pytest.mark.parametrize(
    "body",
    [
        b"data: %b\n\n",
        b"data:%b\n\n",
        b"data: %b\r\n\r\n",
        b"data: %b\r\r",
        b"data: %b\n\r\n",
        b"data: %b\r\n\n",
        b"\xef\xbb\xbfdata: %b\n\n",
        b": comment\nid: 7\nretry: 10\nevent: message\ndata: %b\nunknown\n\n",
        b"\n\n\n: comment\n\n\n\n\ndata: %b\n\n\n\n: comment\n\n",
        b"data: \ndata: %b\ndata: \n\n",
        b"event: a\nevent: b\ndata: %b\n\n",
    ],
)
def test_events_are_found_in_every_writing(body: bytes, size: int, read_all: bool) -> None:
    """Line ends, comments, other fields and blank lines do not matter, nor where the bytes are cut."""
    text = body % USAGE

    events, reading = stream(
        *(text[i : i + size] for i in range(0, len(text), size)), read_all=read_all
    )

    assert reading.usage == TEN
    assert events.whole


def test_data_of_several_lines_is_one_text() -> None:
    """Lines of data belong together."""
    lines = b'data: {"usage":\ndata: {"prompt_tokens":\ndata:10}\ndata: }\n\n'

    assert stream(lines)[1].usage == TEN


def test_the_line_of_an_event_names_its_type() -> None:
    """Where the JSON does not say its type the event's own line does."""
    events, reading = stream(b"event: response.completed\ndata: {}\n\n")

    assert reading.ended
    assert not events.done


@pytest.mark.parametrize(
    ("body", "done", "whole"),
    [
        (b"data: {}\n\ndata: [DONE]\n\n", True, True),
        (b"data: {}\n\ndata: [DONE]\n", True, False),
        (b"data: {}\n\ndata: [DONE]", True, False),
        (b"data:[DONE]\r\r", True, True),
        (b"data: {}\n\n", False, True),
        (b"data: {}\n", False, False),
        (b"data: {}", False, False),
        (b"data: [DONE", False, False),
        (b": [DONE]\n\n", False, True),
        (b'data: {"a":"data: [DONE]"}\n\n', False, True),
        (b"", False, True),
    ],
)
def test_ends_are_told_apart(body: bytes, done: bool, whole: bool) -> None:
    """It is known whether [DONE] came, and whether the last event ended."""
    for read_all in (True, False):
        events, _ = stream(body, read_all=read_all)

        assert (events.done, events.whole) == (done, whole)


def test_all_events_are_read_one_broken_among_them() -> None:
    """An event that is no JSON takes nothing from the others."""
    body = b"".join(b"data: %b\n\n" % text for text in (say(b"a"), b"{oops", say(b"b")))

    events, reading = stream(body)

    assert reading.output(events.scale).texts == ("ab",)
    assert events.scale == 1.0


def test_of_the_last_events_the_rest_is_extrapolated() -> None:
    """Where only the end is read, it is known how much more there was."""
    body = b"".join(b"data: %b\n\n" % say(b"ab") for _ in range(10 * LAST_EVENTS))

    for parts in ([body], [body[i : i + 100] for i in range(0, len(body), 100)]):
        events, reading = stream(*parts, read_all=False)

        assert reading.output(1).texts == ("ab" * LAST_EVENTS,)
        assert events.scale == 10.0


@pytest.mark.parametrize("size", [1, 2, 3, 5, 101, 100_000])
def test_blank_lines_are_no_events(size: int) -> None:
    """The last events are the same however many blank lines stand between them, and however they are cut."""
    body = b"".join(b"data: %b" % say(b"%d;" % i) + b"\n" * (2 + i % 4) for i in range(40))
    body = b"\n\n\n" + body

    _, reading = stream(*(body[i : i + size] for i in range(0, len(body), size)), read_all=False)

    assert reading.output(1).texts == ("".join(f"{i};" for i in range(24, 40)),)


@pytest.mark.parametrize("read_all", [True, False])
@pytest.mark.parametrize("size", [1_000, 70_000, 10_000_000])
@pytest.mark.parametrize("newline", [b"\n", b"\r\n"])
def test_a_long_event_is_skimmed(newline: bytes, size: int, read_all: bool) -> None:
    """Of an event too long to hold its type and its last usage are known; what follows is read."""
    long = b'{"type":"image_generation.completed","usage":null,"b64":"%b","usage":{"prompt_tokens":10}}'
    body = b"data: " + long % (b"A" * 300_000) + newline * 2

    parts = [body[i : i + size] for i in range(0, len(body), size)]
    events, reading = stream(*parts, read_all=read_all)
    assert (reading.usage, reading.ended, events.whole) == (TEN, True, True)

    events, reading = stream(*parts, b"data: [DONE]" + newline * 2, read_all=read_all)
    assert (reading.usage, reading.ended, events.done, events.whole) == (TEN, True, True, True)

    events, reading = stream(*parts[:-1], parts[-1][:-2], read_all=read_all)
    assert not events.whole


def test_an_event_at_the_bound_is_read_whole() -> None:
    """The longest event that is held is read, the next longer one is skimmed."""
    empty = b"data: %b\n\n" % say(b"")
    fits = b"data: %b\n\n" % say(b"a" * (HELD_BYTES - len(empty) + 2))
    longer = fits.replace(b"aa", b"aaa", 1)

    for parts in (
        [fits],
        [b"\n\n\n" + fits + b"\n\n\n"],
        [b": a\n\n\n" + fits],
        [b": a\n\n\n", fits],
        [fits[:-1], fits[-1:]],
        [fits[i : i + 999] for i in range(0, 70_000, 999)],
    ):
        _, reading = stream(*parts)
        assert len(reading.output(1).texts[0]) == HELD_BYTES - len(empty) + 2
    for parts in ([longer], [longer[:-1], longer[-1:]]):
        assert stream(*parts)[1].output(1).texts == ()


def test_a_document_is_read_whole_or_skimmed() -> None:
    """A short document is known to be whole; of a long one usage is found, first or last."""
    filler = b'"data":"%b"' % (b"\\u0061" * 20_000)
    cases = (
        (USAGE, True),
        (b'{%b,"usage" : {"prompt_tokens":10}}' % filler, False),
        (
            b'{"usage":{"prompt_tokens":10,"prompt_tokens_details":{"cached_tokens":0}},%b}'
            % filler,
            False,
        ),
        (
            b'{%b,"u":"\\"usage\\":{\\"prompt_tokens\\":9}","usage":{"prompt_tokens":10}}' % filler,
            False,
        ),
    )
    for text, whole in cases:
        for size in (1, 1000, 1_000_000):
            reading = Reading()
            document = Document(reading)
            for start in range(0, len(text), size):
                document.take(text[start : start + size])
            document.end()

            assert (reading.usage, document.whole) == (TEN, whole)


def test_a_skim_is_not_misled_by_strings() -> None:
    """What stands inside a string is not taken for a member."""
    skim = Skim()
    skim.feed(b'{"a":"\\"usage\\":{\\"prompt_tokens\\":1}","b":"x\\"usage":{"prompt_tokens":1}}')

    assert skim.document() == b'{"usage":null}'


def test_a_skim_finds_usage_across_pieces() -> None:
    """A usage object is found wherever the bytes are cut."""
    text = b'{"type":"x.y"' + b" " * 5_000 + b'"usage": {"prompt_tokens": 10, "d": {"e": 1}}'
    expected = b'event: x.y\ndata: {"usage":{"prompt_tokens": 10, "d": {"e": 1}}}'

    for cut in range(5_000, len(text)):
        skim = Skim()
        skim.feed(text[:cut])
        skim.feed(text[cut:])
        assert skim.event() == expected


def test_sound_is_not_looked_at() -> None:
    """A body without a form of ours is whole when it ends."""
    body = Opaque()
    body.take(b"\xff\xfb")
    body.end()

    assert body.whole
