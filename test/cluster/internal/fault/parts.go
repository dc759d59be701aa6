package fault

import (
	"cmp"
	"context"
	"fmt"

	"github.com/kubectl-runbooks/kubectl-runbooks/test/cluster/internal/build"
)

// partFaults are those of parts that not every cluster has.
func partFaults() []Fault {
	return []Fault{
		stopPart("stop-node-cache", build.NodeCache, "the node's DNS cache does not run (a cluster made --with node-cache): its image is gone and cannot be pulled",
			"names fail in the node's pods; the cache pod is in ImagePullBackOff; CoreDNS is well"),
		stopPart("drop-csi-driver", build.CSI, "the node's CSI driver does not run (a cluster made --with csi): its image is gone and cannot be pulled",
			"the CSINode does not list the driver; volumes are not attached to the node, mounted or unmounted there; running pods keep theirs"),
		stopPart("drop-dra-driver", build.DRA,
			"the node's device driver does not run (a cluster made --with dra): its image is gone and cannot be pulled",
			"after 30 s the node has no ResourceSlice of it; no claim is prepared or given back there; pods that run keep their devices"),
		{
			Name: "fail-dra-prepare", Part: build.DRA,
			Summary: "the node's device driver prepares no claim (a cluster made --with dra)",
			Symptom: "pods with a claim stay in ContainerCreating, with events FailedPrepareDynamicResources; the node stays Ready",
			Inject:  writeFault("prepare", func(Options) (string, error) { return "the device does not answer", nil }), Heal: removeFault("prepare"),
		},
		{
			Name: "break-dra-device", Part: build.DRA,
			Summary: "a device of the node is unhealthy (a cluster made --with dra): --device (default gpu-0), " +
				"--effect NoSchedule|NoExecute of its taint (default: no taint)",
			Symptom: "the status of a pod that has it says so; NoSchedule: no pod gets it; NoExecute: pods that have it are evicted",
			Inject:  writeFault("unhealthy", unhealthy), Heal: removeFault("unhealthy"),
		},
		denyByPolicy(),
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

// draFaults is where the device driver looks for what is to break it.
const draFaults = "/var/lib/gpu-dra/"

// writeFault gives the device driver a file that breaks it.
func writeFault(name string, text func(Options) (string, error)) action {
	return func(ctx context.Context, t Target, o Options) error {
		content, err := text(o)
		if err != nil {
			return err
		}
		_, err = t.Cluster.InNode(ctx, t.Node.Name, "sh", "-c", `mkdir -p "${0%/*}" && printf '%s\n' "$1" >"$0.new" && mv "$0.new" "$0"`,
			draFaults+name, content)
		return err
	}
}

func removeFault(name string) action {
	return func(ctx context.Context, t Target, _ Options) error {
		_, err := t.Cluster.InNode(ctx, t.Node.Name, "rm", "-f", draFaults+name)
		return err
	}
}

// unhealthy is a line of the driver's file: the device, the effect of its taint, and what is wrong with it.
func unhealthy(o Options) (string, error) {
	switch o.Effect {
	case "", "NoSchedule", "NoExecute":
	default:
		return "", fmt.Errorf("--effect %q: NoSchedule or NoExecute", o.Effect)
	}
	return fmt.Sprintf("%s %s uncorrectable memory errors", cmp.Or(o.Device, "gpu-0"), cmp.Or(o.Effect, "-")), nil
}
