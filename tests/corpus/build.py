"""Puts the replies together: deterministic, the same on every machine."""

import random
from collections.abc import Iterator
from functools import cache
from hashlib import sha256

from tests.corpus import chat, other
from tests.corpus.reply import Reply, deflated, flushed, gzipped

SEED = 20_260_601


@cache
def corpus() -> tuple[Reply, ...]:
    """Return all replies."""
    rng = random.Random(SEED)
    plain = (
        *chat.whole(rng),
        *chat.streams(rng),
        *chat.completions(rng),
        *other.embeddings(rng),
        *other.responses(rng),
        *other.media(rng),
        *other.errors(),
        *other.odd(),
        *other.large(rng),
    )
    return (*plain, *_compressed(plain))


def _compressed(plain: tuple[Reply, ...]) -> Iterator[Reply]:
    """Yield some of the replies as servers compress them."""
    for number, reply in enumerate(reply for reply in plain if len(reply.body) > 200):
        if number % 7 == 0:
            yield gzipped(reply)
        elif number % 7 == 2:
            yield deflated(reply, raw=number % 2 == 1)
        elif number % 21 == 4:
            yield gzipped(reply, members=3, name="members")
        elif number % 7 == 5 and b"\n\n" in reply.body:
            yield flushed(reply)


def digests() -> dict[str, str]:
    """Return the SHA-256 of each reply's body, by its name; of a compressed one that of what was compressed."""
    return {
        reply.name: sha256(reply.body if reply.plain is None else reply.plain).hexdigest()
        for reply in corpus()
    }
