// Package account holds findings against what was read: what speaks against a node's health and no finding accounts for it is a
// finding of its own, so that no node is called healthy over it.
package account

import (
	"cmp"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/autoscaler"
	eventfact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/event"
	nodefact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/node"
	podfact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/pod"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/facts"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/rules"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/rules/machine"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/rules/subject"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/rules/workload"
)

// harmless are kinds that speak against no node by themselves; reasons of events that are harmless everywhere stand in
// pkg/diagnose/event.
var harmless = map[string]string{
	"Event NodeSysctlChange":     "node-problem-detector tells that a setting changed, not that it is wrong",
	"Event DeviceMapper":         "a notice of the image cleaner",
	"Event Preempting":           "the kubelet makes room for a pod that the node itself needs",
	"Event UnregisterNetDevice":  "the kernel waits for a network device of a pod that ends, and says so for a moment",
	"Pod DeadlineExceeded":       "the time that the pod's own spec allows has passed",
	"Pod Preempting":             "it made room for a pod that the node itself needs",
	"Pod OutOfcpu":               "the pod was bound without the scheduler, to a node with less CPU left than it requests",
	"Pod OutOfmemory":            "the pod was bound without the scheduler, to a node with less memory left than it requests",
	"Pod OutOfpods":              "the pod was bound without the scheduler, to a node that runs as many pods as it may",
	"Pod OutOfephemeral-storage": "the pod was bound without the scheduler, to a node with less storage left than it requests",
	"Pod OutOfhugepages-2Mi":     "the pod was bound without the scheduler, to a node with fewer huge pages left than it requests",
	"Pod OutOfhugepages-1Gi":     "the pod was bound without the scheduler, to a node with fewer huge pages left than it requests",
	"Pod NodeAffinity":           "the pod was bound without the scheduler, to a node that it does not select",
	"Pod Terminated":             "it was ended in order, when the node shut down or was drained",
	"Pod NodeShutdown":           "it was rejected while the node shut down",
}

// about says which findings account for an event of the node, besides one that has it as evidence: those of its cause. What makes
// everything else follow accounts for every event.
var about = map[string][]finding.Code{
	"EvictionThresholdMet": {machine.DiskPressure, machine.MemoryPressure, machine.PIDPressure},
	"SystemOOM":            {machine.SystemOOM, machine.MemoryPressure},
	"OOMKilling":           {machine.SystemOOM, machine.MemoryPressure},
	facts.Rebooted:         {machine.Rebooted},

	autoscaler.FailedDraining: {workload.NodeRemovalInProgress, workload.NodeRemovalStuck},
	autoscaler.GraceExpiring:  {workload.NodeRemovalInProgress, workload.NodeRemovalStuck},
	facts.NodeNotReady:        {machine.NodeReadinessFlapping, machine.Rebooted, machine.LeaseNotRenewed, machine.NodeNotReady},
}

// Unexplained is the finding of what none of the others accounts for; false: nothing is left.
func Unexplained(c *subject.Case, findings []finding.Finding, consequences []finding.Consequence) (finding.Finding, bool) {
	l := &ledger{Ledger: finding.Ledger{Harmless: harmless}, Case: c, node: finding.ObjectRef{Kind: "Node", Name: c.Object.Name}}
	l.nodeEvents()
	l.conditions()
	l.answers()
	for _, p := range c.Pods {
		l.pod(p)
	}
	next := []finding.Next{{
		Command: "journalctl -u kubelet -n 100 --no-pager; journalctl -k -n 50 --no-pager", Risk: finding.Read,
		Why: "On the node, read the logs of the kubelet and the kernel around that time",
	}}
	left := l.Unexplained(findings, consequences)
	if i := slices.IndexFunc(left, func(e finding.Contrary) bool { return e.Object.Kind == "Pod" }); i >= 0 {
		o := left[i].Object
		next = append(next, finding.Next{
			Command: c.Kubectl.Command(o.Namespace, "describe", "pod", o.Name), Why: "Read the containers, conditions and events of the pod",
			Risk: finding.Read,
		})
	}
	return finding.Unexplained(left, l.node, next...)
}

type ledger struct {
	finding.Ledger
	*subject.Case

	node finding.ObjectRef
}

