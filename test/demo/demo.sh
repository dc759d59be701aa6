#!/usr/bin/env bash
# The demo: first what the plugins say of a recorded cluster, while a real one is built; then all of them on that one, with a workload
# that is broken and put right. With USE_CURRENT_CONTEXT=1 they only look at yours.
set -euo pipefail
cd "$(dirname "$0")/../.."
export PATH=$PWD/bin:$PATH
say() { printf '\n\033[1m# %s\033[0m\n' "$*"; }
# show prints a command as one would type it, and runs it.
show() {
  local word line=
  for word; do
    [[ $word != *[!a-zA-Z0-9_./:=-]* ]] || word="'$word'"
    line+=" $word"
  done
  printf '\n$%s\n' "$line"
  "$@" || true
}

if [ "${USE_CURRENT_CONTEXT:-}" = 1 ]; then
  command -v kubectl >/dev/null || { echo "error: kubectl is not on the PATH" >&2; exit 1; }
  make --no-print-directory plugins
  show kubectl runbooks
  show kubectl nodeinfo
  show kubectl nodeinfo "$(kubectl get nodes -o jsonpath='{.items[0].metadata.name}')"
  show kubectl dns
  show kubectl rollout-explain -A
  exit
fi

work=$(mktemp -d)
jobs=() # in the background, each with a process group of its own
beside() {
  set -m
  "$@" </dev/null &
  set +m
  jobs+=($!)
}
finish() {
  local job
  for job in "${jobs[@]}"; do kill -- "-$job" 2>/dev/null || true; done
  rm -rf "$work"
}
trap finish EXIT

# The first report as soon as can be, with nothing beside it: that of a plugin without its client, which takes as long again to compile.
# The modules come over the network, many at once.
GOMAXPROCS=16 go list -deps ./plugins/nodeinfo/internal/recorded >/dev/null
make --no-print-directory recorded
# The sources of Kubernetes come while the other plugins are compiled, and the cluster is made.
sources() { for part in kube containerd coredns; do (cd "test/cluster/components/$part" && nice go list -deps ./... >/dev/null 2>&1) || true; done; }
beside sources
build() { GOMAXPROCS=16 go list -deps ./cmd/... >/dev/null && make --no-print-directory PLUGINS=runbooks plugins && touch "$work/runbooks" && make --no-print-directory build && bin/cluster up; }
beside build >"$work/kubeconfig" 2>"$work/up"
cluster=${jobs[-1]}

say "A recorded cluster, while a real one is built. Are its nodes well?"
printf '\n$%s\n' " kubectl-nodeinfo --from-input nodeinfo.json"
tar -xzf test/demo/cluster.tar.gz -O nodeinfo.json | bin/recorded
say "What is wrong, and where does it begin? (All plugins together; they are being compiled.)"
until [ -e "$work/runbooks" ] || ! kill -0 "$cluster" 2>/dev/null; do sleep 0.2; done
show kubectl-runbooks --from-input test/demo/cluster.tar.gz

say "The real cluster is being built. The first time this takes minutes, later seconds."
tail -n +1 -f --pid="$cluster" "$work/up" >&2 &
wait "$cluster" || { echo "error: the cluster was not made" >&2; exit 1; }
wait
jobs=()
KUBECONFIG=$(tail -n 1 "$work/kubeconfig")
export KUBECONFIG PATH=$(bin/cluster bin):$PATH

say "The cluster is well."
kubectl apply -f test/demo/workload.yaml >/dev/null
restore() {
  bin/cluster heal --all >/dev/null || true
  kubectl delete namespace demo --wait=false >/dev/null || true
  finish
}
trap restore EXIT
kubectl rollout status deployment/shop -n demo --timeout=2m >/dev/null
show kubectl runbooks
show kubectl nodeinfo

say "Node w2 now drops what its pods send to the address of the DNS Service. The first symptom: a rollout."
bin/cluster fault block-dns w2 --dest vip >/dev/null
pod=$(kubectl get pods -n demo -o jsonpath='{.items[?(@.spec.nodeName=="w2")].metadata.name}')
kubectl wait --for=condition=Ready=false "pod/$pod" -n demo --timeout=1m >/dev/null
show kubectl rollout-explain deployment/shop -n demo
say "Its probe looks up a name. What does DNS look like from that pod?"
show kubectl dns check --from "$pod" -n demo
say "The servers are well, and the fault is on node w2. The third step, on the node:"
show kubectl nodeshell w2 -- sh -c 'nft list ruleset 2>/dev/null | grep "dport 53 drop"'
say "The rules that drop. The node itself has no other fault:"
show kubectl nodeinfo w2 --section=health

say "Without the rules, all is well again."
bin/cluster heal block-dns w2 >/dev/null
show kubectl rollout-explain deployment/shop -n demo --wait --timeout=1m
show kubectl dns check --from "$pod" -n demo

printf '\nThe cluster stays up. Use it:   export KUBECONFIG=%s PATH=%s:$PATH\nRemove it:                      bin/cluster down\n' \
  "$KUBECONFIG" "$PWD/bin:$(bin/cluster bin)" >&2
