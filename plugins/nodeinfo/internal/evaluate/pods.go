package evaluate

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	eventfact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/event"
	podfact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/pod"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/schedule"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/report"
)

// Patience with pods: a slow image and a clean shutdown are no trouble.
const (
	starting    = 2 * time.Minute
	terminating = time.Minute // beyond the end of the grace period
)

func (v *view) pods() {
	if !v.read(SourcePods) {
		return
	}
	out := &report.Pods{Phases: []report.PhaseCount{}}
	phases := map[string]int{}
	for _, p := range v.index.pods[v.node.Name] {
		out.Total++
		phases[podPhase(p)]++
		if !podfact.Finished(p) {
			out.Slots++
		}
		if p.Status.Reason == "Evicted" {
			out.Evicted++
		}
		out.Items = append(out.Items, v.podUse(p))
		if t := v.trouble(p); t != nil {
			out.Attention = append(out.Attention, *t)
		}
	}
	for phase, n := range phases {
		out.Phases = append(out.Phases, report.PhaseCount{Phase: phase, Count: n})
	}
	slices.SortFunc(out.Phases, func(a, b report.PhaseCount) int { return cmp.Compare(a.Phase, b.Phase) })
	if q, ok := schedule.Allocatable(v.node)[corev1.ResourcePods]; ok {
		out.MaxPods = ptr(q.Value())
	}
	v.out.Pods = out
	if out.Evicted > 0 {
		v.add(PodsEvicted, plural(out.Evicted, "pod")+" of this node were evicted", nil,
			finding.Next{Command: v.kubectl("", "get", "pods", "-A", "--field-selector", "spec.nodeName="+v.node.Name+",status.phase=Failed"), Why: "which, and why", Risk: finding.Read})
	}
	v.checkDaemonSets()
}

// podPhase is the phase, with deletion said: kubectl prints Terminating too.
func podPhase(p *corev1.Pod) string {
	if p.DeletionTimestamp != nil && !podfact.Finished(p) {
		return "Terminating"
	}
	if p.Status.Phase == "" {
		return "Unknown"
	}
	return string(p.Status.Phase)
}

func (v *view) podUse(p *corev1.Pod) report.PodUse {
	use := report.PodUse{Namespace: p.Namespace, Name: p.Name, Phase: podPhase(p)}
	if podfact.Finished(p) {
		return use
	}
	use.Requests, use.Limits = amounts(v.charges[p].requests), amounts(v.charges[p].limits)
	for _, c := range p.Status.Conditions {
		switch {
		case c.Type == corev1.PodResizePending && c.Status == corev1.ConditionTrue:
			use.Resize = c.Reason // Deferred or Infeasible
		case c.Type == corev1.PodResizeInProgress && c.Status == corev1.ConditionTrue && use.Resize == "":
			use.Resize = "InProgress"
		}
	}
	return use
}

func amounts(list corev1.ResourceList) map[string]*report.Amount {
	out := map[string]*report.Amount{}
	for name := range list {
		out[string(name)] = amount(name, list)
	}
	return out
}

// readySince is when Ready last changed, or when the pod was made.
func readySince(p *corev1.Pod) time.Time {
	if c := podfact.ReadyCondition(p); c != nil && !c.LastTransitionTime.IsZero() {
		return c.LastTransitionTime.Time
	}
	return p.CreationTimestamp.Time
}

// podState is kubectl's word for the pod, and whether one that runs is ready.
func podState(p *corev1.Pod) string {
	word := podfact.Status(p)
	if word == string(corev1.PodRunning) && !podfact.Ready(p) {
		word += ", not ready"
	}
	return word
}

func restartsOf(p *corev1.Pod) int64 {
	sum := int64(0)
	for _, s := range podfact.Containers(p) {
		sum += int64(s.RestartCount)
	}
	return sum
}

// crash is a container that keeps ending.
type crash struct {
	container string
	text      string
	restarts  int64
	last      time.Time
}

func (v *view) crashing(p *corev1.Pod) *crash {
	for _, s := range podfact.Containers(p) {
		if !podfact.Looping(p, &s, v.now) {
			continue
		}
		c := &crash{container: s.Name, restarts: int64(s.RestartCount), text: fmt.Sprintf("container %s keeps ending, %s", s.Name, plural(int(s.RestartCount), "restart"))}
		if end := podfact.End(&s); end != nil {
			c.last = end.FinishedAt.Time
			c.text += fmt.Sprintf(", last %s ago with exit code %d", v.ago(c.last), end.ExitCode)
			if end.Reason != "" && end.Reason != "Error" && end.Reason != "Completed" {
				c.text += " (" + end.Reason + ")"
			}
		}
		return c
	}
	return nil
}

