#!/usr/bin/env bash
# Carat's speed beside llama.cpp's (npm's node-llama-cpp, CPU) on the same synthetic files, in turns: prompts, decoding,
# start to first token. Development only; needs node 20 and npm. Close other programs first. --help says more; CARAT names
# a program that is already built.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)

command -v node >/dev/null || "$root/scripts/setup.sh" nodejs npm
[ "$(node -p 'process.versions.node.split(".")[0]')" -ge 20 ] || { echo "bench-peers: node 20 or newer is needed" >&2; exit 2; }
(cd "$root/tests/conformance" && { npm ls >/dev/null 2>&1 || npm install --silent --no-package-lock; })
if [ -z "${CARAT:-}" ]; then
  "$root/scripts/build.sh" >/dev/null
  CARAT=$root/build/release/carat
fi
exec node "$root/tests/conformance/peers.mjs" --carat "$CARAT" "$@"
