#!/usr/bin/env bash
# Makes the environment of the examples in .venvs/examples, and that of the one for Node, where there is Node, beside
# it; does nothing where that is done.
set -euo pipefail
cd "$(dirname "$0")/../.."

lock=examples/requirements.txt
venv=.venvs/examples
if ! cmp -s "$lock" "$venv/installed.txt"; then
    rm -rf "$venv"
    "${PYTHON:-python3}" -m venv "$venv"
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes -r "$lock"
    cp "$lock" "$venv/installed.txt"
fi

cd examples/node
command -v node >/dev/null && command -v npm >/dev/null || exit 0
if ! cmp -s package-lock.json node_modules/installed.json; then
    npm ci --silent --no-audit --no-fund
    cp package-lock.json node_modules/installed.json
fi
