"""Writes boards/*.json from the boards' descriptions: `make docs`."""

import json
from collections.abc import Mapping
from pathlib import Path

from dashboards.overview import OVERVIEW
from dashboards.upstreams import UPSTREAMS
from dashboards.usage import USAGE

FOLDER = Path(__file__).parent / "boards"
BOARDS = (OVERVIEW, USAGE, UPSTREAMS)


def files() -> Mapping[Path, str]:
    """Return each board's file and what should stand in it."""
    return {
        FOLDER / f"{board.uid.removeprefix('gateway-')}.json": json.dumps(
            board.json(), indent=2, ensure_ascii=False
        )
        + "\n"
        for board in BOARDS
    }


if __name__ == "__main__":
    for path, text in files().items():
        path.write_text(text, encoding="utf-8")
