package cluster

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/kubectl-runbooks/kubectl-runbooks/test/cluster/internal/netplan"
	"github.com/kubectl-runbooks/kubectl-runbooks/test/cluster/internal/node"
)

// Status is what `status` tells.
type Status struct {
	Name    string `json:"name"`
	Mode    string `json:"mode"`
	State   string `json:"state"` // ready, degraded, unfinished or down
	Message string `json:"message,omitempty"`
	// Version is Kubernetes'; KubeletVersion is that of the workers' kubelets where it is another one.
	Version        string       `json:"version"`
	KubeletVersion string       `json:"kubeletVersion,omitempty"`
	Kubeconfig     string       `json:"kubeconfig"`
	Bin            string       `json:"bin"`
	Network        string       `json:"network,omitempty"`
	Pods           string       `json:"pods,omitempty"`
	Services       string       `json:"services,omitempty"`
	ClusterDNS     string       `json:"clusterDNS,omitempty"`
	Gateway        string       `json:"gateway,omitempty"`
	IPFamily       string       `json:"ipFamily,omitempty"`
	ClusterDomain  string       `json:"clusterDomain,omitempty"`
	ProxyMode      string       `json:"proxyMode,omitempty"`
	With           []string     `json:"with,omitempty"`
	Created        time.Time    `json:"created"`
	Nodes          []NodeStatus `json:"nodes"`
}

// NodeStatus is what `status` tells of a node.
type NodeStatus struct {
	Name       string   `json:"name"`
	Runs       bool     `json:"runs"`
	PID        int      `json:"pid,omitempty"` // of its process 1, as this machine counts
	Ready      string   `json:"ready"`         // as the API server says; Unknown without an answer
	IP         string   `json:"ip,omitempty"`
	PodCIDR    string   `json:"podCIDR,omitempty"`
	Kubelet    string   `json:"kubelet,omitempty"`
	Containerd string   `json:"containerd,omitempty"`
	Faults     []string `json:"faults"`
}

// Status looks at processes and asks the API server, if it answers soon.
func (c *Cluster) Status(ctx context.Context) Status {
	s := Status{
		Name: c.State.Name, Mode: c.State.Mode, State: "ready", Kubeconfig: c.Kubeconfig(), Bin: c.State.Bin,
		Version: c.State.Version, KubeletVersion: c.State.KubeletVersion,
		ProxyMode: c.State.ProxyMode, With: c.State.Parts(), Created: c.State.Created, Nodes: []NodeStatus{},
	}
	if !c.State.Ready {
		s.State, s.Message = "unfinished", "up did not come to its end; up again makes it anew"
	}
	if c.State.Mode == ModeNodes {
		p := c.State.Plan
		s.Network, s.Pods, s.Services, s.ClusterDNS, s.Gateway = p.Networks(), p.PodRanges(), p.ServiceRanges(), p.ClusterDNS(), p.Gateway()
		s.IPFamily, s.ClusterDomain = cmp.Or(c.State.IPFamily, netplan.IPv4), c.State.Domain()
	}
	list, err := c.listNodes(ctx)
	if err != nil && c.State.Ready {
		s.State, s.Message = "down", err.Error()
	}
	for _, name := range c.State.NodeNames() {
		n := c.nodeStatus(name)
		for _, item := range list.Items {
			if item.Metadata.Name != name {
				continue
			}
			n.PodCIDR = strings.Join(item.Spec.PodCIDRs, ",")
			for _, condition := range item.Status.Conditions {
				if condition.Type == "Ready" {
					n.Ready = condition.Status
				}
			}
		}
		if s.State == "ready" && n.Ready != "True" {
			s.State = "degraded"
		}
		s.Nodes = append(s.Nodes, n)
	}
	return s
}

func (c *Cluster) nodeStatus(name string) NodeStatus {
	s := NodeStatus{Name: name, Ready: "Unknown", Faults: []string{}}
	n, err := c.Node(name)
	if err != nil {
		s.Runs = true // kwok's
		return s
	}
	s.IP, s.Faults = n.IPs, n.Faults()
	if p, err := c.NodeProcess(name); err == nil {
		s.Runs, s.PID = true, p.PID
	}
	s.Kubelet, s.Containerd = unitText(n, node.Kubelet), unitText(n, node.Containerd)
	return s
}

func unitText(n node.Config, unit string) string {
	status, err := n.UnitStatus(unit)
	switch {
	case err != nil:
		return err.Error()
	case n.Stopped(unit):
		return "stopped"
	case status.Paused:
		return "paused"
	case status.PID == 0:
		return "down"
	}
	return fmt.Sprintf("runs (start %d)", status.Starts)
}

// FaultyNodes lists the nodes with injected faults, each with its faults.
func (c *Cluster) FaultyNodes() []string {
	var found []string
	for _, name := range c.State.NodeNames() {
		if n, err := c.Node(name); err == nil {
			if faults := n.Faults(); len(faults) > 0 {
				found = append(found, fmt.Sprintf("%s: %s", name, strings.Join(faults, ", ")))
			}
		}
	}
	return found
}
