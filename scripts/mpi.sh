#!/usr/bin/env bash
# Builds Carat for several processes (build/mpi/carat) and checks that `mpirun -n K carat compare` comes to the same
# judgement as one process, whatever K is. The program then runs as `mpirun -n 4 --hostfile HOSTS build/mpi/carat compare …`;
# `--bind-to none` lets each process use all threads of its machine.
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/setup.sh g++ cmake ninja-build libfmt-dev libcli11-dev nlohmann-json3-dev libopenblas-dev libcurl4-openssl-dev libssl-dev \
  libopenmpi-dev openmpi-bin python3
cmake --preset mpi >/dev/null
cmake --build --preset mpi --target carat

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
judge() {  # FILE LAUNCHER…
  local file=$1
  shift
  "$@" build/mpi/carat compare --lab lab-s --per-kind 12 --no-speed -t 1 --json "$folder/$file" >/dev/null
}
judge alone.json
for n in 1 2 3; do
  judge "$n.json" mpirun --oversubscribe --allow-run-as-root -n "$n"
  python3 - "$folder/alone.json" "$folder/$n.json" <<'PYTHON'
import json, sys
a, b = (json.load(open(path)) for path in sys.argv[1:])
for report in a + b:
    for key in ("seconds", "command", "machine"):  # mpirun binds a process to some of the machine's processors
        del report[key]
sys.exit(0 if a == b else "the judgements differ")
PYTHON
  echo "mpi: $n processes: the same judgement as one"
done
# One that fails ends them all, with its code and its line.
code=0
mpirun --oversubscribe --allow-run-as-root -n 2 build/mpi/carat compare "$folder/none.gguf" --suite lab >/dev/null 2>"$folder/err" || code=$?
[ "$code" -ne 0 ] && grep -q none.gguf "$folder/err" || { echo "mpi: a failing judgement ended with $code" >&2; exit 1; }
echo "mpi: passed"
