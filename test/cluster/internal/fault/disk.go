package fault

import (
	"context"
	"fmt"
)

// diskFaults are those of the node's file system.
func diskFaults() []Fault {
	return []Fault{{
		Name:    "fill-disk",
		Summary: "the node's file system is full up to 3 %",
		Symptom: "within about 20 s DiskPressure is True, the node is tainted, pods are evicted",
		Inject:  fill, Heal: drain,
	}}
}

// ballast is reserved, not written: the sparse disk takes no room on this machine.
const ballast = "/var/lib/kubelet/ballast"

func fill(ctx context.Context, t Target, _ Options) error {
	script := `set -e; rm -f "$0"; set -- $(df -B1 --output=size,avail "${0%/*}" | tail -1)
fallocate -l $(($2 - $1 * 3 / 100)) "$0"`
	if _, err := t.Cluster.InNode(ctx, t.Node.Name, "sh", "-c", script, ballast); err != nil {
		return fmt.Errorf("fill the disk: %w", err)
	}
	return nil
}

func drain(ctx context.Context, t Target, _ Options) error {
	_, err := t.Cluster.InNode(ctx, t.Node.Name, "rm", "-f", ballast)
	return err
}
