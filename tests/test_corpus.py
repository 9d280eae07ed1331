"""The replies that other tests send through the gateway are what they were, and many."""

import json
from pathlib import Path

from tests.corpus import corpus, digests, pieces

MANIFEST = Path(__file__).parent / "corpus" / "manifest.json"


def test_the_replies_are_those_of_the_manifest() -> None:
    """The seed gives the same bytes on every machine (after a change: `python -m tests.corpus`)."""
    assert digests() == json.loads(MANIFEST.read_text(encoding="utf-8"))


def test_there_are_many_replies() -> None:
    """At least two hundred, each with a name of its own, some of more than a megabyte."""
    names = {reply.name for reply in corpus()}

    assert len(names) == len(corpus()) >= 200
    assert sum(len(reply.body) > 1_000_000 for reply in corpus()) >= 4


def test_pieces_make_the_whole() -> None:
    """However a reply is cut, nothing is lost, added or empty."""
    for reply in corpus()[::10]:
        for seed in range(8):
            cut = pieces(reply.body, seed)

            assert b"".join(cut) == reply.body
            assert all(cut)
