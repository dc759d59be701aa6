// Package cluster sets up, describes and takes down whole clusters.
package cluster

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/kubectl-runbooks/kubectl-runbooks/test/cluster/internal/build"
	"github.com/kubectl-runbooks/kubectl-runbooks/test/cluster/internal/host"
	"github.com/kubectl-runbooks/kubectl-runbooks/test/cluster/internal/netplan"
	"github.com/kubectl-runbooks/kubectl-runbooks/test/cluster/internal/node"
)

// Modes of a cluster.
const (
	ModeNodes = "nodes" // real nodes, made of namespaces
	ModePlain = "plain" // a control plane on loopback; kwok plays the nodes
)

// Spec is what was asked for.
type Spec struct {
	Name          string `json:"name"`
	Mode          string `json:"mode"`
	ControlPlanes int    `json:"controlPlanes"`
	Workers       int    `json:"workers"`
	ProxyMode     string `json:"proxyMode,omitempty"`
	// IPFamily is ipv6 or dual, and empty for IPv4 alone; ClusterDomain is empty where it is Kubernetes' own.
	IPFamily      string `json:"ipFamily,omitempty"`
	ClusterDomain string `json:"clusterDomain,omitempty"`
	// Version is Kubernetes', in full. KubeletVersion is that of the workers' kubelets where it is another one.
	Version        string `json:"version,omitempty"`
	KubeletVersion string `json:"kubeletVersion,omitempty"`
	// With is the list of parts as ParseParts writes it: one string, so that specs can be compared.
	With string `json:"with,omitempty"`
}

// State is what down has to know; it is written before anything is made.
type State struct {
	Spec
	Plan netplan.Plan `json:"plan"`
	Bin  string       `json:"bin"`
	// WorkerBin has another kubelet; empty where Bin is the workers' as well.
	WorkerBin string    `json:"workerBin,omitempty"`
	Ports     []int     `json:"ports,omitempty"` // of a plain cluster
	Created   time.Time `json:"created"`
	// Ready is set when everything was made; a state without it is a ruin.
	Ready bool `json:"ready"`
}

// Cluster is one cluster of a machine.
type Cluster struct {
	Root   host.Root
	State  State
	Report func(format string, args ...any)
}

// Log tells progress and how long each step took.
type Log struct {
	out   func(string)
	start time.Time
}

// NewLog makes a log of steps.
func NewLog(out func(string)) *Log { return &Log{out: out, start: time.Now()} }

// Printf prints one step with the seconds since the beginning.
func (l *Log) Printf(format string, args ...any) {
	l.out(fmt.Sprintf("%6.1fs  %s", time.Since(l.start).Seconds(), fmt.Sprintf(format, args...)))
}

var validName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,18}[a-z0-9])?$`)

// CheckName refuses names that would not fit into paths of sockets and groups.
func CheckName(name string) error {
	if !validName.MatchString(name) {
		return fmt.Errorf("cluster name %q: at most 20 lower-case letters, digits and inner hyphens", name)
	}
	return nil
}

// Dir is the directory of everything that a cluster keeps.
func (c *Cluster) Dir() string { return c.Root.Join("clusters", c.State.Name) }

// Kubeconfig is the path of the administrator's kubeconfig.
func (c *Cluster) Kubeconfig() string { return c.Root.Join("clusters", c.State.Name, "kubeconfig") }

func (c *Cluster) path(parts ...string) string {
	return c.Root.Join(append([]string{"clusters", c.State.Name}, parts...)...)
}

// Names lists the clusters that a root knows, ruins included.
func Names(root host.Root) ([]string, error) {
	entries, err := os.ReadDir(root.Join("clusters"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var names []string
	for _, e := range entries {
		if e.IsDir() && CheckName(e.Name()) == nil {
			names = append(names, e.Name())
		}
	}
	slices.Sort(names)
	return names, err
}

// ErrAbsent says that there is no such cluster.
var ErrAbsent = errors.New("no such cluster")

// Open reads a cluster's state. A cluster whose state was never written opens
// too, with its name alone: it can be taken down.
func Open(root host.Root, name string, report func(string, ...any)) (*Cluster, error) {
	if err := CheckName(name); err != nil {
		return nil, err
	}
	c := &Cluster{Root: root, Report: report}
	c.State.Name = name
	data, err := os.ReadFile(c.path("cluster.json"))
	if errors.Is(err, fs.ErrNotExist) {
		if host.Exists(c.Dir()) {
			return c, nil
		}
		return c, fmt.Errorf("cluster %q: %w", name, ErrAbsent)
	}
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(data, &c.State); err != nil {
		return nil, fmt.Errorf("state of cluster %q: %w", name, err)
	}
	return c, nil
}

func (c *Cluster) save() error {
	data, err := json.MarshalIndent(c.State, "", "  ")
	if err != nil {
		return err
	}
	return host.WriteFile(c.path("cluster.json"), append(data, '\n'), 0o644)
}

// lock makes sure that one command at a time changes a cluster. The file is
// outside of the cluster's directory, which goes away.
func (c *Cluster) lock(ctx context.Context) (func(), error) {
	return host.Lock(ctx, c.Root.Join("locks", "cluster-"+c.State.Name), func() {
		c.Report("waiting for another command on cluster %q", c.State.Name)
	})
}

// DefaultDomain is Kubernetes' own.
const DefaultDomain = "cluster.local"

// Domain is the domain of the cluster's names.
func (s Spec) Domain() string { return cmp.Or(s.ClusterDomain, DefaultDomain) }

// ControlPlaneNames lists the nodes of the control plane.
func (s Spec) ControlPlaneNames() []string {
	names := []string{"cp1"}
	for i := 1; i < s.ControlPlanes; i++ {
		names = append(names, fmt.Sprintf("cp%d", i+1))
	}
	return names
}

// IsControlPlane says whether a node belongs to the control plane.
func (s Spec) IsControlPlane(name string) bool { return slices.Contains(s.ControlPlaneNames(), name) }

// NodeNames lists the nodes, those of the control plane first.
func (s Spec) NodeNames() []string {
	names := s.ControlPlaneNames()
	for i := range s.Workers {
		names = append(names, fmt.Sprintf("w%d", i+1))
	}
	return names
}

// Node describes one node.
func (c *Cluster) Node(name string) (node.Config, error) {
	number := slices.Index(c.State.NodeNames(), name)
	if number < 0 {
		return node.Config{}, fmt.Errorf("cluster %q has no node %q; it has %s",
			c.State.Name, name, strings.Join(c.State.NodeNames(), ", "))
	}
	if c.State.Mode != ModeNodes {
		return node.Config{}, fmt.Errorf("node %q of cluster %q is played by kwok: this needs a real node, so Linux and root", name, c.State.Name)
	}
	return node.Config{
		Name: name, Cluster: c.State.Name, Dir: c.path("nodes", name),
		IP: c.State.Plan.NodeIP(number), IPs: c.State.Plan.NodeIPs(number), Gateways: c.State.Plan.Gateways(),
		Bin: c.State.bin(name), Shared: string(c.Root),
		CgroupV1: host.CgroupV1(), LimitOOM: !host.MayLowerOOMScore(),
	}, nil
}

// bin is the directory of a node's programs.
func (s State) bin(node string) string {
	if s.WorkerBin != "" && !s.IsControlPlane(node) {
		return s.WorkerBin
	}
	return s.Bin
}

// Bin is the path of a program of the cluster.
func (c *Cluster) Bin(program string) string {
	return build.Binaries{Dir: c.State.Bin}.Path(program)
}
