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

# remove_clusters takes down the tests' own clusters whose names match a pattern.
remove_clusters() {
  [ -z "${E2E_KUBECONFIG:-}" ] && [ "${E2E_KEEP:-}" != 1 ] || return 0
  local name
  for name in $(bin/cluster list); do
    # shellcheck disable=SC2053 # it is a pattern
    if [[ $name == $1 ]]; then bin/cluster down --name "$name" || true; fi
  done
}

# run_package runs the tests of one package, prints what they printed when they are done, and leaves a mark if they failed.
run_package() {
  local package=$1 began=$SECONDS log=$logs/$1.log
  if [ "$package" = cluster ]; then
    # shellcheck disable=SC2086 # the arguments are several words
    (cd test/cluster && ../../bin/gotest -count=1 -timeout 40m ${E2E_ARGS:-} ./e2e) >"$log" 2>&1 || touch "$logs/$package.failed"
  else
    # shellcheck disable=SC2086
    bin/gotest -count=1 -timeout 45m ${E2E_ARGS:-} "./test/e2e/$package" >"$log" 2>&1 || touch "$logs/$package.failed"
  fi
  cat "$log"
  echo "e2e: $package: $((SECONDS - began)) s" >&2
  remove_clusters "$E2E_CLUSTER-$package"
}

# run_side_by_side runs packages, E2E_JOBS at a time. One by default: on two cores a second cluster starves the control
# plane of the first for ten seconds and more, and saves little.
run_side_by_side() {
  local package
  for package in "$@"; do
    while [ "$(jobs -rp | wc -l)" -ge "${E2E_JOBS:-1}" ]; do wait -n || true; done
    run_package "$package" &
  done
  wait
}

logs=$(mktemp -d)
trap 'remove_clusters "$E2E_CLUSTER"; remove_clusters "$E2E_CLUSTER-*"; rm -rf "$logs"' EXIT

packages=${E2E_PACKAGES:-}
if [ -z "$packages" ]; then
  packages=$(cd test/e2e && printf '%s\n' */ | grep -v harness | tr -d /)
  # The embedded cluster's own faults, repairs and traces.
  [ -n "${E2E_KUBECONFIG:-}" ] || packages+=" cluster"
fi
# The longest first, so that the last one does not run alone; the cluster's own after all others, as it looks for what a
# cluster leaves on the machine.
ordered=()
for package in nodeshell rolloutexplain nodeinfo dns; do
  [[ " ${packages//$'\n'/ } " != *" $package "* ]] || ordered+=("$package")
done
for package in $packages; do
  [[ $package == cluster || " ${ordered[*]} " == *" $package "* ]] || ordered+=("$package")
done
run_side_by_side "${ordered[@]}"
[[ " ${packages//$'\n'/ } " != *" cluster "* ]] || run_package cluster

failed=$(cd "$logs" && printf '%s\n' *.failed | sed 's/\*\?\.failed$//')
if [ -n "$failed" ]; then
  echo "e2e: failed: ${failed//$'\n'/ }" >&2
  exit 1
fi
