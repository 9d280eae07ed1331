"""Usage asked for and taken out again: recorded streams, with and without, become the same bytes."""

import gzip
import json
from pathlib import Path

import pytest

from gateway.stream_usage import HELD_BYTES, UsageFilter, ask, asks
from gateway.types import Call

DATA = Path(__file__).parent / "data" / "stream_usage"
PAIRS = {
    path.name.removesuffix(".with.sse"): (
        path.read_bytes(),
        path.with_name(path.name.replace(".with.", ".without.")).read_bytes(),
    )
    for path in sorted(DATA.glob("*.with.sse"))
}
LINE_ENDS = pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"], ids=["lf", "crlf", "cr"])
pairs = pytest.mark.parametrize(("asked", "unasked"), PAIRS.values(), ids=PAIRS)


def filtered(*pieces: bytes) -> bytes:
    stream = UsageFilter()
    return b"".join([*map(stream.feed, pieces), stream.finish()])


def call(body: bytes, endpoint: str = "/v1/chat/completions", **more: object) -> Call:
    payload = json.loads(body)
    return Call(
        endpoint=endpoint,
        method="POST",
        target=endpoint[3:],
        headers=((b"Accept-Encoding", b"gzip"), (b"X-App", b"1")),
        body=body,
        payload=payload,
        stream=payload.get("stream") is True,
        **more,  # type: ignore[arg-type]
    )


@pairs
@LINE_ENDS
def test_what_was_asked_for_is_taken_out(asked: bytes, unasked: bytes, end: bytes) -> None:
    """A stream with usage becomes, to the byte, the stream that comes without asking."""
    assert filtered(asked.replace(b"\n", end)) == unasked.replace(b"\n", end)


@pairs
@LINE_ENDS
def test_every_split_comes_to_the_same(asked: bytes, unasked: bytes, end: bytes) -> None:
    """Wherever a stream is cut into pieces, byte by byte too, the same bytes come out."""
    asked, unasked = asked.replace(b"\n", end), unasked.replace(b"\n", end)

    for at in range(len(asked)):
        assert filtered(asked[:at], asked[at:]) == unasked, at
    assert filtered(*(asked[at : at + 1] for at in range(len(asked)))) == unasked


@pairs
def test_a_stream_that_nobody_changed_stays(asked: bytes, unasked: bytes) -> None:
    """Where the upstream did not do what it was asked to, nothing is taken out."""
    assert filtered(unasked) == unasked


def test_an_event_leaves_as_soon_as_it_is_whole() -> None:
    """Nothing that is whole waits for what comes after it: events, and comments by the line."""
    stream = UsageFilter()
    event = b'data: {"choices":[{"index":0}]}\n\n'

    assert stream.feed(event + b"data: {") == event
    assert stream.feed(b'"choices":[]}\n') == b""
    assert stream.feed(b"\n: ping\n") == b'data: {"choices":[]}\n\n: ping\n'
    assert stream.feed(event.replace(b"\n", b"\r")) == event.replace(b"\n", b"\r")


@pytest.mark.parametrize(
    "event",
    [
        b'data: {"choices":[{"index":0}],"usage":{"total_tokens":3}}\n\n',
        b'data: {"usage":{"total_tokens":3}}\n\n',
        b'data: {"choices":[],"error":{"usage":null}}\n\n',
        b'data: {"choices":[],"a\\"usage":null}\n\n',
        b'data: {"choices":[{"text":"\\"usage\\":null"}]}\n\n',
        b'data: not JSON, "usage":null\n\n',
        b'event: other\ndata: {"type":"x","item":{"usage":null}}\n\n',
        b"data: [DONE]\n\n",
        b"\n\n",
    ],
)
def test_what_asking_does_not_bring_about_passes(event: bytes) -> None:
    """Usage beside choices, members of the same name elsewhere, texts that look alike: not ours to touch."""
    assert filtered(event) == event


