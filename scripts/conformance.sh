#!/usr/bin/env bash
# Compares Carat with what others wrote (development only): every codec with ggml's; logits, tokens and greedy
# continuations with llama.cpp's (npm's node-llama-cpp, CPU), on synthetic models (KV caches of every type too) and on the lab's; the tokenizer with
# another one on a vocabulary of real size; and, where CARAT_TEMPLATE names published chat templates (see template.mjs),
# the chat template with a Jinja interpreter; and the cache of downloads with the hub's own library. Needs node 20 or
# newer. Arguments go to conformance.mjs: --full for every type on every size, --only TEXT for some.
set -euo pipefail
cd "$(dirname "$0")/.."

command -v node >/dev/null || scripts/setup.sh nodejs npm
[ "$(node -p 'process.versions.node.split(".")[0]')" -ge 20 ] || { echo "conformance: node 20 or newer is needed" >&2; exit 2; }
(cd tests/conformance && { npm ls >/dev/null 2>&1 || npm install --silent; })
scripts/build.sh

cmake --build --preset release --target codec_conformance importance_conformance llama_quantize_conformance
build/release/tests/conformance/codec_conformance \
  tests/conformance/node_modules/@node-llama-cpp/linux-x64/bins/linux-x64/libggml-base.so

carat=$PWD/build/release/carat
node tests/conformance/conformance.mjs --carat "$carat" "$@"
node tests/conformance/files.mjs "$carat"
node tests/conformance/draft.mjs "$carat"
node tests/conformance/kv.mjs "$carat"
model=$(mktemp --suffix=.gguf)
trap 'rm -f "$model"' EXIT
"$carat" synth "$model" --like e2b --layers 5 --width-divisor 6 --vocab 2048
node tests/conformance/tokens.mjs "$carat" "$model"
node tests/conformance/tokenizer.mjs "$carat"
node tests/conformance/template.mjs "$carat"
if [ -e models/lab-s.gguf ]; then
  node tests/conformance/tokens.mjs "$carat" models/lab-s.gguf
  node tests/conformance/lab.mjs "$carat"
  node tests/conformance/imatrix.mjs "$carat" build/release/tests/conformance/{importance,llama_quantize}_conformance
  node tests/conformance/hub.mjs "$carat"
fi
