#!/usr/bin/env bash
# Fuzzes every target for SECONDS each (default 1800), as many at a time as there are CPUs, under AddressSanitizer and
# UBSan (clang's libFuzzer). `scripts/fuzz.sh 60 gguf_reader model_chat` runs two of them for a minute. Prints a line a
# target; exit code 1 if one found something, which then lies in build/fuzz/findings/TARGET.
set -euo pipefail
cd "$(dirname "$0")/.."

seconds=${1:-1800}
[[ $seconds =~ ^[1-9][0-9]*$ ]] || { echo "fuzz: '$seconds' is no number of seconds; usage: scripts/fuzz.sh [SECONDS [TARGET…]]" >&2; exit 2; }
shift || true
all=()
for source in fuzz/*.cpp; do all+=("$(basename "$source" .cpp)"); done
targets=("$@")
[ $# -gt 0 ] || targets=("${all[@]}")
for target in "${targets[@]}"; do
  [ -f "fuzz/$target.cpp" ] || { echo "fuzz: '$target' is no target; expected one of ${all[*]}" >&2; exit 2; }
done

scripts/setup.sh clang libclang-rt-dev g++ cmake ninja-build libfmt-dev libcli11-dev nlohmann-json3-dev libopenblas-dev
cmake --preset fuzz >/dev/null
cmake --build --preset fuzz --target "${targets[@]}"

fuzz_one() {
  local seconds=$1 target=$2 folder=build/fuzz/findings/$2/ corpus=build/fuzz/corpus/$2 log=build/fuzz/$2.log
  mkdir -p "$folder" "$corpus"
  if build/fuzz/fuzz/"$target" -max_total_time="$seconds" -timeout=20 -rss_limit_mb=4096 -artifact_prefix="$folder" \
    "$corpus" "fuzz/seeds/$target" >"$log" 2>&1; then
    printf '%-20s nothing found in %s\n' "$target" "$(sed -n 's/^Done \([0-9]*\) runs in \([0-9]*\) second.*/\1 runs, \2 s/p' "$log")"
  else
    printf '%-20s FOUND SOMETHING: %s, %s\n' "$target" "$folder" "$log"
    return 1
  fi
}
export -f fuzz_one
printf '%s\n' "${targets[@]}" | xargs -P "$(nproc)" -I{} bash -c "fuzz_one $seconds {}" ||
  { echo "fuzz: failed" >&2; exit 1; }
