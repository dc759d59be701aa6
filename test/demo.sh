#!/usr/bin/env bash
# The demo: kubectl nodeinfo on a real cluster. The embedded one by default; with USE_CURRENT_CONTEXT=1 yours.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH=$PWD/bin:$PATH
if [ "${USE_CURRENT_CONTEXT:-}" = 1 ]; then
  command -v kubectl >/dev/null || { echo "error: kubectl is not on the PATH" >&2; exit 1; }
else
  KUBECONFIG=$(bin/cluster up)
  export KUBECONFIG
  PATH=$(bin/cluster bin):$PATH
fi
show() { printf '\n$ kubectl %s\n' "$*"; kubectl "$@"; }
show nodeinfo
show nodeinfo "$(kubectl get nodes -o jsonpath='{.items[0].metadata.name}')"
if [ "${USE_CURRENT_CONTEXT:-}" != 1 ]; then
  printf '\nThe cluster stays up. Use it:   export KUBECONFIG=%s PATH=%s:$PATH\nRemove it:                      bin/cluster down\n' "$KUBECONFIG" "$PWD/bin:$(bin/cluster bin)" >&2
fi
