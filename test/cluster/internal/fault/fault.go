// Package fault breaks a cluster the way production breaks, one thing at a
// time, and puts back exactly what it took away.
package fault

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/kubectl-runbooks/kubectl-runbooks/test/cluster/internal/cluster"
	"github.com/kubectl-runbooks/kubectl-runbooks/test/cluster/internal/host"
	"github.com/kubectl-runbooks/kubectl-runbooks/test/cluster/internal/node"
)

// Options are what some faults can be told; each documents which it reads.
type Options struct {
	Proto     string `json:"proto,omitempty"`
	Dest      string `json:"dest,omitempty"`
	IP        string `json:"ip,omitempty"`
	Family    string `json:"family,omitempty"`
	Rate      string `json:"rate,omitempty"`
	Serving   bool   `json:"serving,omitempty"`
	Left      string `json:"left,omitempty"`
	Evict     bool   `json:"evict,omitempty"`
	Threshold string `json:"threshold,omitempty"`
	Device    string `json:"device,omitempty"`
	Effect    string `json:"effect,omitempty"`
}

// Fault is one way to break a node. Both functions may be called again, and
// after a call that was cut short.
type Fault struct {
	Name         string
	Summary      string
	Symptom      string
	ControlPlane bool   // breaks a node of the control plane, cp1 if none is named
	Part         string // that the cluster must have been made with; empty: none
	Inject       func(context.Context, Target, Options) error
	Heal         func(context.Context, Target, Options) error
}

// Target is the node to break.
type Target struct {
	Cluster *cluster.Cluster
	Node    node.Config
}

// All lists every fault. Those of parts come first and are healed last: their pods need all else.
func All() []Fault {
	return slices.Concat(partFaults(), unitFaults(), processFaults(), networkFaults(), addressFaults(), diskFaults(), kubeletFaults(),
		admissionFaults(), controlPlaneFaults())
}

// Find looks a fault up by its name.
func Find(name string) (Fault, error) {
	var names []string
	for _, f := range All() {
		if f.Name == name {
			return f, nil
		}
		names = append(names, f.Name)
	}
	return Fault{}, fmt.Errorf("no fault %q; there are %s", name, strings.Join(names, ", "))
}

// target finds the node that a fault is for.
func target(c *cluster.Cluster, f Fault, name string) (Target, error) {
	if f.ControlPlane {
		if name == "" {
			name = "cp1"
		}
		if !c.State.IsControlPlane(name) {
			return Target{}, fmt.Errorf("fault %q breaks the control plane: node %q has none; one of %s",
				f.Name, name, strings.Join(c.State.ControlPlaneNames(), ", "))
		}
	}
	if name == "" {
		return Target{}, fmt.Errorf("fault %q needs a node: one of %s", f.Name, strings.Join(c.State.NodeNames(), ", "))
	}
	n, err := c.Node(name)
	return Target{Cluster: c, Node: n}, err
}

// Inject breaks a node. The record is written first: whatever happens
// afterwards, Heal knows what to look for.
func Inject(ctx context.Context, c *cluster.Cluster, f Fault, name string, o Options) error {
	t, err := target(c, f, name)
	if err != nil {
		return err
	}
	if f.Part != "" && !c.State.Has(f.Part) {
		return fmt.Errorf("fault %q: cluster %q was made without --with %s", f.Name, c.State.Name, f.Part)
	}
	release, err := t.lock(ctx)
	if err != nil {
		return err
	}
	defer release()
	if err := t.resume(f.Name); err != nil {
		return err
	}
	if old, active, err := t.record(f.Name); err != nil {
		return err
	} else if active && old != o {
		// The same fault with other options is not the same: away with the first.
		if err := f.Heal(ctx, t, old); err != nil {
			return fmt.Errorf("heal %q on node %q: %w", f.Name, t.Node.Name, err)
		}
	}
	data, err := json.Marshal(o)
	if err != nil {
		return err
	}
	if err := host.WriteFile(t.Node.FaultPath(f.Name), data, 0o644); err != nil {
		return err
	}
	if err := f.Inject(ctx, t, o); err != nil {
		return fmt.Errorf("inject %q into node %q: %w", f.Name, t.Node.Name, err)
	}
	return nil
}

// Heal puts right what Inject broke; healing what is whole does nothing.
func Heal(ctx context.Context, c *cluster.Cluster, f Fault, name string) error {
	t, err := target(c, f, name)
	if err != nil {
		return err
	}
	release, err := t.lock(ctx)
	if err != nil {
		return err
	}
	defer release()
	if err := t.resume(f.Name); err != nil {
		return err
	}
	o, active, err := t.record(f.Name)
	if err != nil || !active {
		return err
	}
	// Gone from the list before it is healed: faults of one file are put
	// together from the list.
	if err := os.Rename(t.Node.FaultPath(f.Name), t.Node.FaultPath(f.Name)+healing); err != nil {
		return err
	}
	if err := f.Heal(ctx, t, o); err != nil {
		return errors.Join(
			fmt.Errorf("heal %q on node %q: %w", f.Name, t.Node.Name, err),
			os.Rename(t.Node.FaultPath(f.Name)+healing, t.Node.FaultPath(f.Name)))
	}
	return os.Remove(t.Node.FaultPath(f.Name) + healing)
}

// healing marks a record whose fault is being healed.
const healing = ".healing"

// HealAll heals every fault of a node, or of all nodes, the control plane's
// first: the others may need its API server.
func HealAll(ctx context.Context, c *cluster.Cluster, name string) error {
	var fails []error
	all := All()
	slices.Reverse(all)
	for _, f := range all {
		for _, n := range c.State.NodeNames() {
			if (name == "" || name == n) && (!f.ControlPlane || c.State.IsControlPlane(n)) {
				fails = append(fails, Heal(ctx, c, f, n))
			}
		}
	}
	return errors.Join(fails...)
}

// lock lets one command at a time change a node.
func (t Target) lock(ctx context.Context) (func(), error) {
	return host.Lock(ctx, t.Cluster.Root.Join("locks", "fault-"+t.Node.Cluster+"-"+t.Node.Name), nil)
}

// record reads what an active fault was injected with.
func (t Target) record(name string) (Options, bool, error) {
	var o Options
	data, err := os.ReadFile(t.Node.FaultPath(name))
	if errors.Is(err, os.ErrNotExist) {
		return o, false, nil
	}
	if err != nil {
		return o, false, err
	}
	return o, true, json.Unmarshal(data, &o)
}

// resume makes a fault active again whose healing was cut short.
func (t Target) resume(name string) error {
	path := t.Node.FaultPath(name)
	if host.Exists(path) || !host.Exists(path+healing) {
		return nil
	}
	return os.Rename(path+healing, path)
}
