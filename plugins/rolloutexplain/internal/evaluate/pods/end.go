package pods

import (
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	eventfact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/event"
	podfact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/pod"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/model"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/plain"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/rule"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/report"
)

const (
	PodRejected               finding.Code = "PodRejected"
	Evicted                   finding.Code = "Evicted"
	PodDisrupted              finding.Code = "PodDisrupted"
	PodTerminating            finding.Code = "PodTerminating"
	FinalizerBlocksDeletion   finding.Code = "FinalizerBlocksDeletion"
	TerminatingOnNotReadyNode finding.Code = "TerminatingOnNotReadyNode"
	PodStuckTerminating       finding.Code = "PodStuckTerminating"
)

var endRules = []rule.Rule{
	{Layer: rule.LayerPod, Bears: []string{""}, Entry: finding.Entry{
		Code: PodRejected, Severity: finding.Critical, Title: "Pod was rejected",
		Meaning: "The pod was assigned to a node whose kubelet rejected it, such as for lack of resources or a node " +
			"selector that does not match.",
		Evidence: "Pod phase Failed with status.reason and no containers started, or a status.message that begins with " +
			"\"Pod was rejected\".",
		Next: "Check why the pod was assigned to that node; spec.nodeName in the template bypasses the scheduler.",
	}},
	{Layer: rule.LayerPod, Bears: []string{".resources", "olume", ".image"}, Entry: finding.Entry{
		Code: Evicted, Severity: finding.Critical, Title: "Pod was evicted by the kubelet",
		Meaning: "The kubelet evicted the pod: the node is short of a resource, or the pod exceeded its ephemeral " +
			"storage limit.",
		Evidence: "Pod status.reason Evicted.",
		Next:     "Check the limits of the pod and the pressure conditions of the node.",
	}},
	{Layer: rule.LayerPod, Entry: finding.Entry{
		Code: PodDisrupted, Severity: finding.Warning, Title: "Pod was disrupted",
		Meaning:  "The pod was preempted, drained, or evicted because of a taint.",
		Evidence: "Pod condition DisruptionTarget=True.",
		Next:     "Wait for the replacement pod.",
	}},
	{Layer: rule.LayerPod, Entry: finding.Entry{
		Code: PodTerminating, Severity: finding.Info, Title: "Pod is terminating within its grace period",
		Meaning:  "The pod is being deleted, and its termination grace period is not over.",
		Evidence: "metadata.deletionTimestamp in the future, or at most 10s ago.",
		Next:     "Wait until the pod has terminated.",
	}},
	{Layer: rule.LayerPod, Place: true, Entry: finding.Entry{
		Code: FinalizerBlocksDeletion, Severity: finding.Critical, Title: "Finalizer blocks deletion",
		Meaning: "The object is being deleted, and for a pod the containers have terminated, but it stays until a controller removes " +
			"its finalizer.",
		Evidence: "metadata.finalizers after metadata.deletionTimestamp; of a pod, more than 10s after it.",
		Next:     "Check the controller that owns the finalizer.",
	}},
	{Layer: rule.LayerPod, Place: true, Entry: finding.Entry{
		Code: TerminatingOnNotReadyNode, Severity: finding.Critical, Title: "Pod cannot terminate because its node is not ready",
		Meaning: "The pod is being deleted, but its node is not ready. Only the kubelet of that node can confirm " +
			"termination.",
		Evidence: "Node condition Ready not True, or the node Lease in kube-node-lease not renewed.",
		Next:     "Run kubectl nodeinfo for the node.",
	}},
	{Layer: rule.LayerPod, Entry: finding.Entry{
		Code: PodStuckTerminating, Severity: finding.Warning, Title: "Pod is stuck terminating",
		Meaning: "The termination grace period of the pod is over, and the kubelet has not terminated the pod.",
		Evidence: "metadata.deletionTimestamp more than 10s ago, or a FailedKillPod, FailedPreStopHook or " +
			"ExceededGracePeriod event.",
		Next: "Run kubectl nodeinfo for the node.",
	}},
}

