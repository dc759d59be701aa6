package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/kubectl-runbooks/kubectl-runbooks/test/cluster/internal/host"
)

// nodeList is the part of a list of nodes that matters here.
type nodeList struct {
	Items []struct {
		Metadata struct{ Name string }
		Spec     struct{ PodCIDRs []string }
		Status   struct {
			Conditions []struct{ Type, Status, Reason, Message string }
		}
	}
}

func (c *Cluster) listNodes(ctx context.Context) (nodeList, error) {
	var list nodeList
	out, err := c.Kubectl(ctx, "", "get", "nodes", "-o", "json", "--request-timeout=10s")
	if err != nil {
		return list, err
	}
	return list, json.Unmarshal([]byte(out), &list)
}

// podCIDRs maps every node to its ranges of pod addresses, one of each family.
func (c *Cluster) podCIDRs(ctx context.Context) (map[string][]string, error) {
	list, err := c.listNodes(ctx)
	if err != nil {
		return nil, err
	}
	cidrs := map[string][]string{}
	for _, n := range list.Items {
		cidrs[n.Metadata.Name] = n.Spec.PodCIDRs
	}
	for _, name := range c.State.NodeNames() {
		if len(cidrs[name]) < len(c.State.Plan.Families()) {
			return nil, fmt.Errorf("node %q has no pod addresses yet", name)
		}
	}
	return cidrs, nil
}

// nodesReady says which nodes are not ready.
func (c *Cluster) nodesReady(ctx context.Context) error {
	list, err := c.listNodes(ctx)
	if err != nil {
		return err
	}
	var ready []string
	for _, n := range list.Items {
		for _, condition := range n.Status.Conditions {
			if condition.Type == "Ready" && condition.Status == "True" {
				ready = append(ready, n.Metadata.Name)
			}
		}
	}
	for _, name := range c.State.NodeNames() {
		if !slices.Contains(ready, name) {
			return fmt.Errorf("node %q is not ready", name)
		}
	}
	return nil
}

// awaitReady waits for nodes, DNS and metrics.
func (c *Cluster) awaitReady(ctx context.Context) error {
	if err := poll(ctx, 500*time.Millisecond, func() error { return c.nodesReady(ctx) }); err != nil {
		return err
	}
	c.Report("nodes ready")
	for _, name := range []string{"coredns", "metrics-server"} {
		if _, err := c.Kubectl(ctx, "", "-n", "kube-system", "rollout", "status", "deployment/"+name, "--timeout=180s"); err != nil {
			return err
		}
	}
	if _, err := c.Kubectl(ctx, "", "wait", "--for=condition=Available", "apiservice/v1beta1.metrics.k8s.io", "--timeout=60s"); err != nil {
		return err
	}
	c.Report("DNS and metrics ready")
	return c.awaitParts(ctx)
}

// checkHealth says what a finished cluster lacks, giving it some time.
func (c *Cluster) checkHealth(ctx context.Context, patience time.Duration) error {
	if err := c.checkProcesses(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return poll(ctx, time.Second, func() error { return c.nodesReady(ctx) })
}

// checkProcesses says which of the recorded processes has gone.
func (c *Cluster) checkProcesses() error {
	helpers := plainParts
	var dead []string
	if c.State.Mode == ModeNodes {
		helpers = []string{"dns"}
		if c.State.ControlPlanes > 1 {
			helpers = append(helpers, balancerHelper)
		}
		for _, name := range c.State.NodeNames() {
			if _, err := c.NodeProcess(name); err != nil {
				dead = append(dead, name)
			}
		}
	}
	for _, name := range helpers {
		if p, err := host.LoadProcess(c.helperRecord(name)); err != nil || !p.Alive() {
			dead = append(dead, name)
		}
	}
	if len(dead) > 0 {
		return errors.New("these do not run: " + strings.Join(dead, ", "))
	}
	return nil
}
