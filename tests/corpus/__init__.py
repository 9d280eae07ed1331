"""Replies as upstreams send them, made from a seed: what the gateway must pass on byte for byte.

`python -m tests.corpus` writes the digests that `tests/test_corpus.py` holds the replies to.
"""

from tests.corpus.build import corpus, digests
from tests.corpus.reply import Reply, pieces

__all__ = ["Reply", "corpus", "digests", "pieces"]
