#!/usr/bin/env bash
# Set-up and Release build alone: leaves the program at build/release/carat. Arguments go to cmake's configure step.
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/setup.sh g++ cmake ninja-build libfmt-dev libcli11-dev nlohmann-json3-dev libopenblas-dev libcurl4-openssl-dev libssl-dev
cmake --preset release -DCARAT_TESTS=OFF "$@" >/dev/null
cmake --build --preset release
