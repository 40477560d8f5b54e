#!/usr/bin/env bash
# Builds Carat and lets it judge the lab family: the verdict table here, the whole judgement in report.html.
set -euo pipefail
cd "$(dirname "$0")"

scripts/build.sh
build/release/carat compare --report report.html