// awaiting explains what waits for the end of a pod by what keeps that from ending.
func awaiting(c *model.Cause) *model.Cause {
	if c != nil && c.Awaits != nil {
		c.Causes = []finding.Code{TerminatingOnNotReadyNode, FinalizerBlocksDeletion, PodStuckTerminating, PodTerminating}
	}
	return c
}

// terminatingCause explains a pod that is being deleted. Its deletionTimestamp is the moment at which its grace period ends.
func terminatingCause(e *model.Evaluation, w *model.Workload, p *model.Pod) *model.Cause {
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
		set := fmt.Sprintf(": finalizer %s is set", plain.List(p.Finalizers, 5))
		c := endCause(e, p, FinalizerBlocksDeletion, report.LikelyFatal,
			"is deleted but still exists"+set, "are deleted but still exist"+set)
		c.Key = strings.Join(p.Finalizers, ",")
		if strings.HasPrefix(p.Finalizers[0], "batch.kubernetes.io/") {
			c.Class, c.Severity, c.SelfHealing = report.Transient, finding.Warning, "maybe"
		}
		held := plain.Evidence("Pod "+p.Name, "metadata.finalizers", strings.Join(p.Finalizers, ", "), began)
		return c.Since(began).WithEvidence(held).WithEvidence(seen).WithNext(
			e.Next(w, finding.Read, "Find in managedFields who set the finalizer, and check that controller", "get", "pod", p.Name, "-o", "yaml",
				"--show-managed-fields"),
			e.Next(w, finding.Destructive, "Remove the finalizer, only if its controller no longer exists", "patch", "pod", p.Name, "--type=merge",
				"-p", `{"metadata":{"finalizers":null}}`))
	}
	if due.After(e.Now) {
		left := fmt.Sprintf("terminating: %s of the termination grace period are left", plain.Age(due.Sub(e.Now)))
		c := endCause(e, p, PodTerminating, report.Transient, "is "+left, "are "+left).MarkSelfHealing()
		return c.Since(began).WithEvidence(seen)
	}
	if c := terminatingOnNotReadyNode(e, w, p); c != nil {
		return c.Since(began).WithEvidence(seen)
	}
	events := e.PodEvents(p)
	if ev := eventfact.Newest(events, "FailedKillPod", "FailedPreStopHook", "ExceededGracePeriod"); ev != nil {
		text := " not terminate: " + plain.OneLine(ev.Message)
		return endCause(e, p, PodStuckTerminating, report.Transient, "does"+text, "do"+text).ByEvent(ev).WithEvidence(seen).
			WithNext(e.NextCluster(finding.Read, "Check the kubelet and the container runtime of the node", "nodeinfo", p.Spec.NodeName))
	}
	if e.Now.Sub(due) <= plain.Seconds(10) {
		over := "terminating: the termination grace period has just ended"
		return endCause(e, p, PodTerminating, report.Transient, "is "+over, "are "+over).MarkSelfHealing().Since(began).WithEvidence(seen)
	}
	text := fmt.Sprintf("grace period %s ago, and %s", plain.Age(e.Now.Sub(due)),
		e.MissingEventText("no event says why"))
	var drivers []finding.Next
	if names := deviceDrivers(e, p); len(names) > 0 && p.Spec.NodeName != "" {
		// Its volumes and its sandbox come later (SyncTerminatingPod):
		// https://github.com/kubernetes/kubernetes/blob/v1.37.2/pkg/kubelet/kubelet.go
		text += "; the kubelet reports the end of the pod only after DRA driver " + plain.List(names, 3) + " has unprepared its devices"
		drivers = driverSteps(e, p.Spec.NodeName)[1:]
	}
	return endCause(e, p, PodStuckTerminating, report.Transient, "exceeded its "+text, "exceeded their "+text).
		Since(began).WithEvidence(seen).
		WithNext(e.NextCluster(finding.Read, "Check the kubelet and the container runtime of the node", "nodeinfo", p.Spec.NodeName)).
		WithNext(drivers...)
}

