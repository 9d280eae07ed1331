#!/usr/bin/env bash
# Installs openai-node in tests/sdk/node/node_modules; does nothing where that is done, or where there is no Node.
set -euo pipefail
cd "$(dirname "$0")/node"

command -v node >/dev/null && command -v npm >/dev/null || exit 0
if ! cmp -s package-lock.json node_modules/installed.json; then
    npm ci --silent --no-audit --no-fund
    cp package-lock.json node_modules/installed.json
fi
