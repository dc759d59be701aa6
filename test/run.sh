#!/usr/bin/env bash
# make test: what needs no cluster, with the race detector, runs beside the end-to-end tests, and only in the time that those leave
# free, for they wait for what clusters do by their own clocks. It is printed as a whole when both have ended; the times come last.
set -euo pipefail
cd "$(dirname "$0")/.."
make=(${MAKE:-make} --no-print-directory)
"${make[@]}" programs build "$PWD/bin/gotest" # before the two sides share them

log=$(mktemp)
beside=
stop() {
  [ -z "$beside" ] || kill -- "-$beside" 2>/dev/null || true
  wait
  rm -f "$log"
}
trap stop EXIT
trap 'exit 130' INT TERM

# unit_tests runs them one after another and says which failed, and how long each took.
unit_tests() {
  local target at result=0 idle=(nice -n 19)
  ! chrt -i 0 true 2>/dev/null || idle=(chrt -i 0)
  for target in race package browser; do
    at=$SECONDS
    "${idle[@]}" "${make[@]}" "$target" </dev/null || { result=1; echo "$target: failed"; }
    echo "$target: $((SECONDS - at)) s"
  done
  return $result
}

began=$SECONDS failed=
set -m # a process group, which an interrupt ends as a whole
unit_tests >"$log" 2>&1 &
beside=$!
set +m
./test/e2e/run.sh || failed=" e2e"
echo "e2e: $((SECONDS - began)) s"
wait "$beside" || failed+=" unit tests"
beside=
cat "$log"
echo "all: $((SECONDS - began)) s"
[ -z "$failed" ] || { echo "failed:$failed" >&2; exit 1; }
