#!/usr/bin/env bash
# Runs the end-to-end tests: on the cluster of E2E_KUBECONFIG, or on embedded clusters named E2E_CLUSTER (default e2e)
# and E2E_CLUSTER-PACKAGE, which are removed at the end. E2E_PACKAGES and E2E_ARGS narrow the run.
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

# remove_clusters takes down the clusters of the tests; those named as arguments stay.
remove_clusters() {
  [ -z "${E2E_KUBECONFIG:-}" ] && [ "${E2E_KEEP:-}" != 1 ] || return 0
  for name in $(bin/cluster list | awk -v n="$E2E_CLUSTER" '$1 == n || index($1, n "-") == 1 {print $1}'); do
    [[ " $* " == *" $name "* ]] || bin/cluster down --name "$name" || true
  done
}
trap remove_clusters EXIT

# Packages that have not yet passed as a whole in one run wait here; E2E_PACKAGES=NAME runs one.
waiting="nodeshell rolloutexplain"
packages=${E2E_PACKAGES:-}
if [ -z "$packages" ]; then
  for package in $(cd test/e2e && printf '%s\n' */ | grep -v harness | tr -d /); do
    [[ " $waiting " == *" $package "* ]] || packages+=" $package"
  done
  # The embedded cluster's own faults, repairs and traces: last, as they need the machine for themselves.
  [ -n "${E2E_KUBECONFIG:-}" ] || packages+=" cluster"
  [ -z "$waiting" ] || echo "e2e: not in this run, because they have not yet passed as a whole: $waiting" >&2
fi

# run_package runs the tests of one package.
# shellcheck disable=SC2086 # the arguments are several words
run_package() {
  if [ "$1" = cluster ]; then
    (cd test/cluster && CLUSTER_E2E=1 go test -count=1 -timeout 40m ${E2E_ARGS:-} .)
  else
    go test -count=1 -timeout 45m ${E2E_ARGS:-} "./test/e2e/$1"
  fi
}

failed=()
for package in $packages; do
  began=$SECONDS
  run_package "$package" || failed+=("$package")
  echo "e2e: $package: $((SECONDS - began)) s" >&2
  remove_clusters "$E2E_CLUSTER"
done
if [ "${#failed[@]}" != 0 ]; then
  echo "e2e: failed: ${failed[*]}" >&2
  exit 1
fi
