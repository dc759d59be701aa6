#!/usr/bin/env bash
# Runs the end-to-end tests: on the cluster of E2E_KUBECONFIG, or on embedded clusters (their names begin with
# e2e) that are removed at the end
# (E2E_KEEP=1 keeps them). E2E_ARGS goes to go test, E2E_PACKAGES chooses packages.
set -euo pipefail
cd "$(dirname "$0")/../.."
export E2E_BIN=$PWD/bin
if [ -n "${E2E_KUBECONFIG:-}" ]; then
  E2E_KUBECTL=$(dirname "$(command -v kubectl)")
else
  if [ "$(uname -s)" != Linux ] || [ "$(id -u)" != 0 ]; then
    echo "e2e: skipped: the embedded cluster's nodes need Linux and root; E2E_KUBECONFIG=… runs what any cluster can show" >&2
    exit 0
  fi
  E2E_KUBECTL=$(bin/cluster bin)
  [ "${E2E_KEEP:-}" = 1 ] || trap 'for name in $(bin/cluster list | grep -o "^e2e[^ ]*"); do bin/cluster down --name "$name" || true; done' EXIT
fi
export E2E_KUBECTL
mapfile -t packages < <(go list ./test/e2e/... | grep -v /harness)
# shellcheck disable=SC2086
go test -count=1 -p 1 -timeout 45m ${E2E_ARGS:-} ${E2E_PACKAGES:-${packages[@]}}
