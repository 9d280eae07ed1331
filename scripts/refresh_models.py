"""Writes gateway/tokens/data/models.json from litellm's table of models, which is kept up with OpenAI's prices.

    pip download --no-deps --dest /tmp/wheels litellm
    python scripts/refresh_models.py /tmp/wheels/litellm-*.whl

Read the difference before it is committed: the source corrects itself from time to time.
"""

import json
import sys
import zipfile
from decimal import Decimal
from pathlib import Path
from typing import Any

TARGET = Path(__file__).parent.parent / "gateway" / "tokens" / "data" / "models.json"
SOURCE = "litellm/model_prices_and_context_window_backup.json"

PROVIDERS = {"openai", "text-completion-openai"}
MODES = {"chat", "responses", "completion", "embedding"}
PER_MILLION = 1_000_000

# Our name -> litellm's, tokens first, then USD per million tokens.
TOKENS = {"context_window": "max_input_tokens", "max_output_tokens": "max_output_tokens"}
PRICES = {
    "input": "input_cost_per_token",
    "cached_input": "cache_read_input_token_cost",
    "output": "output_cost_per_token",
}

# Where the service's own refusals name another window, and snapshots that the source has dropped.
WINDOWS = {
    "gpt-3.5-turbo-0301": 4097,
    "gpt-3.5-turbo-0613": 4097,
    "gpt-3.5-turbo-instruct": 4097,
    "gpt-3.5-turbo-instruct-0914": 4097,
    "gpt-4-32k": 32768,
    "text-embedding-3-large": 8192,
    "text-embedding-3-small": 8192,
    "text-embedding-ada-002": 8192,
}


def main() -> int:
    """Write the table from the wheel on the command line."""
    with zipfile.ZipFile(sys.argv[1]) as wheel:
        source = json.loads(wheel.read(SOURCE), parse_float=Decimal)
    models = {
        name: entry(model)
        for name, model in source.items()
        if model.get("litellm_provider") in PROVIDERS
        and model.get("mode") in MODES
        and "/" not in name
    }
    for name, window in WINDOWS.items():
        models.setdefault(name, {})["context_window"] = window
    lines = [f"{json.dumps(name)}: {json.dumps(models[name])}" for name in sorted(models)]
    TARGET.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
    sys.stdout.write(f"{len(models)} models from {Path(sys.argv[1]).name}\n")
    return 0


def entry(model: dict[str, Any]) -> dict[str, int | str]:
    """Return what the table says of one model; prices as text, so that no digit is lost."""
    tokens = {ours: model[theirs] for ours, theirs in TOKENS.items() if model.get(theirs)}
    prices = {
        ours: f"{(Decimal(model[theirs]) * PER_MILLION).normalize():f}"
        for ours, theirs in PRICES.items()
        if model.get(theirs) is not None
    }
    return {**tokens, **prices}


if __name__ == "__main__":
    sys.exit(main())
