"""The scripts that run in Redis: what is sent to them and what they say. Their text is beside."""

import hashlib
import math
from collections.abc import Sequence
from importlib import resources
from typing import cast

from gateway.errors import StoreError
from gateway.stores import NEVER, Bucket, Charges, Decision, Refusal, Store

_MICROSECONDS = 1_000_000

# What a script says instead of a time to wait.
_NEVER, _IN_FLIGHT = -1, -2

# Per charge: its slot, what is used, and the time until a quiet bucket is as good as new.
_WORDS_PER_CHARGE = 3

_INTEGER = frozenset({int})


class Script:
    """One script: sent by its digest, or whole where the server does not know it yet."""

    def __init__(self, name: str) -> None:
        folder = resources.files(__package__)
        shared = folder.joinpath("redis_bucket.lua").read_text("utf-8")
        self.source = shared + folder.joinpath(f"redis_{name}.lua").read_text("utf-8")
        self.name = name
        digest = hashlib.sha1(self.source.encode(), usedforsecurity=False).hexdigest()
        self._by_digest = text("EVALSHA") + text(digest)
        self._whole = text("EVAL") + text(self.source)

    def command(
        self, identity: str, keys: Sequence[str], arguments: Sequence[str], *, whole: bool = False
    ) -> bytes:
        """Return the command that runs it, of words that `text` returned; all are ASCII."""
        head = self._whole if whole else self._by_digest
        words = f"{''.join(keys)}{identity}{''.join(arguments)}"
        # `identity` is two words; before them stand the command's name, the script, how many keys.
        count = 5 + len(keys) + len(arguments)
        return f"*{count}\r\n{head}{text(str(len(keys)))}{words}".encode("ascii")


class Form:
    """What the scripts are told of a bucket with every charge, made once for many."""

    __slots__ = ("_limit", "_window", "bucket", "key")

    def __init__(self, prefix: str, bucket: Bucket) -> None:
        self.bucket = bucket
        self.key = text(prefix + bucket.key)
        window = math.ceil(bucket.window_seconds * _MICROSECONDS)
        self._window = f"{window} {int(bucket.kind)}"
        self._limit = f"{bucket.capacity} {self._window}"

    def take(self, amount: int, least: int, most: int) -> str:
        """Return one charge for `redis_take.lua`; what this gateway holds is from `least` to `most`."""
        words = f"{amount} {self._limit} {least} {most}"
        return f"${len(words)}\r\n{words}\r\n"

    def settle(self, amount: int, final: int, slot: float) -> str:
        """Return one charge for `redis_settle.lua`."""
        words = f"{amount} {final} {slot:.0f} {self._window}"
        return f"${len(words)}\r\n{words}\r\n"


def read_decision(store: Store, charges: Charges, reply: object) -> Decision:
    """Return what `redis_take.lua` said. Raises StoreError where it is not that."""
    if not isinstance(reply, list) or len(reply) != 2 + _WORDS_PER_CHARGE * len(charges):
        raise StoreError("the server's answer makes no sense")
    if not _INTEGER.issuperset(map(type, reply)):
        raise StoreError("the server's answer makes no sense")
    words = cast("list[int]", reply)
    refused, wait = words[:2]
    decision = Decision(store, charges, words[2::3], words[3::3])
    decision.resets = [word / _MICROSECONDS for word in words[4::3]]
    if refused:
        seconds = NEVER if wait == _NEVER else None if wait == _IN_FLIGHT else wait / _MICROSECONDS
        decision.refusal = Refusal(refused - 1, seconds)
    return decision


def text(argument: str) -> str:
    """Return an ASCII argument of a command as the protocol wants it."""
    return f"${len(argument)}\r\n{argument}\r\n"
