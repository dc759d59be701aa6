package fault

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"github.com/kubectl-runbooks/kubectl-runbooks/test/cluster/internal/host"
)

// addressFaults are those of the addresses that the node gives to its pods.
func addressFaults() []Fault {
	return []Fault{{
		Name:    "exhaust-cni-range",
		Summary: "every free IPv4 address of the node's pod range is taken by a container that is gone, as after a runtime that lost its state",
		Symptom: "pods that run go on; new ones stay in ContainerCreating until one of them goes, with events FailedCreatePodSandBox; the node stays Ready",
		Inject:  exhaust, Heal: giveBack,
	}}
}

const (
	// taken is the container that has the addresses. The plugin host-local writes a file for each: the container's id, and the
	// name of its interface (https://www.cni.dev/plugins/current/ipam/host-local/).
	taken = "container-that-is-gone\r\neth0"
	// addressesAtMost are those of a range of 20 bits: more files than that are no test.
	addressesAtMost = 1 << 12
)

func exhaust(ctx context.Context, t Target, _ Options) error {
	dir, err := t.addressDir()
	if err != nil {
		return err
	}
	ranges, err := t.Cluster.Kubectl(ctx, "", "get", "node", t.Node.Name, "-o", "jsonpath={.spec.podCIDRs[*]}")
	if err != nil {
		return err
	}
	addresses, err := hosts(ranges)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for _, address := range addresses {
		// What a pod has, it keeps.
		file, err := os.OpenFile(filepath.Join(dir, address), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
		if errors.Is(err, os.ErrExist) {
			continue
		}
		if err != nil {
			return err
		}
		_, err = file.WriteString(taken)
		if err := errors.Join(err, file.Close()); err != nil {
			return err
		}
	}
	return nil
}

func giveBack(_ context.Context, t Target, _ Options) error {
	dir, err := t.addressDir()
	if err != nil {
		return err
	}
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	for _, file := range files {
		if content, readErr := os.ReadFile(file); readErr == nil && string(content) == taken {
			err = errors.Join(err, os.Remove(file))
		}
	}
	return err
}

// hosts are the addresses of the IPv4 range among a node's ranges, its first and last left out.
func hosts(ranges string) ([]string, error) {
	for r := range strings.FieldsSeq(ranges) {
		prefix, err := netip.ParsePrefix(r)
		if err != nil {
			return nil, err
		}
		if !prefix.Addr().Is4() {
			continue
		}
		var all []string
		for a := prefix.Masked().Addr().Next(); prefix.Contains(a.Next()); a = a.Next() {
			if all = append(all, a.String()); len(all) > addressesAtMost {
				return nil, fmt.Errorf("range %s has more than %d addresses", r, addressesAtMost)
			}
		}
		return all, nil
	}
	return nil, fmt.Errorf("pod ranges %q: a range of IPv6 is never exhausted", ranges)
}

// addressDir is where host-local keeps what it gave to the network's pods, as this machine can reach it.
func (t Target) addressDir() (string, error) {
	root, err := t.Cluster.NodeRoot(t.Node.Name)
	if err != nil {
		return "", err
	}
	path := filepath.Join(root, t.Cluster.ConflistPath())
	if !host.Exists(path) {
		path = filepath.Join(root, t.Cluster.ConflistPath()+disabled) // break-cni
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	var network struct{ Name string }
	if err := json.Unmarshal(data, &network); err != nil || network.Name == "" {
		return "", fmt.Errorf("%s: no name of a network (%w)", t.Cluster.ConflistPath(), err)
	}
	return filepath.Join(root, "/var/lib/cni/networks", network.Name), nil
}
