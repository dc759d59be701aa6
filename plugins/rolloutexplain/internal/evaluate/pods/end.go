package pods

import (
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	eventfact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/event"
	podfact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/pod"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/codes"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/model"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/plain"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/report"
)

// ending explains a pod that is being deleted. Its deletionTimestamp is the moment at which its grace ends.
func ending(e *model.Evaluation, w *model.Workload, p *model.Pod) *model.Cause {
	due := p.DeletionTimestamp.Time
	began := due
	if p.DeletionGracePeriodSeconds != nil {
		began = due.Add(-plain.Seconds(*p.DeletionGracePeriodSeconds))
	}
	seen := plain.Evidence("Pod "+p.Name, "metadata.deletionTimestamp", due.UTC().Format(time.RFC3339), due)
	if due.After(e.Now) {
		seen.Time = nil // an end that is ahead has not been seen
	}
	running := false
	for _, s := range p.Status.ContainerStatuses {
		running = running || s.State.Running != nil
	}
	// Within seconds of its end the kubelet reports the end, and with it a terminal phase, for which no controller waits
	// but a StatefulSet's.
	if len(p.Finalizers) > 0 && !running && e.Now.Sub(due) > plain.Seconds(10) {
		c := e.Cause(p, model.StageEnd, codes.FinalizerBlocksDeletion, report.LikelyFatal, "pod %s is deleted and cannot go: finalizer %s is still on it",
			p.Name, plain.List(p.Finalizers, 5))
		c.Key = strings.Join(p.Finalizers, ",")
		if strings.HasPrefix(p.Finalizers[0], "batch.kubernetes.io/") {
			c.Class, c.Severity, c.SelfHealing = report.Transient, finding.Warning, "maybe"
		}
		return c.Since(began).By(plain.Evidence("Pod "+p.Name, "metadata.finalizers", strings.Join(p.Finalizers, ", "), began)).By(seen).Then(
			e.Next(w, finding.Read, "who owns that finalizer: its controller has to remove it", "get", "pod", p.Name, "-o",
				"jsonpath={.metadata.finalizers}"),
			e.Next(w, finding.Destructive, "only if its owner is gone for good: take the finalizer off", "patch", "pod", p.Name, "--type=merge",
				"-p", `{"metadata":{"finalizers":null}}`))
	}
	if due.After(e.Now) {
		c := e.Cause(p, model.StageEnd, codes.PodTerminating, report.Transient, "pod %s is ending: %s of its grace are left", p.Name,
			plain.Age(due.Sub(e.Now))).Healing()
		return c.Since(began).By(seen)
	}
	if c := endingOnDeadNode(e, w, p); c != nil {
		return c.Since(began).By(seen)
	}
	events := e.PodEvents(p)
	if ev := eventfact.Newest(events, "FailedKillPod", "FailedPreStopHook", "ExceededGracePeriod"); ev != nil {
		return e.Cause(p, model.StageEnd, codes.PodStuckTerminating, report.Transient, "pod %s does not end: %s", p.Name, plain.OneLine(ev.Message)).
			ByEvent(ev).By(seen).
			Then(e.NextCluster(finding.Read, "the node that should end it", "nodeinfo", p.Spec.NodeName))
	}
	if e.Now.Sub(due) <= plain.Seconds(10) {
		return e.Cause(p, model.StageEnd, codes.PodTerminating, report.Transient, "pod %s is ending: its grace has just run out", p.Name).
			Healing().Since(began).By(seen)
	}
	return e.Cause(p, model.StageEnd, codes.PodStuckTerminating, report.Transient, "pod %s should have been gone %s ago, and nothing says why it is not",
		p.Name, plain.Age(e.Now.Sub(due))).
		Since(began).By(seen).Then(e.NextCluster(finding.Read, "the node that should end it", "nodeinfo", p.Spec.NodeName))
}

