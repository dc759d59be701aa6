package facts

import (
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	eventfact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/event"
	podfact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/pod"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/schedule"
)

// MissingDaemon is a DaemonSet whose pod should be on the node and is not, and what is known of the reason.
type MissingDaemon struct {
	*appsv1.DaemonSet

	Unscheduled *corev1.Pod      // the pod for this node, which the scheduler cannot bind; nil: there is none, or it was not read
	Rejected    *eventfact.Event // the newest rejection of a pod within the last hour; nil: there is none, or it was not read
	Lacks       []string         // labels that the node selector requires, and that the node lost; nil: the node is one for it
}

// missingDaemons are the DaemonSets whose pod should be here and is not.
func (c *Cluster) missingDaemons(n *Node) []MissingDaemon {
	young := n.Age(n.Object.CreationTimestamp.Time) < Starting
	if !n.Read(SourcePods) || !n.Read(SourceDaemonSets) || young || n.Object.DeletionTimestamp != nil {
		return nil
	}
	here := map[string]bool{}
	for _, p := range n.Pods {
		for _, o := range p.OwnerReferences {
			here[string(o.UID)] = here[string(o.UID)] || !p.Finished()
		}
	}
	var missing []MissingDaemon
	for _, d := range c.daemonSets {
		settled := d.Status.ObservedGeneration == d.Generation && n.Age(d.CreationTimestamp.Time) > Starting && d.DeletionTimestamp == nil
		if here[string(d.UID)] || !settled {
			continue
		}
		if _, fits := schedule.DaemonFits(&d.Spec.Template.Spec, n.Object); fits {
			missing = append(missing, MissingDaemon{DaemonSet: d, Unscheduled: c.unscheduled(d, n), Rejected: c.rejected(d, n)})
		} else if lost := c.lost(d, n); lost != nil {
			missing = append(missing, MissingDaemon{DaemonSet: d, Lacks: lost})
		}
	}
	return missing
}

// lost are the labels that keep a DaemonSet's pod off the node and that the node should have: those that every kubelet sets and
// whose value the node's own status confirms; for kube-proxy, where nothing takes its place on a Linux node, any label that
// the node has not. nil: the node is kept out on purpose, as far as is known.
// https://kubernetes.io/docs/reference/labels-annotations-taints/#kubernetes-io-os
func (c *Cluster) lost(d *appsv1.DaemonSet, n *Node) []string {
	info := n.Object.Status.NodeInfo
	own := map[string]string{
		corev1.LabelOSStable: info.OperatingSystem, corev1.LabelArchStable: info.Architecture, corev1.LabelHostname: hostname(n.Object),
	}
	parts := &n.Components
	proxy := d.Namespace == metav1.NamespaceSystem && d.Name == "kube-proxy" && len(parts.Proxies) == 0 && parts.Instead == "" &&
		!parts.BuiltIn &&
		info.OperatingSystem == "linux" && d.Status.CurrentNumberScheduled > 0 && parts.Runtime.Name != ""
	var lost []string
	restored := n.Object.DeepCopy()
	if restored.Labels == nil {
		restored.Labels = map[string]string{}
	}
	for key, value := range d.Spec.Template.Spec.NodeSelector {
		have, has := n.Object.Labels[key]
		if has && have == value {
			continue
		}
		if own[key] == value || proxy && !has {
			lost = append(lost, key+"="+value)
			restored.Labels[key] = value
		}
	}
	if _, fits := schedule.DaemonFits(&d.Spec.Template.Spec, restored); !fits || len(lost) == 0 {
		return nil
	}
	slices.Sort(lost)
	return lost
}

// unscheduled is the pod of a DaemonSet that is for this node and has none; of several, the first by name, so that the order
// in which they were read does not matter.
func (c *Cluster) unscheduled(d *appsv1.DaemonSet, n *Node) *corev1.Pod {
	var first *corev1.Pod
	for i := range c.in.Unscheduled {
		p := &c.in.Unscheduled[i]
		if schedule.DaemonNode(&p.Spec) != n.Object.Name || !metav1.IsControlledBy(p, d) {
			continue
		}
		if s := podfact.Condition(p, corev1.PodScheduled); s != nil && s.Status == corev1.ConditionFalse {
			if first == nil || p.Name < first.Name {
				first = p
			}
		}
	}
	return first
}

// rejected is the newest event of a DaemonSet that says why a pod was not created. The controller tries again within minutes.
func (c *Cluster) rejected(d *appsv1.DaemonSet, n *Node) *eventfact.Event {
	newest := eventfact.Newest(c.byObject[string(d.UID)], "FailedCreate")
	if newest == nil || n.Age(newest.Last) > Recently {
		return nil
	}
	e := *newest
	e.Message = strings.TrimPrefix(e.Message, "Error creating: ")
	return &e
}
