package workload

import (
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/admission"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/device"
	podfact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/pod"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/output"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/facts"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/rules/machine"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/rules/subject"
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
	CausedBy: machine.PressureBut(machine.NetworkPluginNotReady), // running containers keep their network
	Check:    checkPodCrashLooping,
}

func checkPodCrashLooping(c *subject.Case) []finding.Finding {
	return podFindings(c, PodCrashLooping, func(pods []*facts.Pod, t *report.PodProblem) finding.Finding {
		p := pods[0]
		if len(pods) > 1 {
			return c.Found(fmt.Sprintf("%s of one controller: %s in %s", output.Plural(len(pods), "pod"), t.Message, named(pods)),
				subject.PodEvidence(p), c.PodNext(p)...)
		}
		return c.Found("pod "+subject.Name(p)+": "+t.Message, subject.PodEvidence(p), c.PodNext(p)...)
	})
}

var podNotStarting = rule{
	Entry: finding.Entry{
		Code:     PodNotStarting,
		Severity: finding.Warning,
		Title:    "Pod is not starting",
		Meaning: "The pod was bound to the node more than two minutes ago, but a container does not start; a failed start and a mount that " +
			"refers to something missing are reported at once. Pods with the same cause are one finding.",
		Evidence: "Waiting reason of the container, or the newest Warning event of the pod.",
		Next:     "Run kubectl describe for the pod.",
	},
	CausedBy: slices.Concat(noSandbox, noVolume, machine.PressureCodes),
	Check:    checkPodNotStarting,
}