// endingOnDeadNode: only the node's kubelet can confirm that a pod has ended.
func endingOnDeadNode(e *model.Evaluation, w *model.Workload, p *model.Pod) *model.Cause {
	if p.Spec.NodeName == "" {
		return nil
	}
	t := troubleOf(e, p.Spec.NodeName)
	if t == nil {
		return nil
	}
	found := e.Cause(p, model.StageEnd, codes.TerminatingOnNotReadyNode, report.LikelyFatal,
		"pod %s cannot end: its node %s %s, and only its kubelet can confirm the end", p.Name, p.Spec.NodeName, t.text)
	found.Key, found.SelfHealing = p.Spec.NodeName, "maybe"
	found.By(t.evidence).Then(
		e.NextCluster(finding.Read, "why the node does not answer", "nodeinfo", p.Spec.NodeName),
		e.NextCluster(finding.Change, "only if the machine is really off: let the cluster give up its pods and volumes", "taint", "node",
			p.Spec.NodeName, "node.kubernetes.io/out-of-service=nodeshutdown:NoExecute"))
	if w.Kind == "StatefulSet" {
		found.Message += "; while it may still run there, a second one could damage its data"
	}
	return found.Then(e.Next(w, finding.Destructive, "only if it certainly does not run any more", "delete", "pod", p.Name, "--grace-period=0",
		"--force"))
}

// Failed is why a Job's pod failed.
func Failed(e *model.Evaluation, w *model.Workload, p *model.Pod) *model.Cause {
	if c := deadPod(e, w, p); c != nil {
		return c
	}
	return containerCause(e, w, p)
}

// deadPod explains a pod in phase Failed.
func deadPod(e *model.Evaluation, w *model.Workload, p *model.Pod) *model.Cause {
	if p.Status.Phase != corev1.PodFailed {
		return nil
	}
	describe := e.Next(w, finding.Read, "what the kubelet said", "describe", "pod", p.Name)
	when := endOf(p)
	switch reason := p.Status.Reason; {
	case reason == "Evicted":
		c := e.Cause(p, model.StageRun, codes.Evicted, report.LikelyFatal, "the kubelet evicted it: %s", plain.OneLine(p.Status.Message))
		c.Key, c.Attempts = plain.FirstWords(p.Status.Message, 8), 0
		return c.Since(when).By(plain.Evidence("Pod "+p.Name, "status.message", p.Status.Message, when)).Then(describe,
			e.NextCluster(finding.Read, "pressure on that node", "describe", "node", p.Spec.NodeName))
	case reason != "" && reason != "NodeShutdown" && reason != "Terminated" && len(p.Status.ContainerStatuses) == 0,
		strings.HasPrefix(p.Status.Message, "Pod was rejected"):
		c := e.Cause(p, model.StageNode, codes.PodRejected, report.LikelyFatal, "the kubelet of node %s rejects it (%s): %s", p.Spec.NodeName, reason,
			plain.OneLine(p.Status.Message))
		c.Key = reason
		if w.Template != nil && w.Template.Spec.NodeName != "" {
			c.Message += "; the template sets nodeName, which goes past the scheduler"
		}
		c.Since(when).By(plain.Evidence("Pod "+p.Name, "status.reason", reason, when))
		if strings.HasPrefix(reason, "OutOf") {
			return c.Then(e.NextCluster(finding.Read, "what that node has left", "describe", "node", p.Spec.NodeName))
		}
		return c.Then(describe)
	}
	if d := podfact.Condition(p.Pod, corev1.DisruptionTarget); d != nil && d.Status == corev1.ConditionTrue {
		c := e.Cause(p, model.StageRun, codes.PodDisrupted, report.Transient, "it was removed from outside (%s): %s", d.Reason,
			plain.OneLine(d.Message))
		c.Key = d.Reason
		return c.Since(d.LastTransitionTime.Time).
			By(plain.Evidence("Pod "+p.Name, "status.conditions[DisruptionTarget]", d.Reason, d.LastTransitionTime.Time)).Then(describe)
	}
	return nil
}

func endOf(p *model.Pod) time.Time {
	at := p.CreationTimestamp.Time
	for _, c := range p.Status.Conditions {
		if c.LastTransitionTime.After(at) {
			at = c.LastTransitionTime.Time
		}
	}
	return at
}
