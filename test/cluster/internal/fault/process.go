package fault

import (
	"context"
	"fmt"
)

// processFaults are those of programs that run in the node's pods.
func processFaults() []Fault {
	return []Fault{{
		Name:    "freeze-kube-proxy",
		Summary: "kube-proxy hangs (SIGSTOP): its pod is Running and Ready",
		Symptom: "the node's rules of Services stay as they are: new endpoints are not reached there, and those that are gone still get packets",
		Inject:  signal("kube-proxy", "STOP"), Heal: signal("kube-proxy", "CONT"),
	}}
}

// signal reaches all processes of that name on the node. They have no probes: nothing else ends what hangs.
func signal(name, what string) action {
	return func(ctx context.Context, t Target, _ Options) error {
		out, err := t.Cluster.InNode(ctx, t.Node.Name, "sh", "-c", `for p in /proc/[0-9]*; do
[ "$(cat "$p/comm" 2>/dev/null)" != "$0" ] || { kill -"$1" "${p#/proc/}" && echo "${p#/proc/}"; }; done`, name, what)
		if err == nil && out == "" && what == "STOP" {
			err = fmt.Errorf("no %s runs there", name)
		}
		return err
	}
}