// endCause makes a cause whose message begins with the pod: one pod does the one thing, several do the many.
func endCause(e *model.Evaluation, p *model.Pod, code finding.Code, class report.Class, one, many string) *model.Cause {
	c := e.Cause(p, model.StageEnd, code, class, "pod %s %s", p.Name, one)
	c.Many = many
	return c
}

// terminatingOnNotReadyNode: only the node's kubelet can confirm that a pod has ended.
func terminatingOnNotReadyNode(e *model.Evaluation, w *model.Workload, p *model.Pod) *model.Cause {
	if p.Spec.NodeName == "" {
		return nil
	}
	t := troubleOf(e, p.Spec.NodeName)
	if t == nil {
		return nil
	}
	text := fmt.Sprintf("cannot terminate: node %s %s, and only its kubelet can confirm termination", p.Spec.NodeName, t.text)
	if w.Kind == "StatefulSet" {
		text += "; the pod may still be running there, and a second pod of the same name could damage its data"
	}
	found := endCause(e, p, TerminatingOnNotReadyNode, report.LikelyFatal, text, text)
	found.Key, found.SelfHealing = p.Spec.NodeName, "maybe"
	found.WithEvidence(t.evidence).WithNext(
		e.NextCluster(finding.Read, "Find out why the node is not ready", "nodeinfo", p.Spec.NodeName),
		e.NextCluster(finding.Change, "Let the cluster delete the pods and detach the volumes, only if the machine is powered off",
			"taint", "node", p.Spec.NodeName, "node.kubernetes.io/out-of-service=nodeshutdown:NoExecute"))
	return found.WithNext(e.Next(w, finding.Destructive,
		"Delete the pod without confirmation, only if the pod is certainly not running anymore",
		"delete", "pod", p.Name, "--grace-period=0", "--force"))
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
	node := e.NextCluster(finding.Read, "Check the node, its taints and its free capacity", "nodeinfo", p.Spec.NodeName)
	when := endOf(p)
	switch reason := p.Status.Reason; {
	case reason == "Evicted":
		c := e.Cause(p, model.StageRun, Evicted, report.LikelyFatal, "the kubelet evicted the pod: %s", plain.OneLine(p.Status.Message))
		c.Key, c.Attempts = plain.FirstWords(p.Status.Message, 8), 0
		return c.Since(when).WithEvidence(plain.Evidence("Pod "+p.Name, "status.message", p.Status.Message, when)).WithNext(node)
	case reason != "" && reason != "NodeShutdown" && reason != "Terminated" && len(p.Status.ContainerStatuses) == 0,
		strings.HasPrefix(p.Status.Message, "Pod was rejected"):
		c := e.Cause(p, model.StageNode, PodRejected, report.LikelyFatal,
			"the kubelet of node %s rejected the pod (%s): %s", p.Spec.NodeName, reason, plain.OneLine(p.Status.Message))
		c.Key = reason
		if w.Template != nil && w.Template.Spec.NodeName != "" {
			c.Message += "; the pod template sets nodeName, which bypasses the scheduler"
		}
		c.Since(when).WithEvidence(plain.Evidence("Pod "+p.Name, "status.reason", reason, when))
		return c.WithNext(node)
	}
	if d := podfact.Condition(p.Pod, corev1.DisruptionTarget); d != nil && d.Status == corev1.ConditionTrue {
		c := e.Cause(p, model.StageRun, PodDisrupted, report.Transient, "the pod was disrupted (%s): %s", d.Reason,
			plain.OneLine(d.Message))
		c.Key = d.Reason
		at := d.LastTransitionTime.Time
		return c.Since(at).WithNext(node).
			WithEvidence(plain.Evidence("Pod "+p.Name, "status.conditions[DisruptionTarget]", d.Reason, at))
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
