#!/usr/bin/env bash
# Runs the end-to-end tests: on the cluster of E2E_KUBECONFIG, or on embedded clusters named E2E_CLUSTER (default e2e)
# and E2E_CLUSTER-PACKAGE, which are removed at the end. E2E_PACKAGES and E2E_ARGS narrow the run. What the plugins asked of
# the API servers is held against docs/gen/testdata/requests, from which the published roles follow; E2E_RECORD=1 adds to it.
# E2E_ALL=1 adds the packages whose clusters are of another make.
set -euo pipefail
cd "$(dirname "$0")/../.."
export E2E_BIN=$PWD/bin E2E_CLUSTER=${E2E_CLUSTER:-e2e}
if [ -n "${E2E_KUBECONFIG:-}" ]; then
  E2E_KUBECTL=$(dirname "$(command -v kubectl)")
else
  if [ "$(uname -s)" != Linux ] || [ "$(id -u)" != 0 ]; then
    echo "e2e: skipped: the embedded cluster's nodes need Linux and root; E2E_KUBECONFIG=… runs what any cluster can show" >&2
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

trap 'rm -f "$E2E_REQUESTS"; remove_clusters "$E2E_CLUSTER"; remove_clusters "$E2E_CLUSTER-*"' EXIT
trap 'exit 130' INT TERM
failed=()
E2E_REQUESTS=$(mktemp)
export E2E_REQUESTS

# keep_requests appends what the plugins asked of a cluster's API server, which its audit log names by their user agents.
keep_requests() {
  bin/cluster list | grep -qxF "$1" || return 0
  local node
  for node in $(bin/cluster status --name "$1" | grep -oE '\bcp[0-9]+\b' | sort -u); do
    bin/cluster exec --name "$1" "$node" -- sh -c 'cat /etc/kubernetes/audit/*.log' | grep -F '"userAgent":"kubectl-' >>"$E2E_REQUESTS" || true
  done
}

# run_package runs the tests of one package, and notes if they failed.
run_package() {
  local package=$1 began=$SECONDS where=. tests=./test/e2e/$1
  [ "$package" != cluster ] || { where=test/cluster tests=./e2e; }
  # shellcheck disable=SC2086 # the arguments are several words
  (cd $where && "$E2E_BIN/gotest" -count=1 -timeout 45m ${E2E_ARGS:-} "$tests") || failed+=("$package")
  echo "e2e: $package: $((SECONDS - began)) s" >&2
  [ -n "${E2E_KUBECONFIG:-}" ] || keep_requests "$E2E_CLUSTER-$package"
  remove_clusters "$E2E_CLUSTER-$package"
}

packages=${E2E_PACKAGES:-} makes=controlplanes
if [ -z "$packages" ]; then
  packages=$(cd test/e2e && printf '%s\n' */ | tr -d / | grep -vxF -e harness -e "$makes")
  [ -z "${E2E_ALL:-}" ] || packages+=" $makes"
  # The embedded cluster's own faults, repairs and traces come last: they look for what a cluster leaves on the machine.
  [ -n "${E2E_KUBECONFIG:-}" ] || packages+=" cluster"
fi
# One after another: on two cores a second cluster starves the control plane of the first for ten seconds and more.
for package in $packages; do run_package "$package"; done

if [ -z "${E2E_KUBECONFIG:-}" ]; then
  keep_requests "$E2E_CLUSTER"
  # A part of the tests may ask nothing; all of them do.
  if [ -s "$E2E_REQUESTS" ] || [ -z "${E2E_PACKAGES:-}" ]; then
    "$E2E_BIN/gotest" -count=1 -run TestTheRunAskedWhatIsRecorded ./docs/gen ${E2E_RECORD:+-update} || failed+=(requests)
  fi
fi

if [ ${#failed[@]} -gt 0 ]; then
  echo "e2e: failed: ${failed[*]}" >&2
  exit 1
fi
