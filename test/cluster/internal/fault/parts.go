package fault

import (
	"context"

	"github.com/kubectl-runbooks/kubectl-runbooks/test/cluster/internal/build"
)

// partFaults are those of parts that not every cluster has.
func partFaults() []Fault {
	return []Fault{
		stopPart("stop-node-cache", build.NodeCache, "the node's DNS cache does not run (a cluster made --with node-cache): its image is gone and cannot be pulled",
			"names fail in the node's pods; the cache pod is in ImagePullBackOff; CoreDNS is well"),
		stopPart("drop-csi-driver", build.CSI, "the node's CSI driver does not run (a cluster made --with csi): its image is gone and cannot be pulled",
			"the CSINode does not list the driver; volumes are not attached to the node, mounted or unmounted there; running pods keep theirs"),
		stopFlannel(),
		{
			Name: "cut-overlay", Part: build.Flannel,
			Summary: "flannel's packets between this node and others (UDP port 8472) are dropped (a cluster made --with flannel)",
			Symptom: "nodes stay Ready; pods here reach only pods here; DNS fails by the replica that answers",
			Inject: rules("cut-overlay", func(Target, Options) (string, error) {
				const rule = "udp dport 8472 drop"
				return chain("input", afterNAT, rule) + chain("output", afterNAT, rule), nil
			}), Heal: noRules("cut-overlay"),
		},
	}
}

// stopFlannel leaves the node as it is after a reboot: /run is empty, and nothing fills it.
func stopFlannel() Fault {
	f := stopPart("stop-flannel", build.Flannel,
		"the node's flannel pod does not run, and what it wrote is gone (a cluster made --with flannel): its image cannot be pulled",
		"pods that run go on; new ones fail, since their network's plugin finds no /run/flannel/subnet.env; the node stays Ready")
	stop := f.Inject
	f.Inject = func(ctx context.Context, t Target, o Options) error {
		if err := stop(ctx, t, o); err != nil {
			return err
		}
		_, err := t.Cluster.InNode(ctx, t.Node.Name, "rm", "-f", "/run/flannel/subnet.env")
		return err
	}
	return f
}

// stopPart ends the pod of a DaemonSet on the node.
func stopPart(name, part, summary, symptom string) Fault {
	return Fault{
		Name: name, Summary: summary, Symptom: symptom, Part: part,
		Inject: func(ctx context.Context, t Target, _ Options) error {
			if err := t.Cluster.StopPart(ctx, part, t.Node.Name); err != nil {
				return err
			}
			return t.await(ctx, podPatience, part+" still runs", func() bool { return t.Cluster.PartGone(ctx, part, t.Node.Name) })
		},
		Heal: func(ctx context.Context, t Target, _ Options) error {
			if err := t.Cluster.StartPart(ctx, part, t.Node.Name); err != nil {
				return err
			}
			return t.await(ctx, podPatience, part+" is not ready", func() bool { return t.Cluster.PartReady(ctx, part, t.Node.Name) })
		},
	}
}
