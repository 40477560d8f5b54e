#!/usr/bin/env bash
# Fuzzes every target for SECONDS of processor time each (default 1800; processor time, so that a busy machine does not
# shorten it), as many at a time as there are CPUs, under AddressSanitizer and UBSan (clang's libFuzzer).
# `scripts/fuzz.sh 60 gguf_reader model_chat` runs two of them for a minute. Prints a line a target; exit code 1 if one
# found something, which then lies in build/fuzz/findings/TARGET.
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

# The seconds of processor time that process $1 has used; nothing once it has ended.
cpu_seconds() {
  local stat
  stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 0
  set -- ${stat##*) }  # after the name, which may hold anything: state is field 1, user and system ticks are 12 and 13
  echo $(((${12} + ${13}) / $(getconf CLK_TCK)))
}

fuzz_one() {
  local seconds=$1 target=$2 folder=build/fuzz/findings/$2/ corpus=build/fuzz/corpus/$2 log=build/fuzz/$2.log pid used=0 now
  mkdir -p "$folder" "$corpus"
  build/fuzz/fuzz/"$target" -timeout=60 -rss_limit_mb=4096 -print_final_stats=1 -artifact_prefix="$folder" \
    "$corpus" "fuzz/seeds/$target" >"$log" 2>&1 &
  pid=$!
  trap 'kill $pid 2>/dev/null' EXIT
  while now=$(cpu_seconds $pid) && [ -n "$now" ]; do
    used=$now
    [ "$used" -lt "$seconds" ] || kill -USR1 $pid 2>/dev/null || true  # libFuzzer ends after the input it is at, with code 0
    sleep 1
  done
  if wait $pid; then
    printf '%-20s nothing found in %s runs, %s s\n' "$target" "$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")" "$used"
  else
    printf '%-20s FOUND SOMETHING: %s, %s\n' "$target" "$folder" "$log"
    return 1
  fi
}
export -f cpu_seconds fuzz_one
printf '%s\n' "${targets[@]}" | xargs -P "$(nproc)" -I{} bash -c "fuzz_one $seconds {}" ||
  { echo "fuzz: failed" >&2; exit 1; }
