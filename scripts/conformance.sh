#!/usr/bin/env bash
# Compares Carat with llama.cpp (npm's node-llama-cpp, CPU, development only): logits on synthetic models, KV
# caches of every type, tokens, and greedy continuations on the lab models. Needs node 20 or newer. Arguments go to conformance.mjs.
set -euo pipefail
cd "$(dirname "$0")/.."

command -v node >/dev/null || scripts/setup.sh nodejs npm
[ "$(node -p 'process.versions.node.split(".")[0]')" -ge 20 ] || { echo "conformance: node 20 or newer is needed" >&2; exit 2; }
[ -d tests/conformance/node_modules/node-llama-cpp ] || (cd tests/conformance && npm install --silent)
scripts/build.sh

carat=$PWD/build/release/carat
node tests/conformance/conformance.mjs --carat "$carat" "$@"
node tests/conformance/kv.mjs "$carat"
model=$(mktemp --suffix=.gguf)
trap 'rm -f "$model"' EXIT
"$carat" synth "$model" --like e2b --layers 5 --width-divisor 6 --vocab 2048
node tests/conformance/tokens.mjs "$carat" "$model"
if [ -e models/lab-s.gguf ]; then
  node tests/conformance/tokens.mjs "$carat" models/lab-s.gguf
  node tests/conformance/lab.mjs "$carat"
fi
