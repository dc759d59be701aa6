#!/usr/bin/env bash
# Measures the plugins of this tree, or of the commit NEW, beside those of an older commit, in turns, on one embedded cluster: their
# size, and the median of wall and processor time. A ratio below 1 means that the new ones are smaller or faster.
# Usage: compare.sh OLD [NEW] (ROUNDS=20)
set -euo pipefail
cd "$(dirname "$0")/../.."
old=${1:?usage: compare.sh OLD [NEW]} new=${2:-} rounds=${ROUNDS:-20} name=compare
dir=$(mktemp -d)
cleanup() {
  bin/cluster down --name "$name" >/dev/null 2>&1 || true
  for tree in "$dir/old-tree" "$dir/new-tree"; do git worktree remove --force "$tree" >/dev/null 2>&1 || true; done
  rm -rf "$dir"
}
trap cleanup EXIT
trap 'exit 130' INT TERM
# plugins_of builds those of a commit and gives their directory.
plugins_of() {
  git worktree add --quiet --detach "$dir/$1-tree" "$2"
  make --no-print-directory -C "$dir/$1-tree" build >/dev/null
  echo "$dir/$1-tree/bin"
}
old_bin=$(plugins_of old "$old") new_bin=$PWD/bin
[ -z "$new" ] || new_bin=$(plugins_of new "$new")
# A file that the linker has just written and one that was copied lie differently in the page cache, which made 2 ms of 14.
mkdir "$dir/old-bin" "$dir/new-bin"
cp "$old_bin"/kubectl-* "$dir/old-bin"
cp "$new_bin"/kubectl-* "$dir/new-bin"
old_bin=$dir/old-bin new_bin=$dir/new-bin
KUBECONFIG=$(bin/cluster up --name "$name")
export KUBECONFIG
PATH=$(bin/cluster bin):$PATH
kubectl wait --for=condition=Available deployment --all -A --timeout=300s >/dev/null

TIMEFORMAT='%R %U %S'
# measure runs a command once and appends its wall and its processor time to a file.
measure() {
  local to=$1
  shift
  { time "$@" >/dev/null 2>"$dir/stderr"; } 2>"$dir/time" || { cat "$dir/stderr" >&2; return 1; }
  awk '{ print $1, $2 + $3 }' "$dir/time" >>"$to"
}
# middle gives the median of a column.
middle() { awk -v c="$2" '{ print $c }' "$1" | sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }

printf '%-40s %8s %8s %6s   %6s %6s\n' COMMAND OLD-MB NEW-MB RATIO WALL CPU
while read -r command arguments; do
  for _ in $(seq "$rounds"); do
    # shellcheck disable=SC2086 # several words
    measure "$dir/old" "$old_bin/$command" $arguments
    # shellcheck disable=SC2086
    measure "$dir/new" "$new_bin/$command" $arguments
  done
  size() { stat -c %s "$1/$command"; }
  awk -v name="$command $arguments" -v os="$(size "$old_bin")" -v ns="$(size "$new_bin")" \
    -v ow="$(middle "$dir/old" 1)" -v nw="$(middle "$dir/new" 1)" -v oc="$(middle "$dir/old" 2)" -v nc="$(middle "$dir/new" 2)" \
    'BEGIN { printf "%-40s %8.1f %8.1f %6.2f   %6.2f %6.2f\n", name, os / 1e6, ns / 1e6, ns / os, nw / ow, nc / oc }'
  rm "$dir/old" "$dir/new"
done <<'LIST'
kubectl-nodeinfo
kubectl-nodeinfo w1
kubectl-dns check
kubectl-rollout_explain -n kube-system
kubectl-nodeshell --help
LIST
