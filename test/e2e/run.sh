#!/usr/bin/env bash
# Runs the end-to-end tests: on the cluster of E2E_KUBECONFIG, or on embedded clusters named E2E_CLUSTER (default e2e)
# and E2E_CLUSTER-PACKAGE, which are removed at the end. E2E_PACKAGES and E2E_ARGS narrow the run. What the plugins asked of
# the API servers is held against docs/gen/testdata/requests, from which the published roles follow; E2E_RECORD=1 adds to it, and
# saves what the pictures in docs are made of.
# E2E_ALL=1 adds the packages whose clusters are of another make, and E2E_THEN names a target of make, which runs once no package
# waits for a lane. Four packages run at a time (E2E_LANES): most of the time one waits for what a cluster does by its own clocks, and
# the scenarios of rollout-explain begin only where the others leave a processor idle.
set -euo pipefail
cd "$(dirname "$0")/../.."
export GOGC=400 E2E_BIN=$PWD/bin E2E_CLUSTER=${E2E_CLUSTER:-e2e}
if [ -n "${E2E_KUBECONFIG:-}" ]; then
  E2E_KUBECTL=$(dirname "$(command -v kubectl)")
else
  if [ "$(uname -s)" != Linux ] || [ "$(id -u)" != 0 ]; then
    echo "e2e: skipped: the embedded cluster's nodes need Linux and root; E2E_KUBECONFIG=… runs what any cluster can show" >&2
    [ -z "${E2E_THEN:-}" ] || exec make --no-print-directory "$E2E_THEN"
    exit 0
  fi
  E2E_KUBECTL=$(bin/cluster bin)
fi
export E2E_KUBECTL

# remove_clusters takes down the tests' own clusters whose names match a pattern.
remove_clusters() {
  [ -z "${E2E_KUBECONFIG:-}" ] && [ "${E2E_KEEP:-}" != 1 ] || return 0
  local name
  for name in $(bin/cluster list); do
    # shellcheck disable=SC2053 # it is a pattern
    if [[ $name == $1 ]]; then bin/cluster down --name "$name" || true; fi
  done
}

work=$(mktemp -d)
export E2E_REQUESTS=$work/requests E2E_AUDIT=$work/early.requests
if [ -z "${E2E_KUBECONFIG:-}" ]; then
  bin/cluster install-deps # which traces calls, too
  bin/cluster traces >"$work/before"
fi
running=() # process groups of the lanes
trap 'stop_lanes; rm -rf "$work"; remove_clusters "$E2E_CLUSTER"; remove_clusters "$E2E_CLUSTER-*"' EXIT
trap 'exit 130' INT TERM

stop_lanes() {
  local group
  for group in "${running[@]}"; do kill -- "-$group" 2>/dev/null || true; done
  wait
}

# keep_requests appends what the plugins asked of a cluster's API server, which its audit log names by their user agents, to a file.
keep_requests() {
  bin/cluster list | grep -qxF "$1" || return 0
  local node
  for node in $(bin/cluster status --name "$1" | grep -oE '\bcp[0-9]+\b' | sort -u); do
    bin/cluster exec --name "$1" "$node" -- sh -c 'cat /etc/kubernetes/audit/*.log' | grep -F '"userAgent":"kubectl-' >>"$2" || true
  done
}

# left_behind says what the tests' clusters have left on this machine, unless it has others, whose things come and go.
left_behind() {
  remove_clusters "$E2E_CLUSTER"
  remove_clusters "$E2E_CLUSTER-*"
  [ -z "$(bin/cluster list)" ] || return 0
  local left
  for _ in $(seq 10); do # the kernel takes some time to dissolve a namespace
    left=$(LC_ALL=C comm -13 "$work/before" <(bin/cluster traces))
    [ -n "$left" ] || return 0
    sleep 1
  done
  printf 'e2e: left behind:\n%s\n' "$left" >&2
  touch "$work/traces.failed"
}

# own_clusters lists the clusters of one package: NAME-PACKAGE, and where it has several NAME-PACKAGE2 or NAME-PACKAGE-MAKE.
own_clusters() {
  [ -z "${E2E_KUBECONFIG:-}" ] || return 0
  local name
  for name in $(bin/cluster list); do
    if [[ $name =~ ^"$E2E_CLUSTER-$1"([0-9]+|-.+)?$ ]]; then echo "$name"; fi
  done
}