// trouble judges one pod; pods of the node's components and of the control plane are judged as such.
func (v *view) trouble(p *corev1.Pod) *report.PodTrouble {
	if podfact.Finished(p) && p.DeletionTimestamp == nil {
		return nil
	}
	out := &report.PodTrouble{Namespace: p.Namespace, Name: p.Name, Restarts: restartsOf(p)}
	name := p.Namespace + "/" + p.Name
	if d := p.DeletionTimestamp; d != nil {
		if v.now.Sub(d.Time) < terminating {
			return nil
		}
		out.Code, out.Reason, out.Since = PodStuckTerminating, "Terminating", timeOf(d.Time)
		out.Message = "should have been gone " + v.ago(d.Time) + " ago"
		if len(p.Finalizers) > 0 {
			out.Message += "; held by finalizer " + strings.Join(p.Finalizers, ", ")
		}
		f := v.add(PodStuckTerminating, "pod "+name+" "+out.Message,
			[]finding.Evidence{{Source: "Pod " + name, Path: "metadata.deletionTimestamp", Value: d.UTC().Format(time.RFC3339), Time: timeOf(d.Time)}}, v.describePod(p))
		about(f, p)
		if podfact.Finished(p) {
			f.Severity = finding.Info // its containers are gone: it takes nothing of the node, and what holds it is elsewhere
		}
		return out
	}
	if c := v.crashing(p); c != nil {
		out.Code, out.Reason, out.Message, out.Since = PodCrashLooping, "crash loop", c.text, timeOf(c.last)
		if !judgedElsewhere(p) {
			about(v.add(PodCrashLooping, "pod "+name+": "+c.text, v.podEvidence(p), v.podNext(p, c)...), p)
		}
		return out
	}
	reason, message := v.notStarting(p)
	if reason == "" {
		return nil
	}
	out.Code, out.Reason, out.Message, out.Since = PodNotStarting, reason, message, timeOf(boundAt(p))
	if !judgedElsewhere(p) {
		text := "pod " + name + " does not start: " + reason
		if message != "" {
			text += ": " + message
		}
		about(v.add(PodNotStarting, text, v.podEvidence(p), v.describePod(p)), p)
		switch reason {
		case "FailedMount", "FailedAttachVolume":
			v.explainedOnlyBy(slices.Concat(noVolume, starved))
		case "FailedCreatePodSandBox", "NetworkNotReady":
			v.explainedOnlyBy(slices.Concat(noSandbox, starved))
		default:
			if !strings.HasPrefix(reason, "ContainerCreating") { // an image, a configuration
				v.explainedOnlyBy(starved)
			}
		}
	}
	return out
}

// What keeps the pods of a node from getting a network or a volume.
var (
	noSandbox = []finding.Code{NetworkPodNotReady, PodIPsExhausted}
	noVolume  = []finding.Code{StorageDriverNotReady, VolumeLimit, VolumeAttachError}
)

func judgedElsewhere(p *corev1.Pod) bool {
	k := recognisePod(p)
	return k != nil && k.kind != kindDNSCache || controlPlaneName(p) != ""
}

func boundAt(p *corev1.Pod) time.Time {
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionTrue && !c.LastTransitionTime.IsZero() {
			return c.LastTransitionTime.Time
		}
	}
	return p.CreationTimestamp.Time
}

// failedStart says whether the last try to start a container of the pod failed. That is no question of patience.
func failedStart(p *corev1.Pod) bool {
	return slices.ContainsFunc(podfact.Containers(p), func(s corev1.ContainerStatus) bool { return podfact.Waiting(&s).Failed() })
}

// notStarting gives why a bound pod does not start: at once where a start failed, else after two minutes.
func (v *view) notStarting(p *corev1.Pod) (reason, message string) {
	young := v.now.Sub(boundAt(p)) < starting
	for _, s := range podfact.Containers(p) {
		if stage := podfact.Waiting(&s); stage.Failed() || !young && stage != podfact.NotWaiting && stage != podfact.Coming {
			return s.State.Waiting.Reason, s.State.Waiting.Message
		}
	}
	if young {
		return "", ""
	}
	if p.Status.Phase != corev1.PodPending {
		return "", ""
	}
	for _, s := range p.Status.InitContainerStatuses {
		if s.State.Running != nil {
			return "", "" // an init container at work may take its time
		}
	}
	if e := v.lastPodWarning(p); e != nil {
		return e.Reason, e.Message
	}
	if len(podfact.Containers(p)) == 0 {
		return "the kubelet has not taken it up", ""
	}
	return "ContainerCreating for " + v.ago(boundAt(p)), ""
}

