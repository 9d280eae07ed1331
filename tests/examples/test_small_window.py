"""The conversation in a small window: nothing too long is paid for, and what was said is summed up."""

import json
import re

from gateway.demo_upstream import DemoUpstream
from tests.examples.conftest import EXAMPLES, Serve, Start, command, ended, needs_examples

pytestmark = needs_examples

WINDOW = (EXAMPLES / "small_window.yaml").read_text(encoding="utf-8")
# About 600 tokens.
LONG = " ".join(f"word{number}" for number in range(300))


async def test_a_long_conversation_goes_on(serve: Serve, start: Start, demo: DemoUpstream) -> None:
    """Turns that no longer fit are summed up, and what goes up always fits with its answer."""
    gateway = await serve(WINDOW)
    questions = [f"{number} {LONG}" for number in range(6)]

    ran = await ended(await start(command("small_window.py"), gateway), "\n".join(questions))

    answers = re.findall(r"^(\d) word0 ", ran.out, re.MULTILINE)
    summed_up = re.findall(r"^\[summed up: (\d) questions", ran.out, re.MULTILINE)
    assert answers == list("012345")
    assert summed_up != []
    asked = [json.loads(one.body) for one in demo.requests]
    assert len(asked) == len(questions) + len(summed_up)
    assert "What was said before: Sum up" in asked[-1]["messages"][0]["content"]
    assert asked[-1]["messages"][-1]["content"] == questions[-1]


async def test_one_question_may_be_too_long(serve: Serve, start: Start, demo: DemoUpstream) -> None:
    """A question that never fits is said to be so, unpaid, and the conversation goes on."""
    gateway = await serve(WINDOW)
    given = f"First\n{LONG * 10}\nLast\n"

    ran = await ended(await start(command("small_window.py"), gateway), given)

    assert "[too long for this model]" in ran.out
    assert re.findall(r"^(First|Last)$", ran.out, re.MULTILINE) == ["First", "Last"]
    assert all(LONG * 10 not in one.body.decode() for one in demo.requests)
