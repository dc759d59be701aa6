package rules

import (
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/admission"
	podfact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/pod"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/output"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/facts"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/report"
)

// The pods of the node. Those of its components and of the control plane are judged as such.
const (
	PodCrashLooping     finding.Code = "PodCrashLooping"
	PodNotStarting      finding.Code = "PodNotStarting"
	PodStuckTerminating finding.Code = "PodStuckTerminating"
	PodsEvicted         finding.Code = "PodsEvicted"
	DaemonSetPodMissing finding.Code = "DaemonSetPodMissing"
)

var podCrashLooping = rule{
	Entry: finding.Entry{
		Code:     PodCrashLooping,
		Severity: finding.Warning,
		Title:    "Pod is crash looping",
		Meaning:  "A container exited and was restarted repeatedly, the last time within the last ten minutes.",
		Evidence: "Pod status.containerStatuses: restartCount, lastState and state together, since the reason " +
			podfact.CrashLoopBackOff + " can be absent.",
		Next: "Read the log of the previous run.",
	},
	CausedBy: pressureCodes,
	Check:    giving(PodCrashLooping, checkPodCrashLooping),
}

func checkPodCrashLooping(c *Case) []finding.Finding {
	return c.podFindings(PodCrashLooping, func(p *facts.Pod, t *report.PodProblem) finding.Finding {
		return c.found("pod "+name(p)+": "+t.Message, podEvidence(p), c.podNext(p)...)
	})
}

var podNotStarting = rule{
	Entry: finding.Entry{
		Code:     PodNotStarting,
		Severity: finding.Warning,
		Title:    "Pod is not starting",
		Meaning:  "The pod was bound to the node more than two minutes ago, but a container does not start; a failed start is reported at once.",
		Evidence: "Waiting reason of the container, or the newest Warning event of the pod.",
		Next:     "Run kubectl describe for the pod.",
	},
	CausedBy: slices.Concat(noSandbox, noVolume, pressureCodes),
	Check:    giving(PodNotStarting, checkPodNotStarting),
}

func checkPodNotStarting(c *Case) []finding.Finding {
	return c.podFindings(PodNotStarting, func(p *facts.Pod, t *report.PodProblem) finding.Finding {
		text := "pod " + name(p) + " does not start: " + t.Reason
		if t.Message != "" {
			text = "pod " + name(p) + " does not start (" + t.Reason + "): " + t.Message
		}
		f := c.found(text, podEvidence(p), c.describePod(p))
		f.Causes = causesOf(p.Wait)
		return f
	})
}

var podStuckTerminating = rule{
	Entry: finding.Entry{
		Code:     PodStuckTerminating,
		Severity: finding.Warning,
		Title:    "Pod is stuck terminating",
		Meaning:  "The pod was deleted and exceeded its termination grace period more than one minute ago.",
		Evidence: "Pod metadata.deletionTimestamp and metadata.finalizers.",
		Next:     "Find what blocks the deletion: a finalizer, a volume, or the container runtime.",
	},
	CausedBy: append([]finding.Code{CSIDriverPodNotReady, VolumeAttachmentError}, pressureCodes...),
	Check:    giving(PodStuckTerminating, checkPodStuckTerminating),
}

func checkPodStuckTerminating(c *Case) []finding.Finding {
	return c.podFindings(PodStuckTerminating, func(p *facts.Pod, t *report.PodProblem) finding.Finding {
		due := p.DeletionTimestamp.UTC().Format(time.RFC3339)
		f := c.found("pod "+name(p)+" "+t.Message, []finding.Evidence{
			{Source: "Pod " + name(p), Path: "metadata.deletionTimestamp", Value: due, Time: t.Since},
		}, c.describePod(p))
		if p.Finished() {
			f.Severity = finding.Info // its containers are gone: it takes nothing of the node, and what holds it is elsewhere
		}
		return f
	})
}

var podsEvicted = rule{
	Entry: finding.Entry{
		Code:     PodsEvicted,
		Severity: finding.Info,
		Title:    "Pods were evicted",
		Meaning:  "The kubelet evicted pods from the node; the failed pods are still listed.",
		Evidence: "Pods with status.reason Evicted.",
		Next:     "Read the message of one of the pods.",
	},
	CausedBy: pressureCodes,
	Check:    giving(PodsEvicted, checkPodsEvicted),
}

