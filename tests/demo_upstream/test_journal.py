"""The journal: bounded, and settled when nothing is in flight."""

import asyncio
import hashlib

from gateway.demo_upstream.journal import MAX_KEPT_BODY_BYTES, MAX_REQUESTS, Journal


def test_a_long_body_is_hashed_whole_and_kept_in_part() -> None:
    """What is held of a body is bounded; its digest is of all of it."""
    seen = Journal().open("POST", "/v1/files", [("A", "1"), ("a", "2")])
    for _ in range(3):
        seen.take(b"x" * 40_000)

    assert seen.body == b"x" * MAX_KEPT_BODY_BYTES
    assert seen.body_bytes == 120_000
    assert seen.sha256 == hashlib.sha256(b"x" * 120_000).hexdigest()
    assert (seen.header("A"), seen.header("b")) == ("1", None)


def test_the_oldest_requests_are_forgotten() -> None:
    """What is held of all requests is bounded."""
    journal = Journal()
    for number in range(MAX_REQUESTS + 1):
        journal.open("GET", f"/{number}", [])
        journal.close()

    assert len(journal.requests) == MAX_REQUESTS
    assert journal.requests[0].target == "/1"


async def test_it_is_settled_when_every_request_is_closed() -> None:
    """Whoever waits goes on when the last one in flight has ended."""
    journal = Journal()
    journal.open("GET", "/a", [])
    journal.open("GET", "/b", [])
    waiting = asyncio.ensure_future(journal.settled())
    journal.close()
    await asyncio.sleep(0)
    before = waiting.done()
    journal.close()
    await waiting

    assert not before


def test_a_request_is_described_in_json_types() -> None:
    """What a test in another process reads is all there."""
    journal = Journal()
    seen = journal.open("POST", "/v1/x?y=1", [("Host", "h")])
    seen.take(b"\xff")

    assert seen.describe() == {
        "method": "POST",
        "target": "/v1/x?y=1",
        "headers": (("Host", "h"),),
        "body_base64": "/w==",
        "body_bytes": 1,
        "body_sha256": "a8100ae6aa1940d0b663bb31cd466142ebbdbd5187131b92d93818987832eb89",
        "status": None,
        "sent_bytes": 0,
        "phase": "receiving",
        "aborted": None,
    }
