package fault

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"

	"sigs.k8s.io/yaml"

	"github.com/kubectl-runbooks/kubectl-runbooks/test/cluster/internal/host"
	"github.com/kubectl-runbooks/kubectl-runbooks/test/cluster/internal/node"
)

type settings = map[string]any

// kubeletFaults are those of the kubelet's configuration and certificates.
func kubeletFaults() []Fault {
	return []Fault{
		{
			Name:    "memory-pressure",
			Summary: "the kubelet sees too little memory (its soft threshold is above what there is); --evict: and evicts",
			Symptom: "within about 20 s MemoryPressure is True and the node is tainted",
			Inject:  reconfigure, Heal: reconfigure,
		},
		{
			Name:    "pid-pressure",
			Summary: "the kubelet sees too few free process ids (as memory-pressure); --evict: and evicts",
			Symptom: "within about 20 s PIDPressure is True and the node is tainted",
			Inject:  reconfigure, Heal: reconfigure,
		},
		{
			Name:    "wrong-cluster-dns",
			Summary: "new pods of the node get a name server that is none (--ip, default: a dead address of the service range)",
			Symptom: "the node is Ready; names fail in pods that start here from now on",
			Inject:  reconfigure, Heal: reconfigure,
		},
		{
			Name:    "expire-kubelet-cert",
			Summary: "the kubelet's client certificate has expired and it restarts; --serving: its serving certificate instead",
			Symptom: "the kubelet ends at once, again and again: as stop-kubelet; --serving: TLS to port 10250 shows an expired certificate; " +
				"--left: a certificate of a year that is valid for that long",
			Inject: expire, Heal: unexpire,
		},
		{
			Name:    "pending-serving-csr",
			Summary: "the kubelet requests its serving certificate from the cluster (serverTLSBootstrap), where nothing approves it",
			Symptom: "a pending request of signer kubernetes.io/kubelet-serving; TLS to port 10250 ends in an internal error until it is approved",
			Inject:  reconfigure, Heal: forgetServing,
		},
	}
}

const (
	kubeletConfig = "/var/lib/kubelet/config.yaml"
	// kubeletBase is the configuration without faults, there while one is active.
	kubeletBase = kubeletConfig + ".base"
)

// patch is what one fault changes in the kubelet's configuration.
func patch(name string, t Target, o Options) settings {
	pressure := func(signal, threshold string) settings {
		if o.Evict {
			return settings{"evictionHard": settings{signal: threshold}}
		}
		// A soft threshold sets the condition at once and evicts after its
		// grace, which never ends here.
		return settings{"evictionSoft": settings{signal: threshold}, "evictionSoftGracePeriod": settings{signal: "240h"}}
	}
	switch name {
	case "memory-pressure":
		return pressure("memory.available", cmp.Or(o.Threshold, "100Ti"))
	case "pid-pressure":
		return pressure("pid.available", cmp.Or(o.Threshold, "100G"))
	case "wrong-cluster-dns":
		ip := o.IP
		if ip == "" {
			ip = t.Cluster.State.Plan.DeadServiceIP()
		}
		return settings{"clusterDNS": []any{ip}}
	case "pending-serving-csr":
		return settings{"serverTLSBootstrap": true}
	}
	return nil
}

// reconfigure puts the configuration together from the base and every active
// fault, so that faults of this one file come and go in any order.
func reconfigure(_ context.Context, t Target, _ Options) error {
	root, err := t.Cluster.NodeRoot(t.Node.Name)
	if err != nil {
		return err
	}
	config, base := filepath.Join(root, kubeletConfig), filepath.Join(root, kubeletBase)
	if !host.Exists(base) {
		original, err := os.ReadFile(config)
		if err != nil {
			return err
		}
		if err := host.WriteFile(base, original, 0o644); err != nil {
			return err
		}
	}
	data, err := os.ReadFile(base)
	if err != nil {
		return err
	}
	patched, active, err := t.patchAll(data)
	if err != nil {
		return err
	}
	if err := host.WriteFile(config, patched, 0o644); err != nil {
		return err
	}
	if !active {
		if err := os.Remove(base); err != nil {
			return err
		}
	}
	return t.Node.Restart(node.Kubelet, unitPatience)
}

// patchAll applies the patch of every active fault; without one the file stays
// byte for byte what it was.
func (t Target) patchAll(base []byte) ([]byte, bool, error) {
	var config settings
	if err := yaml.Unmarshal(base, &config); err != nil {
		return nil, false, fmt.Errorf("kubelet configuration: %w", err)
	}
	active := false
	for _, f := range kubeletFaults() {
		o, on, err := t.record(f.Name)
		if err != nil {
			return nil, false, err
		}
		if on {
			if p := patch(f.Name, t, o); p != nil {
				merge(config, p)
				active = true
			}
		}
	}
	if !active {
		return base, false, nil
	}
	data, err := yaml.Marshal(config)
	return data, true, err
}

// merge lays a patch over a configuration.
func merge(into, patch settings) {
	for key, value := range patch {
		inner, isMap := value.(settings)
		old, wasMap := into[key].(settings)
		switch {
		case isMap && wasMap:
			merge(old, inner)
		default:
			into[key] = value
		}
	}
}
