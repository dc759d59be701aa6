package joining

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/component"
	nodefact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/node"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/schedule"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/sorting"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/facts"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/rules/workload"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/report"
)

func (m *Machine) network() report.JoinStep {
	const name = report.JoinNetwork
	if s, ok := m.judged(name, network...); ok {
		return s
	}
	unavailable := nodefact.Condition(m.Object, corev1.NodeNetworkUnavailable)
	switch {
	case m.silent():
		return step(name, report.JoinUnknown, "the kubelet does not report")
	case m.Readiness.Condition == nil:
		return step(name, report.JoinWaiting, "the kubelet has reported no status yet")
	case m.Cause == facts.RuntimeDown:
		return step(name, report.JoinUnknown, "the container runtime does not respond to the kubelet")
	case m.SaysNoNetwork():
		return step(name, report.JoinWaiting, "the runtime has no CNI configuration yet; %s", m.plugin())
	case unavailable != nil && unavailable.Status == corev1.ConditionTrue:
		return step(name, report.JoinWaiting, "NetworkUnavailable (%s): %s", unavailable.Reason, unavailable.Message)
	}
	if len(m.Components.Network) > 0 {
		return step(name, report.JoinDone, "%s", m.plugin())
	}
	return step(name, report.JoinDone, "the kubelet reports no missing network; the network plugin is not one that nodeinfo knows")
}

// plugin says which network plugins are on the node, and what their pods do.
func (m *Machine) plugin() string {
	if s := m.Sources.Get(facts.SourcePods); !s.Readable() {
		return "its pod: " + s.Gap()
	}
	var texts []string
	for _, k := range m.Components.Network {
		text := k.Name
		if k.Pod != nil {
			text += " (" + k.PodName() + "): " + k.Pod.State
		}
		texts = append(texts, text)
	}
	if len(texts) > 0 {
		return strings.Join(texts, ", ")
	}
	for _, d := range m.networkDaemons() {
		if _, fits := schedule.DaemonFits(&d.Spec.Template.Spec, m.Object); fits {
			return "DaemonSet " + d.Namespace + "/" + d.Name + " has no pod on the node yet"
		}
	}
	return "no pod of a network plugin that nodeinfo knows is on the node"
}

// networkDaemons are the DaemonSets of network plugins.
func (m *Machine) networkDaemons() []*appsv1.DaemonSet {
	var list []*appsv1.DaemonSet
	for i := range m.book.in.DaemonSets {
		if d := &m.book.in.DaemonSets[i]; component.Network(d.Spec.Template.Labels) {
			list = append(list, d)
		}
	}
	return list
}

func (m *Machine) podCIDR() report.JoinStep {
	const name = report.JoinPodCIDR
	if s, ok := m.judged(name, PodCIDRMissing); ok {
		return s
	}
	switch peers := m.cidrs(); {
	case len(m.Network.PodCIDRs) > 0:
		return step(name, report.JoinDone, "%s", strings.Join(m.Network.PodCIDRs, ", "))
	case peers.most():
		return step(name, report.JoinWaiting, "%d of %d other nodes have one", peers.have, peers.of)
	case peers.of == 0:
		return step(name, report.JoinNotNeeded, "none, and there is no other node of this kind to compare with")
	default:
		return step(name, report.JoinNotNeeded, "%d of %d other nodes have one: the network plugin assigns addresses itself",
			peers.have, peers.of)
	}
}

// daemon is a DaemonSet that must run on the node, and its pod there; nil: there is none.
type daemon struct {
	set *appsv1.DaemonSet
	pod *facts.Pod
}

func (d *daemon) name() string { return d.set.Namespace + "/" + d.set.Name }

func (m *Machine) daemons() []daemon {
	var list []daemon
	for i := range m.book.in.DaemonSets {
		set := &m.book.in.DaemonSets[i]
		if _, fits := schedule.DaemonFits(&set.Spec.Template.Spec, m.Object); !fits || set.DeletionTimestamp != nil {
			continue
		}
		d := daemon{set: set}
		for _, p := range m.Pods {
			if metav1.IsControlledBy(p.Pod, set) && !p.Ends() && (d.pod == nil || p.Ready()) {
				d.pod = p
			}
		}
		list = append(list, d)
	}
	sorting.Func(list, func(a, b daemon) int { return cmp.Compare(a.name(), b.name()) })
	return list
}