func checkPodsEvicted(c *Case) []finding.Finding {
	evicted := facts.Evicted(c.Pods)
	if evicted == 0 {
		return nil
	}
	return c.one(output.Plural(evicted, "pod")+" evicted from this node", nil, c.look("List the failed pods of the node", "",
		"get", "pods", "-A", "--field-selector", "spec.nodeName="+c.Object.Name+",status.phase=Failed"))
}

var daemonSetPodMissing = rule{
	Entry: finding.Entry{
		Code:     DaemonSetPodMissing,
		Severity: finding.Warning,
		Title:    "DaemonSet pod is missing on the node",
		Meaning:  "The node selector, affinity and tolerations of the DaemonSet match the node, but the DaemonSet has no pod on it.",
		Evidence: "DaemonSet pod template, node labels and taints, and the pods on the node.",
		Next:     "Run kubectl describe for the DaemonSet: a quota, admission or its controller can prevent the pod.",
	},
	CausedBy: append([]finding.Code{LeaderLeaseExpired}, pressureCodes...),
	Check:    giving(DaemonSetPodMissing, checkDaemonSetPodMissing),
}

func checkDaemonSetPodMissing(c *Case) []finding.Finding {
	var list []finding.Finding
	for _, d := range c.Missing {
		name := d.Namespace + "/" + d.Name
		counted := fmt.Sprintf("the controller counts %d of %d pods, including unscheduled ones",
			d.Status.CurrentNumberScheduled, d.Status.DesiredNumberScheduled)
		evidence := []finding.Evidence{{Source: "DaemonSet " + name, Path: "status", Value: counted}}
		message := "DaemonSet " + name + " has no pod on this node but should have one"
		pending := c.look("Check whether the pod was created and waits for free capacity on the node", d.Namespace,
			"get", "pods", "--field-selector=status.phase=Pending", "-o", "wide")
		events := c.look("If the pod was not created, read the events of the DaemonSet (quota, admission)", d.Namespace,
			"describe", "daemonset", d.Name)
		var f finding.Finding
		switch p, e := d.Unscheduled, d.Rejected; {
		case p != nil:
			s := podfact.Condition(p, corev1.PodScheduled)
			f = c.found(message+": pod "+p.Name+" cannot be scheduled: "+s.Message, append(evidence, finding.Evidence{
				Source: "Pod " + p.Namespace + "/" + p.Name, Path: "status.conditions[PodScheduled]", Value: s.Reason,
				Time: facts.Time(s.LastTransitionTime.Time),
			}), c.look("Read the events of the pod", p.Namespace, "describe", "pod", p.Name))
		case e != nil:
			f = c.found(message+": the API server rejects the pod: "+rejection(e.Message), append(evidence, finding.Evidence{
				Source: "Event " + e.Reason, Value: e.Message, Time: facts.Time(e.Last),
			}), c.look("Read the events of the DaemonSet", d.Namespace, "describe", "daemonset", d.Name))
		default:
			f = c.found(message, evidence, pending, events)
		}
		f.Object = &finding.ObjectRef{Kind: "DaemonSet", Namespace: d.Namespace, Name: d.Name}
		if c.ControlPlane.Leads(facts.ControllerManager) && c.ControlPlane.Leads(facts.Scheduler) {
			f.Causes = pressureCodes // the controllers of a cloud make no pods
		}
		list = append(list, f)
	}
	return list
}

// rejection is the reason of a rejection, without the name of the pod that was never created.
func rejection(text string) string {
	if _, reason, ok := admission.Forbidden(text); ok {
		return reason
	}
	return text
}

// causesOf narrows what may explain a pod that does not start: a volume is not missing for want of a network, and an image or
// a configuration for neither. nil: whatever the rule says.
func causesOf(wait *facts.Wait) []finding.Code {
	switch {
	case wait.Reason == "FailedMount", wait.Reason == "FailedAttachVolume":
		return slices.Concat(noVolume, pressureCodes)
	case wait.Reason == "FailedCreatePodSandBox", wait.Reason == "NetworkNotReady":
		return slices.Concat(noSandbox, pressureCodes)
	case wait.By == facts.WaitsSilently:
		return nil
	}
	return pressureCodes
}

