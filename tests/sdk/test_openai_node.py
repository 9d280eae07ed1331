"""openai-node: what programs in JavaScript do works through the gateway."""

import shutil

import pytest

from tests.sdk.cases import HERE, names, outcomes
from tests.sdk.conftest import Demo, Gateway

NODE = shutil.which("node")
SCRIPT = HERE / "node" / "client.js"

pytestmark = [
    pytest.mark.skipif(NODE is None, reason="there is no Node.js on the path"),
    pytest.mark.skipif(
        not (HERE / "node" / "node_modules" / "openai").is_dir(),
        reason="openai-node is not installed: run tests/sdk/setup_node.sh",
    ),
]


@pytest.fixture(scope="module")
def told(gateway: Gateway, demo_process: Demo) -> dict[str, str | None]:
    assert NODE is not None
    return outcomes((NODE, str(SCRIPT)), gateway, demo_process)


@pytest.mark.parametrize("case", names(SCRIPT, r'^test\("(\w+)"'))
def test_openai_node(told: dict[str, str | None], case: str) -> None:
    """What the case of this name in client.js asserts."""
    assert told[case] is None, told[case]
