package placement

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/model"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/rule"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/report"
)

const (
	PodAffinityUnsatisfied finding.Code = "PodAffinityUnsatisfied"
	HostPortConflict       finding.Code = "HostPortConflict"
)

var podConflictsRules = []rule.Rule{
	{Layer: rule.LayerPod, Place: true, Bears: []string{"affinity"}, Entry: finding.Entry{
		Code: PodAffinityUnsatisfied, Severity: finding.Critical, Title: "Pod affinity or anti-affinity excludes every node",
		Meaning:  "The required pod affinity or anti-affinity, of this pod or of running ones, excludes every node.",
		Evidence: "\"pod affinity\" or \"anti-affinity\" in the pod condition PodScheduled.",
		Next:     "Let an old pod terminate first (maxSurge 0), ask for no more pods than nodes, or change the affinity.",
	}},
	{Layer: rule.LayerPod, Place: true, Bears: []string{".ports", "hostNetwork"}, Entry: finding.Entry{
		Code: HostPortConflict, Severity: finding.Critical, Title: "Host port is in use on every eligible node",
		Meaning:  "On each node that is left, another pod uses the host port that the pod requests.",
		Evidence: "\"didn't have free ports\" in the pod condition PodScheduled.",
		Next:     "Let an old pod terminate first (maxSurge 0), ask for no more pods than nodes, or change the host port.",
	}},
}

// classByOthers judges a pod that other pods keep off every node: those of the old revision, which the rollout keeps on
// purpose, those of its own revision, of which a node can run only one, or those of another workload. Open are the nodes that could
// run it otherwise; with faults, others could if they were mended.
func classByOthers(e *model.Evaluation, w *model.Workload, p *model.Pod, c *model.Cause, open []nodeFit, faults bool) {
	holders, over := heldBy(w, p, c)
	switch {
	case heldByOld(e, w, c, holders, over):
	case heldByNew(e, w, p, c, open, faults):
	case c.Code == HostPortConflict:
		if holder := portHolder(e, p); holder != "" {
			c.Message += "; " + holder
		}
	case c.Code == PodAffinityUnsatisfied && requiredNeighbors(p) != "":
		c.Class, c.SelfHealing = report.LikelyFatal, "no"
		c.Message += "; the pod must run next to pods with " + requiredNeighbors(p)
	}
}

// repels says whether one pod's required anti-affinity names the other. Other namespaces are not checked.
func repels(one, other *corev1.Pod) bool {
	if one.Spec.Affinity == nil || one.Spec.Affinity.PodAntiAffinity == nil {
		return false
	}
	return slices.ContainsFunc(one.Spec.Affinity.PodAntiAffinity.RequiredDuringSchedulingIgnoredDuringExecution,
		func(t corev1.PodAffinityTerm) bool {
			s, err := metav1.LabelSelectorAsSelector(t.LabelSelector)
			return err == nil && (len(t.Namespaces) == 0 || slices.Contains(t.Namespaces, other.Namespace)) && s.Matches(labels.Set(other.Labels))
		})
}

// requiredNeighbors gives the labels of the pods next to which a required affinity places the pod, and the topology key.
func requiredNeighbors(p *model.Pod) string {
	if p.Spec.Affinity == nil || p.Spec.Affinity.PodAffinity == nil {
		return ""
	}
	for _, t := range p.Spec.Affinity.PodAffinity.RequiredDuringSchedulingIgnoredDuringExecution {
		return fmt.Sprintf("%s (topology key %s)", metav1.FormatLabelSelector(t.LabelSelector), t.TopologyKey)
	}
	return ""
}

func hostPorts(p *corev1.Pod) []int32 {
	var ports []int32
	for i := range p.Spec.Containers {
		for _, port := range p.Spec.Containers[i].Ports {
			if port.HostPort > 0 {
				ports = append(ports, port.HostPort)
			}
		}
	}
	return ports
}

// portHolder names the pod that uses a requested host port.
func portHolder(e *model.Evaluation, p *model.Pod) string {
	var best *model.NodePod
	var taken int32
	for i := range e.In.NodePods {
		np := &e.In.NodePods[i]
		for _, port := range hostPorts(p.Pod) {
			if slices.Contains(np.HostPorts, port) && (best == nil || np.Node+np.Name < best.Node+best.Name) {
				best, taken = np, port
			}
		}
	}
	if best == nil {
		return ""
	}
	words := fmt.Sprintf("host port %d on node %s is in use by pod %s/%s", taken, best.Node, best.Namespace, best.Name)
	if best.Terminating {
		words += ", which is terminating"
	}
	return words
}
