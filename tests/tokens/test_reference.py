"""Recorded requests with the service's own counts, read from the path in GATEWAY_TOKEN_REFERENCE."""

import json
import os
from collections import Counter
from pathlib import Path

import pytest

from gateway.tokens import TokenCounter

UNDECIDABLE = {"image_remote", "file"}
GOALS = {
    "plain": 0.98,
    "name": 0.98,
    "text_parts": 0.98,
    "json_schema": 0.98,
    "tools": 0.94,
    "tool_history": 0.94,
}


@pytest.mark.external("GATEWAY_TOKEN_REFERENCE")
def test_recorded_requests(counter: TokenCounter) -> None:
    """Nearly all are counted exactly, each kind by itself too; few are under, and no exact count is wrong."""
    path = Path(os.environ["GATEWAY_TOKEN_REFERENCE"])
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    seen, right, under, wrong = Counter[str](), Counter[str](), 0, []
    for row in rows:
        count = counter.count_now("chat", row["request"], row["model"])
        truths = {row["prompt_tokens"], *(row.get("also_seen") or ())}
        seen[row["kind"]] += 1
        right[row["kind"]] += count.tokens in truths
        under += count.tokens < 0.99 * min(truths)
        if count.certainty == "exact" and count.tokens not in truths:
            wrong.append(row["id"])
    for kind in sorted(seen):
        print(f"{kind:18} {right[kind]:4} of {seen[kind]:4}")  # noqa: T201 -- shown by `pytest -s`

    decidable = [kind for kind in seen if kind not in UNDECIDABLE]
    assert sum(right[k] for k in decidable) >= 0.97 * sum(seen[k] for k in decidable)
    assert {k: right[k] / seen[k] for k in GOALS if right[k] < GOALS[k] * seen[k]} == {}
    assert under <= 0.005 * len(rows)
    assert wrong == []