// Problems are the pods with a problem, whichever rule reports them.
func (c *Case) Problems() []report.PodProblem {
	var list []report.PodProblem
	for _, p := range c.Pods {
		if t := c.podProblem(p); t != nil {
			list = append(list, *t)
		}
	}
	return list
}

// podFindings makes a finding of each pod whose problem has the code and that no other rule reports. A deletion that does not
// finish is reported here alone.
func (c *Case) podFindings(code finding.Code, of func(*facts.Pod, *report.PodProblem) finding.Finding) []finding.Finding {
	var list []finding.Finding
	for _, p := range c.Pods {
		if t := c.podProblem(p); t != nil && t.Code == code && (p.Stuck || p.Ordinary()) {
			list = append(list, about(of(p, t), p))
		}
	}
	return list
}

// podProblem puts the problem of a pod into words; nil: it has none.
func (c *Case) podProblem(p *facts.Pod) *report.PodProblem {
	if !p.Stuck && (p.Ends() || p.Crash == nil && p.Wait == nil) {
		return nil
	}
	t := &report.PodProblem{Namespace: p.Namespace, Name: p.Name, Restarts: p.Restarts}
	switch {
	case p.Stuck:
		t.Code, t.Reason, t.Since = PodStuckTerminating, "Terminating", facts.Time(p.DeletionTimestamp.Time)
		t.Message = "exceeded its grace period " + c.ago(p.DeletionTimestamp.Time) + " ago"
		switch len(p.Finalizers) {
		case 0:
		case 1:
			t.Message += "; finalizer " + p.Finalizers[0] + " is set"
		default:
			t.Message += "; finalizers " + strings.Join(p.Finalizers, ", ") + " are set"
		}
	case p.Crash != nil:
		t.Code, t.Reason, t.Message = PodCrashLooping, "crash loop", c.crashText(p.Crash)
		if p.Crash.End != nil {
			t.Since = facts.Time(p.Crash.End.FinishedAt.Time)
		}
	default:
		t.Code, t.Reason, t.Message, t.Since = PodNotStarting, c.waitText(p), p.Wait.Message, facts.Time(p.BoundAt())
	}
	return t
}

func (c *Case) waitText(p *facts.Pod) string {
	switch p.Wait.By {
	case facts.WaitsForKubelet:
		return "no status from the kubelet"
	case facts.WaitsSilently:
		return "ContainerCreating for " + c.ago(p.BoundAt())
	}
	return p.Wait.Reason
}

func (c *Case) crashText(crash *facts.Crash) string {
	text := fmt.Sprintf("container %q keeps exiting, %s", crash.Container, output.Plural(int(crash.Restarts), "restart"))
	end := crash.End
	if end == nil {
		return text
	}
	text += fmt.Sprintf(", last %s ago with exit code %d", c.ago(end.FinishedAt.Time), end.ExitCode)
	if end.Reason != "" && end.Reason != "Error" && end.Reason != "Completed" {
		text += " (" + end.Reason + ")"
	}
	return text
}

func name(p *facts.Pod) string { return p.Namespace + "/" + p.Name }

func podEvidence(p *facts.Pod) []finding.Evidence {
	evidence := []finding.Evidence{{
		Source: "Pod " + name(p), Path: "status.containerStatuses", Value: p.State + ", " + output.Plural(int(p.Restarts), "restart"),
	}}
	if e := p.Warning; e != nil {
		evidence = append(evidence, finding.Evidence{Source: "Event", Path: e.Reason, Value: e.Message, Time: facts.Time(e.Last)})
	}
	return evidence
}

func (c *Case) describePod(p *facts.Pod) finding.Next {
	return c.look("Check the containers, conditions and events of the pod", p.Namespace, "describe", "pod", p.Name)
}

// podNext looks into a pod: its log first, unless no container of it has ever run.
func (c *Case) podNext(p *facts.Pod) []finding.Next {
	if p.NeverRan() {
		return []finding.Next{c.describePod(p)}
	}
	args, why := []string{"logs", p.Name}, "Read the log of the pod"
	if p.Crash != nil {
		args = append(args, "-c", p.Crash.Container)
		if p.Crash.Restarts > 0 {
			args, why = append(args, "--previous"), "Read the log of the previous run"
		}
	}
	return []finding.Next{c.look(why, p.Namespace, append(args, "--tail=50")...), c.describePod(p)}
}