func checkPodNotStarting(c *subject.Case) []finding.Finding {
	return podFindings(c, PodNotStarting, func(pods []*facts.Pod, t *report.PodProblem) finding.Finding {
		p := pods[0]
		text, why, where := "pod "+subject.Name(p)+" does not start", t.Message, ""
		if len(pods) > 1 {
			text, why, where = output.Plural(len(pods), "pod")+" do not start", p.Wait.Cause, " ("+named(pods)+")"
		}
		if why != "" {
			text += " (" + t.Reason + "): " + why
		} else {
			text += ": " + t.Reason
		}
		f := c.Found(text+where, subject.PodEvidence(p), c.DescribePod(p))
		if f.Causes = causesOf(p.Wait); f.Causes != nil {
			f.Causes = append(f.Causes, sameCause(c, p)...)
		}
		if claims := claimCauses(c, pods); claims != nil {
			f.Causes = slices.Concat(claims, f.Causes, machine.PressureCodes)
		}
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
	CausedBy: append([]finding.Code{CSIDriverPodNotReady, CSIDriverNotRegistered, VolumeAttachmentError}, machine.PressureCodes...),
	Check:    checkPodStuckTerminating,
}

func checkPodStuckTerminating(c *subject.Case) []finding.Finding {
	return podFindings(c, PodStuckTerminating, func(pods []*facts.Pod, t *report.PodProblem) finding.Finding {
		p := pods[0]
		due := p.DeletionTimestamp.UTC().Format(time.RFC3339)
		what := "pod " + subject.Name(p)
		if len(pods) > 1 {
			what = output.Plural(len(pods), "pod") + " (" + named(pods) + ")"
		}
		f := c.Found(what+" "+t.Message, []finding.Evidence{
			{Source: "Pod " + subject.Name(p), Path: "metadata.deletionTimestamp", Value: due, Time: t.Since},
		}, c.DescribePod(p))
		if !slices.ContainsFunc(pods, func(p *facts.Pod) bool { return len(p.Finalizers) > 0 || !isUndriven(c, p) }) {
			// The kubelet ends a pod only after its devices are unprepared:
			// https://github.com/kubernetes/kubernetes/blob/v1.37.2/pkg/kubelet/kubelet.go (SyncTerminatingPod)
			f.Causes = slices.Concat([]finding.Code{DeviceDriverNotPublishing}, machine.PressureCodes)
		}
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
	CausedBy: machine.PressureCodes,
	Check:    checkPodsEvicted,
}

func checkPodsEvicted(c *subject.Case) []finding.Finding {
	evicted := facts.Evicted(c.Pods)
	if evicted == 0 {
		return nil
	}
	return c.One(output.Plural(evicted, "pod")+" evicted from this node", nil, c.Look("List the failed pods of the node", "",
		"get", "pods", "-A", "--field-selector", "spec.nodeName="+c.Object.Name+",status.phase=Failed"))
}

var daemonSetPodMissing = rule{
	Entry: finding.Entry{
		Code:     DaemonSetPodMissing,
		Severity: finding.Warning,
		Title:    "DaemonSet pod is missing on the node",
		Meaning: "The node selector, affinity and tolerations of the DaemonSet match the node, but the DaemonSet has no pod on it; or the node " +
			"lost a label of the node selector that it should have (one that every kubelet sets, or any label for kube-proxy).",
		Evidence: "DaemonSet pod template, node labels and taints, and the pods on the node.",
		Next:     "Run kubectl describe for the DaemonSet: a quota, admission or its controller can prevent the pod.",
	},
	CausedBy: append([]finding.Code{machine.LeaderLeaseExpired}, machine.PressureCodes...),
	Check:    checkDaemonSetPodMissing,
}

func checkDaemonSetPodMissing(c *subject.Case) []finding.Finding {
	var list []finding.Finding
	for _, d := range c.Missing {
		name := d.Namespace + "/" + d.Name
		counted := fmt.Sprintf("the controller counts %d of %d pods, including unscheduled ones",
			d.Status.CurrentNumberScheduled, d.Status.DesiredNumberScheduled)
		evidence := []finding.Evidence{{Source: "DaemonSet " + name, Path: "status", Value: counted}}
		message := "DaemonSet " + name + " has no pod on this node but should have one"
		pending := c.Look("Check whether the pod was created and waits for free capacity on the node", d.Namespace,
			"get", "pods", "--field-selector=status.phase=Pending", "-o", "wide")
		events := c.Look("If the pod was not created, read the events of the DaemonSet (quota, admission)", d.Namespace,
			"describe", "daemonset", d.Name)
		var f finding.Finding
		switch p, e := d.Unscheduled, d.Rejected; {
		case d.Lacks != nil:
			lacks := strings.Join(d.Lacks, ", ")
			evidence = append(evidence, finding.Evidence{
				Source: "DaemonSet " + name, Path: "spec.template.spec.nodeSelector", Value: lacks,
			})
			f = c.Found("DaemonSet "+name+" has no pod on this node: the node lacks the label "+lacks+" of its node selector", evidence,
				c.Look("Show the labels of the node", "", "get", "node", c.Object.Name, "--show-labels"),
				c.Change("Set the label again, unless the node is to run without this pod",
					append([]string{"label", "node", c.Object.Name}, d.Lacks...)...))
		case p != nil:
			s := podfact.Condition(p, corev1.PodScheduled)
			f = c.Found(message+": pod "+p.Name+" cannot be scheduled: "+s.Message, append(evidence, finding.Evidence{
				Source: "Pod " + p.Namespace + "/" + p.Name, Path: "status.conditions[PodScheduled]", Value: s.Reason,
				Time: facts.Time(s.LastTransitionTime.Time),
			}), c.Look("Read the events of the pod", p.Namespace, "describe", "pod", p.Name))
		case e != nil:
			f = c.Found(message+": the API server rejects the pod: "+rejection(e.Message), append(evidence, finding.Evidence{
				Source: "Event " + e.Reason, Value: e.Message, Time: facts.Time(e.Last),
			}), c.Look("Read the events of the DaemonSet", d.Namespace, "describe", "daemonset", d.Name))
		default:
			f = c.Found(message, evidence, pending, events)
		}
		f.Object = &finding.ObjectRef{Kind: "DaemonSet", Namespace: d.Namespace, Name: d.Name}
		if c.ControlPlane.Leads(facts.ControllerManager) && c.ControlPlane.Leads(facts.Scheduler) {
			f.Causes = machine.PressureCodes // the controllers of a cloud make no pods
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
		return slices.Concat(noVolume, machine.PressureCodes)
	case wait.Reason == "FailedCreatePodSandBox", wait.Reason == "NetworkNotReady":
		return slices.Concat(noSandbox, machine.PressureCodes)
	case wait.By == facts.WaitsSilently:
		return nil
	}
	return machine.PressureCodes
}

// Problems are the pods with a problem, whichever rule reports them.
func Problems(c *subject.Case) []report.PodProblem {
	var list []report.PodProblem
	for _, p := range c.Pods {
		if t := podProblem(c, p); t != nil {
			list = append(list, *t)
		}
	}
	return list
}

// podFindings makes one finding of the pods whose problem has the code and the same cause, and that no other rule reports. A
// deletion that does not finish is reported here alone.
func podFindings(c *subject.Case, code finding.Code, of func([]*facts.Pod, *report.PodProblem) finding.Finding) []finding.Finding {
	var groups [][]*facts.Pod
	at := map[string]int{}
	for _, p := range c.Pods {
		if t := podProblem(c, p); t == nil || t.Code != code || !p.Stuck && !p.Ordinary() {
			continue
		}
		key := cause(p)
		if i, known := at[key]; known && key != "" {
			groups[i] = append(groups[i], p)
			continue
		}
		at[key] = len(groups)
		groups = append(groups, []*facts.Pod{p})
	}
	var list []finding.Finding
	for _, pods := range groups {
		f := subject.About(of(pods, podProblem(c, pods[0])), pods[0])
		f.Began = began(pods)
		for _, p := range pods[1:] {
			f.Covers = append(f.Covers, finding.ObjectRef{Kind: "Pod", Namespace: p.Namespace, Name: p.Name})
		}
		if len(pods) > 1 {
			f.Evidence = append(f.Evidence, finding.Evidence{
				Source: "Pods on the node",
				Value:  fmt.Sprintf("%d with this cause: %s", len(pods), named(pods)),
			})
		}
		list = append(list, f)
	}
	return list
}

// began is when the trouble of the first of some pods began, where their status tells: a container that waits after it has run may
// have run until just now.
func began(pods []*facts.Pod) time.Time {
	var first time.Time
	for _, p := range pods {
		var at time.Time
		logged, _ := podfact.Logged(p.Pod)
		switch {
		case p.Stuck:
			at = p.DeletionTimestamp.Time
		case p.Crash != nil:
			at = p.Crash.Began
		case len(logged) == 0:
			at = p.BoundAt()
		}
		if at.IsZero() {
			return at
		}
		if first.IsZero() || at.Before(first) {
			first = at
		}
	}
	return first
}

// cause is equal for pods whose problem has the same cause; empty: it has none that is known.
func cause(p *facts.Pod) string {
	switch {
	case p.Stuck:
		if len(p.Finalizers) == 0 {
			return ""
		}
		return fmt.Sprint("finalizers ", p.Finalizers, p.Finished())
	case p.Crash != nil:
		owner := metav1.GetControllerOf(p.Pod)
		if owner == nil || p.Crash.End == nil {
			return ""
		}
		return fmt.Sprint("crash ", owner.UID, p.Crash.Container, p.Crash.End.ExitCode)
	case p.Wait != nil && p.Wait.Cause != "":
		return "wait " + strings.ReplaceAll(p.Wait.Cause, p.Name, "POD")
	}
	return ""
}

// sameCause are the codes of the node's components that do not start for the same cause as a pod.
func sameCause(c *subject.Case, p *facts.Pod) []finding.Code {
	var list []finding.Code
	for _, parts := range []struct {
		code finding.Code
		list []facts.Component
	}{
		{machine.ControlPlaneComponentNotReady, c.ControlPlane.StaticPods},
		{NetworkPluginPodNotReady, c.Components.Network},
		{KubeProxyNotReady, c.Components.Proxies},
		{CSIDriverPodNotReady, c.Components.Storage},
	} {
		if slices.ContainsFunc(parts.list, func(o facts.Component) bool {
			return o.Pod != nil && o.Pod.FailedStart() && cause(o.Pod) == cause(p)
		}) {
			list = append(list, parts.code)
		}
	}
	return list
}

// named lists the names of at most three pods and counts the others.
func named(pods []*facts.Pod) string {
	var names []string
	for i, p := range pods {
		if i == 3 {
			return strings.Join(names, ", ") + fmt.Sprintf(" and %d more", len(pods)-i)
		}
		names = append(names, subject.Name(p))
	}
	return strings.Join(names, ", ")
}

// waitCause is why a pod waits, with the image that a pull failed for.
func waitCause(w *facts.Wait) string {
	if w.Image != "" && w.Cause != "" && !strings.Contains(w.Cause, w.Image) && !strings.HasPrefix(w.Cause, "Back-off pulling") {
		return "image " + w.Image + ": " + w.Cause
	}
	return w.Cause
}

// podProblem puts the problem of a pod into words; nil: it has none.
func podProblem(c *subject.Case, p *facts.Pod) *report.PodProblem {
	var unhealthy *device.Trouble
	if p.Crash == nil && p.Wait == nil && !p.Ends() {
		unhealthy = unhealthyDevice(p)
	}
	if !p.Stuck && (p.Ends() || p.Crash == nil && p.Wait == nil && unhealthy == nil) {
		return nil
	}
	t := &report.PodProblem{Namespace: p.Namespace, Name: p.Name, Restarts: p.Restarts}
	switch {
	case p.Stuck:
		t.Code, t.Reason, t.Since = PodStuckTerminating, "Terminating", facts.Time(p.DeletionTimestamp.Time)
		t.Message = "exceeded its grace period " + c.Ago(p.DeletionTimestamp.Time) + " ago"
		switch len(p.Finalizers) {
		case 0:
		case 1:
			t.Message += "; finalizer " + p.Finalizers[0] + " is set"
		default:
			t.Message += "; finalizers " + strings.Join(p.Finalizers, ", ") + " are set"
		}
	case p.Crash != nil:
		t.Code, t.Reason, t.Message = PodCrashLooping, "crash loop", c.CrashText(p.Crash)
		if p.Crash.End != nil {
			t.Since = facts.Time(p.Crash.End.FinishedAt.Time)
		}
	case unhealthy != nil:
		t.Code, t.Reason = DeviceUnhealthy, "unhealthy device"
		t.Message = fmt.Sprintf("%s of %s (container %s)", unhealthy.ID, unhealthy.Resource, unhealthy.Container)
	default:
		t.Code, t.Reason, t.Message, t.Since = PodNotStarting, waitText(c, p), waitCause(p.Wait), facts.Time(p.BoundAt())
	}
	return t
}

func waitText(c *subject.Case, p *facts.Pod) string {
	switch p.Wait.By {
	case facts.WaitsForKubelet:
		return "no status from the kubelet"
	case facts.WaitsSilently:
		return "ContainerCreating for " + c.Ago(p.BoundAt())
	}
	return p.Wait.Reason
}