# run_package runs the tests of one package, and notes if they failed.
run_package() {
  local package=$1 began=$SECONDS where=. tests=./test/e2e/$1 limit=45m own
  [ "$package" != cluster ] || { where=test/cluster tests=./e2e; }
  [ "$package" != makes ] || limit=90m # it builds the parts of its clusters on first use
  export E2E_SHARED=$E2E_CLUSTER-$package-shared # one of the package's own clusters
  # shellcheck disable=SC2086 # the arguments are several words
  (cd $where && "$E2E_BIN/gotest" -count=1 -timeout "$limit" ${E2E_ARGS:-} "$tests") || touch "$work/$package.failed"
  echo "e2e: $package: $((SECONDS - began)) s" >&2
  for own in $(own_clusters "$package"); do
    keep_requests "$own" "$work/$package.requests"
    remove_clusters "$own"
  done
}

run_then() {
  local began=$SECONDS
  make --no-print-directory "$E2E_THEN" || touch "$work/$E2E_THEN.failed"
  echo "e2e: $E2E_THEN: $((SECONDS - began)) s" >&2
}

# lane runs packages, each as soon as it is free, and prints what one said when it has ended.
lane() {
  set +m # all of it is one process group
  local package
  while package=$(flock "$work/queue" sh -c 'head -n 1 "$1" && sed -i 1d "$1"' - "$work/queue") && [ -n "$package" ]; do
    case $package in
    then) run_then ;;
    *) run_package "$package" ;;
    esac >"$work/$package.log" 2>&1
    flock "$work/printing" cat "$work/$package.log"
  done
}

packages=${E2E_PACKAGES:-} makes="controlplanes makes" alone=
if [ -z "$packages" ]; then
  packages="rolloutexplain nodeinfo cluster nodeshell dns" # those that take longest come first
  [ -z "${E2E_KUBECONFIG:-}" ] || packages=${packages/ cluster/}
  packages+=" $(cd test/e2e && printf '%s\n' */ | tr -d / | grep -vxF -e harness $(printf -- '-e %s ' $makes $packages) | tr '\n' ' ')"
  # These come last and one after another: three nodes' control planes need both processors, and parts are built first.
  [ -n "${E2E_KUBECONFIG:-}" ] || alone=${E2E_ALL:+$makes}
fi
read -ra packages <<<"$packages"
read -ra alone <<<"$alone"
lanes=${E2E_LANES:-4}
if [ -n "${E2E_KUBECONFIG:-}" ] || [ ${#packages[@]} -eq 1 ] || [ "$lanes" -lt 2 ]; then
  alone=("${packages[@]}" "${alone[@]}")
  [ -z "${E2E_THEN:-}" ] || run_then
else
  printf '%s\n' "${packages[@]}" ${E2E_THEN:+then} >"$work/queue"
  set -m # each lane is a process group, which an interrupt ends as a whole
  for i in $(seq "$lanes"); do
    lane "$i" &
    running+=($!)
  done
  set +m
  for i in "${!running[@]}"; do wait "${running[i]}" || touch "$work/lane$((i + 1)).failed"; done
  running=()
fi
for package in "${alone[@]}"; do run_package "$package"; done

if [ -z "${E2E_KUBECONFIG:-}" ]; then
  keep_requests "$E2E_CLUSTER" "$work/shared.requests"
  cat "$work"/*.requests >"$E2E_REQUESTS" 2>/dev/null || true
  # A part of the tests may ask nothing; all of them do.
  if [ -s "$E2E_REQUESTS" ] || [ -z "${E2E_PACKAGES:-}" ]; then
    "$E2E_BIN/gotest" -count=1 -run TestTheRunAskedWhatIsRecorded ./docs/gen ${E2E_RECORD:+-update} || touch "$work/requests.failed"
  fi
  left_behind
fi

failed=$(cd "$work" && ls -- *.failed 2>/dev/null | sed 's/\.failed$//' | tr '\n' ' ') || true
if [ -n "$failed" ]; then
  echo "e2e: failed: $failed" >&2
  exit 1
fi