func (m *Machine) daemonSets() report.JoinStep {
	const name = report.JoinDaemonSets
	if s, ok := m.judged(name, append(slices.Clip(daemons), DaemonSetPodNotReady)...); ok {
		return s
	}
	if s, ok := m.unread(name, facts.SourceDaemonSets, facts.SourcePods); ok {
		return s
	}
	var ready, lacking []string
	list := m.daemons()
	for _, d := range list {
		switch {
		case d.pod == nil:
			lacking = append(lacking, d.name()+" has no pod")
		case !d.pod.Ready():
			lacking = append(lacking, d.name()+" "+d.pod.State)
		default:
			ready = append(ready, d.name())
		}
	}
	switch {
	case len(list) == 0:
		return step(name, report.JoinNotNeeded, "no DaemonSet runs on this node")
	case len(lacking) > 0 && m.silent():
		return step(name, report.JoinUnknown, "the kubelet does not report")
	case len(lacking) > 0:
		return step(name, report.JoinWaiting, "%d of %d are ready: %s", len(ready), len(list), named(lacking))
	}
	return step(name, report.JoinDone, "%d of %d are ready: %s", len(ready), len(list), named(ready))
}

// settled says whether nothing before the pods of DaemonSets keeps them from getting ready.
func (m *Machine) settled() bool {
	return m.Readiness.State == nodefact.Ready &&
		!slices.ContainsFunc(m.roots, func(f finding.Finding) bool { return f.Severity != finding.Info })
}

func (m *Machine) csi() report.JoinStep {
	const name = report.JoinCSI
	if s, ok := m.judged(name, workload.CSIDriverPodNotReady, CSIDriverMissing); ok {
		return s
	}
	if s, ok := m.unread(name, facts.SourceCSINodes); ok {
		return s
	}
	lacks := m.lacksDrivers()
	var own []string
	for _, d := range m.Storage.Drivers {
		own = append(own, d.Name)
	}
	switch {
	case len(lacks) > 0:
		return step(name, report.JoinWaiting, "not registered yet, as on most other nodes: %s", strings.Join(lacks, ", "))
	case len(own) > 0:
		return step(name, report.JoinDone, "registered: %s", named(own))
	}
	return step(name, report.JoinNotNeeded, "most other nodes have none")
}

func (m *Machine) taints() report.JoinStep {
	const name = report.JoinTaints
	if s, ok := m.judged(name, StartupTaintStuck); ok {
		return s
	}
	var startup, others []string
	for _, t := range m.Scheduling.Taints {
		text := strings.TrimSuffix(t.Key+"="+t.Value, "=") + ":" + t.Effect
		switch who, when := remover(t.Key); {
		case who != "":
			if text = t.Key + " (removed by " + strings.TrimSpace(who+" "+when) + ")"; !slices.Contains(startup, text) { // one for each effect
				startup = append(startup, text)
			}
		case t.Key != corev1.TaintNodeUnschedulable: // the step "ready" has it
			others = append(others, text)
		}
	}
	switch {
	case len(startup) > 0:
		return step(name, report.JoinWaiting, "%s", strings.Join(startup, ", "))
	case len(others) > 0:
		return step(name, report.JoinDone, "none of joining; pods without a toleration stay off by %s", named(others))
	}
	return step(name, report.JoinDone, "none")
}

func (m *Machine) tainted(key string) bool {
	return slices.ContainsFunc(m.Scheduling.Taints, func(t facts.Taint) bool { return t.Key == key })
}

func (m *Machine) labels() report.JoinStep {
	const name = report.JoinLabels
	lacks := m.lacksLabels()
	switch {
	case len(m.peers) == 0:
		return step(name, report.JoinDone, "no other node of this kind is Ready to compare with")
	case len(lacks) == 0:
		return step(name, report.JoinDone, "as on most other nodes of this kind (%d)", len(m.peers))
	}
	var texts []string
	for _, l := range lacks {
		texts = append(texts, fmt.Sprintf("%s (%d of %d other nodes have it)", l.key, l.have, l.of))
	}
	return step(name, report.JoinInfo, "lacks %s", named(texts))
}

func (m *Machine) ready() report.JoinStep {
	const name = report.JoinReady
	if s, ok := m.judged(name, readiness...); ok {
		return s
	}
	ready := m.Readiness.Condition
	switch {
	case ready == nil:
		return step(name, report.JoinWaiting, "the kubelet has reported no status yet")
	case m.silent():
		return step(name, report.JoinUnknown, "the kubelet does not report")
	case m.Readiness.State == nodefact.Ready:
		return step(name, report.JoinDone, "Ready for %s", m.Ago(ready.LastTransitionTime.Time))
	case m.Readiness.State == nodefact.NotReady:
		return step(name, report.JoinWaiting, "%s", cmp.Or(ready.Message, ready.Reason, "the kubelet reports the node as not ready"))
	}
	return step(name, report.JoinUnknown, "Ready is %s (%s)", ready.Status, ready.Reason)
}
