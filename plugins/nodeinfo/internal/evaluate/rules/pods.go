package rules

import (
	"fmt"
	"slices"
	"strings"
	"time"

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
		Meaning:  "A container ended and was restarted repeatedly, the last time within the last ten minutes.",
		Evidence: "restartCount, lastState and state of the container together: the waiting reason " + podfact.CrashLoopBackOff + " can be absent.",
		Next:     "Read the log of the previous run.",
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
		Meaning:  "The pod was bound to this node more than two minutes ago and a container does not start.",
		Evidence: "The waiting reason and the pod's events.",
		Next:     "Describe the pod.",
	},
	CausedBy: slices.Concat(noSandbox, noVolume, pressureCodes),
	Check:    giving(PodNotStarting, checkPodNotStarting),
}

func checkPodNotStarting(c *Case) []finding.Finding {
	return c.podFindings(PodNotStarting, func(p *facts.Pod, t *report.PodProblem) finding.Finding {
		text := "pod " + name(p) + " does not start: " + t.Reason
		if t.Message != "" {
			text += ": " + t.Message
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
		Meaning:  "Its deletion passed its grace period more than a minute ago.",
		Evidence: "deletionTimestamp and finalizers.",
		Next:     "See what holds it: finalizers, a volume, or the runtime.",
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
		Meaning:  "The kubelet evicted pods of this node; their remains are still listed.",
		Evidence: "Failed pods with reason Evicted.",
		Next:     "Read why in one of them.",
	},
	CausedBy: pressureCodes,
	Check:    giving(PodsEvicted, checkPodsEvicted),
}

func checkPodsEvicted(c *Case) []finding.Finding {
	evicted := facts.Evicted(c.Pods)
	if evicted == 0 {
		return nil
	}
	return c.one(output.Plural(evicted, "pod")+" of this node were evicted", nil, c.look("which, and why", "",
		"get", "pods", "-A", "--field-selector", "spec.nodeName="+c.Object.Name+",status.phase=Failed"))
}

var daemonSetPodMissing = rule{
	Entry: finding.Entry{
		Code:     DaemonSetPodMissing,
		Severity: finding.Warning,
		Title:    "DaemonSet pod is missing on the node",
		Meaning:  "The DaemonSet's node selector, affinity and tolerations fit this node, and it has no pod on it.",
		Evidence: "DaemonSet, node labels and taints, pods on the node.",
		Next:     "Describe the DaemonSet: quota, admission or its controller stop it.",
	},
	CausedBy: append([]finding.Code{LeaderLeaseExpired}, pressureCodes...),
	Check:    giving(DaemonSetPodMissing, checkDaemonSetPodMissing),
}

func checkDaemonSetPodMissing(c *Case) []finding.Finding {
	var list []finding.Finding
	for _, d := range c.Missing {
		name := d.Namespace + "/" + d.Name
		counted := fmt.Sprintf("its controller counts %d of %d pods, unscheduled ones included",
			d.Status.CurrentNumberScheduled, d.Status.DesiredNumberScheduled)
		f := c.found("DaemonSet "+name+" has no pod on this node, and should",
			[]finding.Evidence{{Source: "DaemonSet " + name, Path: "status", Value: counted}},
			c.look("whether its pod was made and waits for room here", d.Namespace,
				"get", "pods", "--field-selector=status.phase=Pending", "-o", "wide"),
			c.look("if it was not made, its events say what stops it: quota, admission", d.Namespace, "describe", "daemonset", d.Name))
		f.Object = &finding.ObjectRef{Kind: "DaemonSet", Namespace: d.Namespace, Name: d.Name}
		if c.ControlPlane.Leads(facts.ControllerManager) && c.ControlPlane.Leads(facts.Scheduler) {
			f.Causes = pressureCodes // the controllers of a cloud make no pods
		}
		list = append(list, f)
	}
	return list
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

// Attention are the pods in trouble, whoever judges them.
func (c *Case) Problems() []report.PodProblem {
	var list []report.PodProblem
	for _, p := range c.Pods {
		if t := c.podProblem(p); t != nil {
			list = append(list, *t)
		}
	}
	return list
}

// troubled makes a finding of each pod whose trouble has the code, and that nobody else judges. A deletion that does not end
// is nobody else's.
func (c *Case) podFindings(code finding.Code, of func(*facts.Pod, *report.PodProblem) finding.Finding) []finding.Finding {
	var list []finding.Finding
	for _, p := range c.Pods {
		if t := c.podProblem(p); t != nil && t.Code == code && (p.Stuck || p.Ordinary()) {
			list = append(list, about(of(p, t), p))
		}
	}
	return list
}

// trouble puts a pod's trouble into words; nil: it has none.
func (c *Case) podProblem(p *facts.Pod) *report.PodProblem {
	if !p.Stuck && (p.Ends() || p.Crash == nil && p.Wait == nil) {
		return nil
	}
	t := &report.PodProblem{Namespace: p.Namespace, Name: p.Name, Restarts: p.Restarts}
	switch {
	case p.Stuck:
		t.Code, t.Reason, t.Since = PodStuckTerminating, "Terminating", facts.Time(p.DeletionTimestamp.Time)
		t.Message = "should have been gone " + c.ago(p.DeletionTimestamp.Time) + " ago"
		if len(p.Finalizers) > 0 {
			t.Message += "; held by finalizer " + strings.Join(p.Finalizers, ", ")
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
		return "the kubelet has not taken it up"
	case facts.WaitsSilently:
		return "ContainerCreating for " + c.ago(p.BoundAt())
	}
	return p.Wait.Reason
}

func (c *Case) crashText(crash *facts.Crash) string {
	text := fmt.Sprintf("container %s keeps ending, %s", crash.Container, output.Plural(int(crash.Restarts), "restart"))
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
	return c.look("its containers, conditions and events", p.Namespace, "describe", "pod", p.Name)
}

// podNext looks into a pod: its log first, unless no container of it has ever run.
func (c *Case) podNext(p *facts.Pod) []finding.Next {
	if p.NeverRan() {
		return []finding.Next{c.describePod(p)}
	}
	args, why := []string{"logs", p.Name}, "what it says"
	if p.Crash != nil {
		args = append(args, "-c", p.Crash.Container)
		if p.Crash.Restarts > 0 {
			args, why = append(args, "--previous"), "what it said before it ended"
		}
	}
	return []finding.Next{c.look(why, p.Namespace, append(args, "--tail=50")...), c.describePod(p)}
}
