#!/usr/bin/env bash
# Sets up, builds and runs all tests.
set -euo pipefail
cd "$(dirname "$0")"

scripts/setup.sh libgtest-dev libsimde-dev binutils
scripts/build.sh -DCARAT_TESTS=ON
ctest --preset release -j "$(nproc)"