// lastPodWarning is the newest since the pod was bound to the node.
func (v *view) lastPodWarning(p *corev1.Pod) *eventfact.Event {
	for _, e := range v.index.podEvents[string(p.UID)] {
		if e.Warning() && !e.Last.Before(boundAt(p)) && e.Reason != "FailedScheduling" { // the scheduler's, and over
			return &e
		}
	}
	return nil
}

func (v *view) podEvidence(p *corev1.Pod) []finding.Evidence {
	evidence := []finding.Evidence{{Source: "Pod " + p.Namespace + "/" + p.Name, Path: "status.containerStatuses", Value: fmt.Sprintf("%s, %s", podState(p), plural(int(restartsOf(p)), "restart"))}}
	if e := v.lastPodWarning(p); e != nil {
		evidence = append(evidence, finding.Evidence{Source: "Event", Path: e.Reason, Value: e.Message, Time: timeOf(e.Last)})
	}
	return evidence
}

func (v *view) describePod(p *corev1.Pod) finding.Next {
	return finding.Next{Command: v.kubectl(p.Namespace, "describe", "pod", p.Name), Why: "its containers, conditions and events", Risk: finding.Read}
}

// podNext looks into a pod: its log first, unless no container of it has ever run.
func (v *view) podNext(p *corev1.Pod, c *crash) []finding.Next {
	list := podfact.Containers(p)
	silent := !slices.ContainsFunc(list, func(s corev1.ContainerStatus) bool {
		return s.State.Waiting == nil || s.RestartCount > 0 || s.LastTerminationState.Terminated != nil
	})
	if len(list) > 0 && silent {
		return []finding.Next{v.describePod(p)}
	}
	return []finding.Next{v.logsNext(p, c), v.describePod(p)}
}

func (v *view) logsNext(p *corev1.Pod, c *crash) finding.Next {
	args := []string{"logs", p.Name}
	why := "what it says"
	if c != nil {
		args = append(args, "-c", c.container)
		if c.restarts > 0 {
			args, why = append(args, "--previous"), "what it said before it ended"
		}
	}
	return finding.Next{Command: v.kubectl(p.Namespace, append(args, "--tail=50")...), Why: why, Risk: finding.Read}
}

// checkDaemonSets names DaemonSets whose pod should be here and is not.
func (v *view) checkDaemonSets() {
	if !v.read(SourceDaemonSets) || v.now.Sub(v.node.CreationTimestamp.Time) < starting || v.node.DeletionTimestamp != nil {
		return
	}
	here := map[string]bool{}
	for _, p := range v.index.pods[v.node.Name] {
		for _, o := range p.OwnerReferences {
			here[string(o.UID)] = here[string(o.UID)] || !podfact.Finished(p)
		}
	}
	for _, d := range v.index.daemonSets {
		settled := d.Status.ObservedGeneration == d.Generation && v.now.Sub(d.CreationTimestamp.Time) > starting && d.DeletionTimestamp == nil
		if here[string(d.UID)] || !settled {
			continue
		}
		if _, fits := schedule.DaemonFits(&d.Spec.Template.Spec, v.node); !fits {
			continue
		}
		name := d.Namespace + "/" + d.Name
		f := v.add(DaemonSetPodMissing, "DaemonSet "+name+" has no pod on this node, and should",
			[]finding.Evidence{{Source: "DaemonSet " + name, Path: "status", Value: fmt.Sprintf("its controller counts %d of %d pods, unscheduled ones included", d.Status.CurrentNumberScheduled, d.Status.DesiredNumberScheduled)}},
			finding.Next{Command: v.kubectl(d.Namespace, "get", "pods", "--field-selector=status.phase=Pending", "-o", "wide"), Why: "whether its pod was made and waits for room here", Risk: finding.Read},
			finding.Next{Command: v.kubectl(d.Namespace, "describe", "daemonset", d.Name), Why: "if it was not made, its events say what stops it: quota, admission", Risk: finding.Read})
		f.Object = &finding.ObjectRef{Kind: "DaemonSet", Namespace: d.Namespace, Name: d.Name}
	}
}
