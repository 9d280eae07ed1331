"""The shortest examples: first calls and streams, in Python old and new, and in Node."""

import asyncio
import json
import shutil
from pathlib import Path

import pytest

from gateway.demo_upstream import DemoUpstream
from tests.examples.conftest import (
    EXAMPLES,
    HANG_SECONDS,
    PYTHON,
    Serve,
    Start,
    command,
    ended,
    needs_examples,
)
from tests.test_architecture import ROOT

LEGACY = ROOT / ".venvs" / "openai-0.28" / "bin" / "python"
NODE = shutil.which("node")

needs_legacy = pytest.mark.skipif(
    not LEGACY.exists(), reason="openai 0.28 is not installed: run tests/sdk/setup_legacy.sh"
)
needs_node = pytest.mark.skipif(
    NODE is None or not (EXAMPLES / "node" / "node_modules").is_dir(),
    reason="there is no Node.js, or openai-node is not installed: run tests/examples/setup_examples.sh",
)

ANSWER = "It was played in Arlington, Texas."
FIRST_CALL = {
    "model": "gpt-3.5-turbo",
    "messages": [
        {"role": "system", "content": "You are a helpful assistant."},
        {"role": "user", "content": "Who won the world series in 2020?"},
        {"role": "assistant", "content": "The Los Angeles Dodgers won the World Series in 2020."},
        {"role": "user", "content": "Where was it played?"},
    ],
}


@pytest.mark.parametrize(
    ("example", "python"),
    [
        pytest.param("first_call.py", PYTHON, marks=needs_examples),
        pytest.param("first_call_legacy.py", LEGACY, marks=needs_legacy),
    ],
)
async def test_first_call(
    serve: Serve, start: Start, demo: DemoUpstream, example: str, python: Path
) -> None:
    """The guide's first call goes up as it is written there, and its answer is printed."""
    gateway = await serve(script={"reply": ANSWER})

    ran = await ended(await start(command(example, python), gateway))

    assert ran.out == f"{ANSWER}\n"
    assert json.loads(demo.last.body) == FIRST_CALL


@pytest.mark.parametrize(
    "example",
    [
        pytest.param("stream.py", marks=needs_examples),
        pytest.param("node/stream.mjs", marks=needs_node),
    ],
)
async def test_stream(serve: Serve, start: Start, demo: DemoUpstream, example: str) -> None:
    """The answer is printed whole, and then what it took."""
    gateway = await serve(script={"prompt_tokens": 11, "completion_tokens": 4})

    ran = await ended(await start(command(example), gateway))

    assert ran.out == "Tell me a story\n[11 + 4 tokens]\n"
    assert json.loads(demo.last.body)["stream"] is True


@pytest.mark.parametrize(
    "example",
    [
        pytest.param("stream.py", marks=needs_examples),
        pytest.param("node/stream.mjs", marks=needs_node),
    ],
)
async def test_stream_is_shown_as_it_comes(serve: Serve, start: Start, example: str) -> None:
    """What was said is printed while the model is silent."""
    gateway = await serve(script={"hang_after": 3})
    program = await start(command(example), gateway)
    assert program.stdout is not None

    async with asyncio.timeout(HANG_SECONDS):
        assert await program.stdout.readexactly(5) == b"Tell "
    assert program.returncode is None
