"""Requests are checked as strictly as their upstream wants, and told what is wrong in OpenAI's words."""

import json

import pytest

from gateway.demo_upstream import DemoUpstream
from tests.journey.conftest import Connect, Start

HOT = b'{"model":"demo","temperature":3,"messages":[{"role":"user","content":"hi"}]}'
ODD = b'{"model":"demo","messages":"hi"}'
TYPED = b'{"model":"demo","temperature":"hot","messages":[{"role":"user","content":"hi"}]}'
TOMORROW = b'{"model":"demo","tomorrow":{"x":[1]},"messages":[{"role":"user","content":"hi"}]}'


@pytest.mark.parametrize(
    ("mode", "statuses"),
    [
        ("strict", (400, 400, 400, 200)),
        ("lenient", (200, 400, 400, 200)),
        ("auto", (200, 400, 400, 200)),
        ("off", (200, 200, 400, 200)),
    ],
)
async def test_modes(
    demo: DemoUpstream, start: Start, connect: Connect, mode: str, statuses: tuple[int, ...]
) -> None:
    """Ranges in strict, types in lenient, which a local engine gets by itself, messages always, what is new never."""
    client = await connect(await start(demo.url, upstream=f', checks: "{mode}"'))
    seen = []
    for body in (HOT, TYPED, ODD, TOMORROW):
        client.request("POST", "/v1/chat/completions", body)
        reply = await client.reply()
        # What is let through may still be refused by the demo upstream itself.
        told = reply.header("x-gateway-upstream") is None
        seen.append(400 if told and reply.status == 400 else 200)

    assert tuple(seen) == statuses


async def test_a_refusal_names_the_parameter(
    demo: DemoUpstream, start: Start, connect: Connect
) -> None:
    """Status, type, param, code and words are OpenAI's, and nothing was asked."""
    client = await connect(await start(demo.url, upstream=", checks: strict"))
    client.request("POST", "/v1/chat/completions", HOT)
    error = json.loads((await client.reply()).body)["error"]

    assert (error["type"], error["param"]) == ("invalid_request_error", "temperature")
    assert error["code"] == "decimal_above_max_value"
    assert not demo.requests
