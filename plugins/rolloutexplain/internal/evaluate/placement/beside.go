package placement

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/codes"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/model"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/report"
)

// classByOthers judges a pod that other pods keep off: those of the old revision, which the rollout keeps on purpose, or
// somebody else's.
func classByOthers(e *model.Evaluation, w *model.Workload, p *model.Pod, c *model.Cause) {
	switch {
	case oldHolds(w, p, c.Code):
		heldByOld(e, w, c)
	case c.Code == codes.HostPortConflict:
		if holder := portHolder(e, p); holder != "" {
			c.Message += "; " + holder
		}
	case c.Code == codes.PodAffinityUnsatisfied && wantsCompany(p) != "":
		c.Class, c.SelfHealing = report.LikelyFatal, "no"
		c.Message += "; it must be placed beside pods with " + wantsCompany(p)
	}
}

// oldHolds says whether it is old pods of the workload itself that keep a pod off.
func oldHolds(w *model.Workload, p *model.Pod, code finding.Code) bool {
	return slices.ContainsFunc(model.Live(w.OldPods()), func(old *model.Pod) bool {
		if code == codes.HostPortConflict {
			return slices.ContainsFunc(hostPorts(p.Pod), func(port int32) bool { return slices.Contains(hostPorts(old.Pod), port) })
		}
		return repels(p.Pod, old.Pod) || repels(old.Pod, p.Pod)
	})
}

// repels says whether one pod's required anti-affinity names the other. Namespaces beside the own are not looked at.
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

// wantsCompany gives the labels of the pods that a required affinity wants beside it.
func wantsCompany(p *model.Pod) string {
	if p.Spec.Affinity == nil || p.Spec.Affinity.PodAffinity == nil {
		return ""
	}
	for _, t := range p.Spec.Affinity.PodAffinity.RequiredDuringSchedulingIgnoredDuringExecution {
		return fmt.Sprintf("%s (by %s)", metav1.FormatLabelSelector(t.LabelSelector), t.TopologyKey)
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

// portHolder names the pod that holds a wanted host port.
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
	return fmt.Sprintf("host port %d is held on node %s by pod %s of namespace %s", taken, best.Node, best.Name, best.Namespace)
}
