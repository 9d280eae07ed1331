#!/usr/bin/env bash
# Makes the environment of openai before 1.0 in .venvs/openai-0.28; does nothing where it is already made.
set -euo pipefail
cd "$(dirname "$0")/../.."

lock=tests/sdk/requirements-legacy.txt
venv=.venvs/openai-0.28
if ! cmp -s "$lock" "$venv/installed.txt"; then
    rm -rf "$venv"
    "${PYTHON:-python3}" -m venv "$venv"
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes -r "$lock"
    cp "$lock" "$venv/installed.txt"
fi