// nodeEvents notes the node's warnings that may still be so: what a pressure or the kubelet's garbage collection brought is over
// when the condition is gone, or the kubelet says it no longer.
func (l *ledger) nodeEvents() {
	for i := range l.Events.Current {
		e := &l.Events.Current[i]
		if _, ok := eventfact.Harmless(e.Reason); ok || machine.OfOneContainer(e.Reason, e.Message) {
			continue
		}
		by, known := about[e.Reason]
		switch over, judged := machine.ErrorIsOver(l.Case, e.Reason, e.Last); {
		case judged && over:
			continue
		case judged:
			by, known = []finding.Code{machine.KubeletError}, true
		case e.Reason == "EvictionThresholdMet" && !l.underPressure() && e.Last.Before(l.relieved()):
			continue
		}
		if e.Reason == facts.NodeNotReady && l.RecoveredSince(e.Last) {
			continue
		}
		if !known && l.RecoveredSince(e.Last) {
			continue // the node became Ready after it
		}
		l.Note(finding.Contrary{
			Kind: "Event " + e.Reason, Object: l.node, By: slices.Concat(by, rules.Encompassing()),
			Evidence: finding.Evidence{Source: "Event", Path: e.Reason, Value: e.Message, Time: facts.Time(e.Last)},
		})
	}
}

func (l *ledger) underPressure() bool {
	return slices.ContainsFunc(l.Conditions, func(c facts.Condition) bool {
		return strings.HasSuffix(string(c.Type), "Pressure") && c.Status == corev1.ConditionTrue
	})
}

// relieved is when the last of the pressures ended.
func (l *ledger) relieved() time.Time {
	var last time.Time
	for _, c := range l.Conditions {
		if strings.HasSuffix(string(c.Type), "Pressure") && c.LastTransitionTime.After(last) {
			last = c.LastTransitionTime.Time
		}
	}
	return last
}

func (l *ledger) conditions() {
	for _, c := range l.Conditions {
		if c.Problem != nil && *c.Problem {
			l.Note(finding.Contrary{
				Kind: "Condition " + string(c.Type), Object: l.node, Evidence: subject.ConditionEvidence(c.NodeCondition),
			})
		}
	}
}

// answers notes what was asked and did not answer as it should.
func (l *ledger) answers() {
	if k := l.Kubelet; k != nil && !k.Healthy && l.Readiness.Heartbeat.Beat == nodefact.Fresh {
		l.Note(finding.Contrary{
			Kind: "Answer kubelet", Object: l.node,
			Evidence: finding.Evidence{Source: "kubelet " + l.Object.Name, Path: "/healthz", Value: cmp.Or(k.Message, "not healthy")},
		})
	}
}

// pod notes a pod that the node's own side made fail, and the warnings of one of the system that is not well. Pods that are just
// starting, and those of users that run and are not ready, are no fault of the node.
func (l *ledger) pod(p *facts.Pod) {
	o := finding.ObjectRef{Kind: "Pod", Namespace: p.Namespace, Name: p.Name}
	if p.Status.Phase == corev1.PodFailed && p.Status.Reason != "" {
		if at := p.FailedAt(); l.Age(at) <= eventfact.Repeat {
			c := finding.Contrary{
				Kind: "Pod " + p.Status.Reason, Object: o, Beside: []finding.ObjectRef{l.node},
				Evidence: finding.Evidence{
					Source: "Pod " + p.Namespace + "/" + p.Name, Path: "status.message", Value: cmp.Or(p.Status.Message, p.Status.Reason),
					Time: facts.Time(at),
				},
			}
			if p.Status.Reason == "Evicted" {
				c.By = []finding.Code{workload.PodsEvicted, machine.DiskPressure, machine.MemoryPressure, machine.PIDPressure}
			}
			l.Note(c)
		}
		return
	}
	if p.Namespace != "kube-system" || p.Ends() || podfact.Ready(p.Pod) || p.Tolerated || l.Age(p.BoundAt()) < l.Limits.PodStart {
		return
	}
	e := p.Warning
	if e == nil || !e.Current(time.Time{}, l.Now) {
		return
	}
	if _, ok := eventfact.Harmless(e.Reason); ok {
		return
	}
	l.Note(finding.Contrary{
		Kind: "Event " + e.Reason, Object: o, Beside: []finding.ObjectRef{l.node},
		Evidence: finding.Evidence{Source: "Event", Path: e.Reason, Value: e.Message, Time: facts.Time(e.Last)},
	})
}
