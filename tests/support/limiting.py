"""Calls and users for tests of limits, and a limiter with its store and its time."""

from dataclasses import dataclass, replace

from gateway.limit_rules import LimitRule
from gateway.limits import Limiter
from gateway.stores.memory import MemoryStore
from gateway.types import Call, Usage, User
from tests.support.clock import FakeClock

ALICE = User(name="alice", group="research")
BOB = User(name="bob", group="research")
CALL = Call(
    endpoint="/v1/chat/completions",
    method="POST",
    target="/chat/completions",
    headers=(),
    body=b"{}",
    model="gpt-4o",
    max_output_tokens=100,
)


def call(
    model: str | None = "gpt-4o",
    *,
    max_output_tokens: int | None = 100,
    end_user: str | None = None,
    n: int = 1,
) -> Call:
    """Return a call like CALL."""
    return replace(CALL, model=model, max_output_tokens=max_output_tokens, end_user=end_user, n=n)


def usage(input_tokens: int, output_tokens: int) -> Usage:
    """Return what a call came to."""
    return Usage(input_tokens=input_tokens, output_tokens=output_tokens)


@dataclass
class Bench:
    """A limiter over a memory store, with a clock to move."""

    clock: FakeClock
    store: MemoryStore
    limiter: Limiter


def limiting(*rules: LimitRule) -> Bench:
    """Return a limiter for some rules."""
    clock = FakeClock()
    store = MemoryStore(clock)
    return Bench(clock, store, Limiter(rules, store, clock))


def in_use(bench: Bench, rule: LimitRule) -> list[int]:
    """Return what alice has in use of each limit of a rule."""
    plan = Limiter([rule], bench.store, bench.clock).plans.for_call(ALICE, CALL)
    return list(bench.store.take_now([(row.bucket, 0) for row in plan.rows]).used)
