package facts

import (
	"cmp"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	nodefact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/node"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/sorting"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/kubelet"
)

// Condition is a condition with its polarity: Problem says whether its status is a problem; nil when its meaning is unknown.
type Condition struct {
	*corev1.NodeCondition

	Problem *bool
	Silent  bool // its reporter posted it again and again, and no longer does: whatever it says is old
}

// silent says whether a condition was posted more than once, or by node-problem-detector, which posts each of its own every
// 5 min, and not within twice that time and a minute.
// https://github.com/kubernetes/node-problem-detector/blob/v1.36.0/cmd/options/options.go (k8s-exporter-heartbeat-period)
func (c *Cluster) silent(condition *corev1.NodeCondition) bool {
	posted := condition.LastHeartbeatTime.Time
	if posted.IsZero() || c.now.Sub(posted) <= c.limits.StatusStaleAfter {
		return false
	}
	return posted.Sub(condition.LastTransitionTime.Time) > time.Minute || detected[string(condition.Type)] ||
		strings.HasPrefix(string(condition.Type), "Frequent")
}

// detected are conditions of node-problem-detector.
// https://github.com/kubernetes/node-problem-detector/tree/master/config
var detected = map[string]bool{
	"KernelDeadlock": true, "ReadonlyFilesystem": true, "CorruptDockerOverlay2": true, "DockerHung": true, "XfsShutdown": true,
	"KubeletUnhealthy": true, "ContainerRuntimeUnhealthy": true, "KubeProxyUnhealthy": true,
}

// problemStatus maps conditions to the status that is a problem: the built-in ones, node-problem-detector's
// (https://github.com/kubernetes/node-problem-detector/tree/master/config), and those of cloud agents. An empty status
// means that none is a problem.
var problemStatus = map[string]string{
	"Ready":          "False",
	"MemoryPressure": "True", "DiskPressure": "True", "PIDPressure": "True", "NetworkUnavailable": "True",
	"KernelDeadlock": "True", "ReadonlyFilesystem": "True", "CorruptDockerOverlay2": "True", "DockerHung": "True", "XfsShutdown": "True",
	"OutOfDisk": "True", "EtcdIsVoter": "",
	"KubeletUnhealthy": "True", "ContainerRuntimeUnhealthy": "True", "KubeProxyUnhealthy": "True",
}

// Endings and beginnings of condition names whose meaning is plain.
var (
	problemWhenTrue = []string{
		"Pressure", "Unavailable", "Unhealthy", "Problem", "Deadlock", "Failure", "Failed", "Error", "Errors", "Hung", "Degraded",
		"NotReady", "Corruption", "Outage", "Offline", "Lost", "Missing", "Inactive", "Flapping",
	}
	problemWhenFalse = []string{"Ready", "Healthy", "Available", "Initialized"}
)

// problemCondition goes by --problem-condition, the list above, and the name, in this order. Unknown is never a problem by
// itself: it follows from a node that does not report.
func (c *Cluster) problemCondition(condition *corev1.NodeCondition) *bool {
	kind := string(condition.Type)
	status, known := c.bad[kind]
	if !known {
		status, known = problemStatus[kind]
	}
	if !known && nodefact.Announces(condition.Type) {
		known = true // no status is a problem
	}
	if !known {
		status, known = guessProblemStatus(kind)
	}
	if !known {
		return nil
	}
	bad := status != "" && string(condition.Status) == status
	return &bad
}

func guessProblemStatus(kind string) (status string, known bool) {
	if at := strings.LastIndexAny(kind, "/."); at >= 0 {
		kind = kind[at+1:]
	}
	if strings.HasPrefix(kind, "Frequent") {
		return "True", true
	}
	for _, end := range problemWhenTrue {
		if strings.HasSuffix(kind, end) {
			return "True", true
		}
	}
	for _, end := range problemWhenFalse {
		if strings.HasSuffix(kind, end) {
			return "False", true
		}
	}
	return "", false
}

// Scarcity is what the kubelet says that a disk is short of, and where it says so. Figures are the threshold and what is
// left; empty: not told.
type Scarcity struct {
	Resource, Figures  string
	Source, Path, Text string
	At                 time.Time
}

// ScarceOf says whether one of them is short.
func (n *Node) ScarceOf(resource string) bool {
	return slices.ContainsFunc(n.Scarce, func(s Scarcity) bool { return s.Resource == resource })
}

// scarcity finds what lacks while DiskPressure lasts: by the kubelet's events since then, by what it wrote into the pods that it
// evicted, and by its own figures.
// https://github.com/kubernetes/kubernetes/blob/v1.36.3/pkg/kubelet/eviction/helpers.go (nodeLowMessageFmt, thresholdMetMessageFmt)
func (c *Cluster) scarcity(n *Node) []Scarcity {
	pressure := nodefact.Condition(n.Object, corev1.NodeDiskPressure)
	if pressure == nil || pressure.Status != corev1.ConditionTrue {
		return nil
	}
	since := pressure.LastTransitionTime.Add(-time.Minute) // the node tells its status a moment later
	var out []Scarcity
	add := func(s Scarcity) {
		same := func(o Scarcity) bool { return o.Resource == s.Resource && o.Source[:3] == s.Source[:3] }
		if (s.Resource == kubelet.Inodes || s.Resource == kubelet.Space) && !slices.ContainsFunc(out, same) {
			out = append(out, s)
		}
	}
	for _, p := range n.Pods {
		resource, rest, ok := strings.Cut(strings.TrimPrefix(p.Status.Message, "The node was low on resource: "), ". ")
		if p.Status.Reason != "Evicted" || !ok || p.FailedAt().Before(since) {
			continue
		}
		figures, _, _ := strings.Cut(rest, ". ")
		if !strings.HasPrefix(figures, "Threshold quantity: ") {
			figures = ""
		}
		figures = strings.NewReplacer("Threshold quantity: ", "threshold ", "available: ", "available ").Replace(strings.TrimSuffix(figures, "."))
		add(Scarcity{resource, figures, "Pod " + p.Namespace + "/" + p.Name, "status.message", p.Status.Message, p.FailedAt()})
	}
	for _, e := range c.events[n.Object.Name] {
		if resource, ok := strings.CutPrefix(e.Message, "Attempting to reclaim "); ok && n.concernsNode(&e) && !e.Last.Before(since) {
			add(Scarcity{Resource: resource, Source: "Event", Path: e.Reason, Text: e.Message, At: e.Last})
		}
	}
	if n.Kubelet != nil {
		for _, f := range n.Kubelet.Filesystems {
			for _, s := range f.Short() {
				add(Scarcity{Resource: s.Resource, Figures: s.Text, Source: "kubelet", Path: s.Path, Text: s.Text})
			}
		}
	}
	sorting.Stable(out, func(a, b Scarcity) int {
		figures := func(s Scarcity) int { return -cmp.Compare(s.Figures, "") } // the pods' words, which have the threshold, first
		return cmp.Or(cmp.Compare(b.Resource, a.Resource), figures(a)-figures(b), cmp.Compare(b.Path, a.Path))
	})
	return out
}