@pytest.mark.parametrize(
    ("event", "left"),
    [
        (b'{"usage":null,"choices":[{}]}', b'{"choices":[{}]}'),
        (b'{"choices":[{}] , "usage" : null }', b'{"choices":[{}]  }'),
        (
            b'{"x":{"usage":null},"usage":null,"choices":[{}]}',
            b'{"x":{"usage":null},"choices":[{}]}',
        ),
        (b'{"s":"}]","y":[{"usage":null}],"usage":null}', b'{"s":"}]","y":[{"usage":null}]}'),
    ],
)
def test_the_member_goes_with_its_comma(event: bytes, left: bytes) -> None:
    """The member of the outermost object alone is taken out, so that what is left is the JSON it was."""
    assert filtered(b"data: " + event + b"\n\n") == b"data: " + left + b"\n\n"


@pytest.mark.parametrize("step", [1000, 70_000, 300_000])
def test_a_long_event_passes(step: int) -> None:
    """An event longer than what is held goes through as it is, and those behind it are looked at again."""
    long = b'data: {"x":"' + b"y" * (3 * HELD_BYTES) + b'","usage":null}\r\n\r\n'
    asked, unasked = PAIRS["chat"]
    sent = long + asked

    pieces = [sent[at : at + step] for at in range(0, len(sent), step)]
    assert filtered(*pieces) == long + unasked


@pytest.mark.parametrize(
    ("body", "asking"),
    [
        (
            b' {"model":"m", "stream":true}',
            b' {"stream_options":{"include_usage":true},"model":"m", "stream":true}',
        ),
        (
            b'{"stream":true,"stream_options":null}',
            b'{"stream":true,"stream_options":{"include_usage":true}}',
        ),
        (
            b'{"stream":true,"stream_options": { }}',
            b'{"stream":true,"stream_options": {"include_usage":true }}',
        ),
        (
            b'{"stream_options":{"include_obfuscation":false},"stream":true}',
            b'{"stream_options":{"include_usage":true,"include_obfuscation":false},"stream":true}',
        ),
        (
            b'{"stream_options":{"include_usage": false},"stream":true}',
            b'{"stream_options":{"include_usage": true},"stream":true}',
        ),
    ],
)
def test_usage_is_asked_for_by_splicing(body: bytes, asking: bytes) -> None:
    """No byte of a request changes but those that ask; other options stay."""
    made = call(body)

    assert asks(made)
    asked = ask(made)
    assert asked.body == asking
    assert asked.payload == json.loads(asking)
    assert asked.headers == ((b"X-App", b"1"), (b"accept-encoding", b"identity"))


@pytest.mark.parametrize(
    ("body", "endpoint"),
    [
        (b'{"stream":true,"stream_options":{"include_usage":true}}', "/v1/chat/completions"),
        (b'{"stream":true,"stream_options":7}', "/v1/chat/completions"),
        (b'{"stream":false}', "/v1/chat/completions"),
        (b'{"stream":true}', "/v1/responses"),
        (b'{"stream":true}', "/v1/audio/speech"),
    ],
)
def test_others_are_left_alone(body: bytes, endpoint: str) -> None:
    """Who asked already, who does not stream, and streams that report their usage unasked."""
    assert not asks(call(body, endpoint))


def test_a_compressed_request_goes_up_inflated() -> None:
    """What must be spliced cannot stay compressed, and says so no longer."""
    plain = b'{"stream":true}'
    made = call(plain, plain=plain)
    packed = Call(
        **{
            **{name: getattr(made, name) for name in made.__slots__},
            "body": gzip.compress(plain),
            "headers": ((b"Content-Encoding", b"gzip"),),
        }
    )

    asked = ask(packed)
    assert asked.body == b'{"stream_options":{"include_usage":true},"stream":true}'
    assert asked.plain is None
    assert asked.headers == ((b"accept-encoding", b"identity"),)
