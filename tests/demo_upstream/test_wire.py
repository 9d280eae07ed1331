"""The wire: what a script makes of a body before it is framed."""

import gzip
import zlib

from gateway.demo_upstream.reply import DONE, Reply, event_reply, json_reply
from gateway.demo_upstream.script import Script
from gateway.demo_upstream.wire import dressed

EVENTS = (b'data: {"a":1}\n\n', DONE)


def events() -> Reply:
    """Return a stream of two events."""
    return event_reply(iter(EVENTS))


def test_a_body_is_left_as_it_is() -> None:
    """Without a wish each event is a piece of its own."""
    assert tuple(dressed(events(), Script())) == EVENTS


def test_events_with_comments_and_other_line_ends() -> None:
    """Comments stand before events, and CR LF ends every line."""
    assert list(dressed(events(), Script(comments=True, crlf=True))) == [
        b': demo\r\n\r\ndata: {"a":1}\r\n\r\n',
        b": demo\r\n\r\ndata: [DONE]\r\n\r\n",
    ]


def test_only_events_have_comments() -> None:
    """A JSON body stays JSON."""
    assert list(dressed(json_reply([1]), Script(comments=True, crlf=True))) == [b"[1]"]


def test_pieces_of_a_size_ignore_what_they_split() -> None:
    """Pieces run across events; the last one is the rest."""
    pieces = list(dressed(events(), Script(piece_bytes=4)))

    assert b"".join(pieces) == b"".join(EVENTS)
    assert {len(piece) for piece in pieces[:-1]} == {4}


def test_a_compressed_piece_can_be_read_when_it_comes() -> None:
    """Every piece but the end decodes to its event, and the whole is one valid stream."""
    pieces = list(dressed(events(), Script(encoding="gzip")))
    reader = zlib.decompressobj(wbits=31)

    assert [reader.decompress(piece) for piece in pieces] == [*EVENTS, b""]
    assert reader.eof
    assert gzip.decompress(b"".join(pieces)) == b"".join(EVENTS)
    packed = b"".join(dressed(events(), Script(encoding="deflate")))
    assert zlib.decompress(packed) == b"".join(EVENTS)
