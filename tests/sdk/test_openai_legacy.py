"""openai 0.28, in an environment of its own: programs that were never moved on work through the gateway."""

import pytest

from tests.sdk.cases import HERE, ROOT, names, outcomes
from tests.sdk.conftest import Demo, Gateway

PYTHON = ROOT / ".venvs" / "openai-0.28" / "bin" / "python"
SCRIPT = HERE / "legacy_client.py"

pytestmark = pytest.mark.skipif(
    not PYTHON.exists(), reason="openai 0.28 is not installed: run tests/sdk/setup_legacy.sh"
)


@pytest.fixture(scope="module")
def told(gateway: Gateway, demo_process: Demo) -> dict[str, str | None]:
    return outcomes((str(PYTHON), "-W", "error", str(SCRIPT)), gateway, demo_process)


@pytest.mark.parametrize("case", names(SCRIPT, r"^(?:async )?def case_(\w+)"))
def test_openai_0_28(told: dict[str, str | None], case: str) -> None:
    """What the case's own docstring in legacy_client.py promises."""
    assert told[case] is None, told[case]
