#!/usr/bin/env bash
# Builds and runs all tests under AddressSanitizer + UBSan, then ThreadSanitizer (presets asan and tsan).
# `scripts/sanitize.sh asan` runs one of them.
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/setup.sh g++ cmake ninja-build libfmt-dev libcli11-dev nlohmann-json3-dev libopenblas-dev libcurl4-openssl-dev libssl-dev libgtest-dev libsimde-dev binutils
[ $# -gt 0 ] || set -- asan tsan
for preset in "$@"; do
  cmake --preset "$preset" >/dev/null
  cmake --build --preset "$preset"
  ctest --preset "$preset" -j "$(nproc)"
done
