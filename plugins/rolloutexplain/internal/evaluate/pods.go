package evaluate

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"

	eventfact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/event"
	nodefact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/node"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/mask"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/source"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/codes"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/model"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/plain"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/report"
)

// diagnose finds why a pod is not available; nil when nothing is wrong or it only needs time that nobody can name.
func diagnose(e *model.Evaluation, w *model.Workload, p *model.Pod) *model.Cause {
	switch {
	case p.Terminating:
		return ending(e, w, p)
	case p.Dead:
		return deadPod(e, w, p)
	case p.Spec.NodeName == "":
		return unscheduled(e, w, p)
	}
	if c := containerCause(e, w, p); c != nil {
		return c
	}
	if p.Available {
		return nil
	}
	if c := nodeCause(e, w, p); c != nil {
		return c
	}
	if c := notStarted(e, w, p); c != nil {
		return c
	}
	return notReady(e, w, p)
}

// needNormal asks, for a table of many, which has read only warnings, for events of one normal reason: of the namespace.
func needNormal(e *model.Evaluation, p *model.Pod, reason string) {
	if e.Opts.Wide {
		e.Asks.Have(model.Need{Kind: model.NeedEvents, Namespace: p.Namespace, Name: reason})
	}
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
		c := e.Cause(p, model.StageRun, codes.Evicted, report.Likely, "the kubelet evicted it: %s", plain.OneLine(p.Status.Message))
		c.Key, c.Attempts = plain.FirstWords(p.Status.Message, 8), 0
		return c.Since(when).By(plain.Evidence("Pod "+p.Name, "status.message", p.Status.Message, when)).Then(describe,
			e.NextCluster(finding.Read, "pressure on that node", "describe", "node", p.Spec.NodeName))
	case reason != "" && reason != "NodeShutdown" && reason != "Terminated" && len(p.Status.ContainerStatuses) == 0,
		strings.HasPrefix(p.Status.Message, "Pod was rejected"):
		c := e.Cause(p, model.StageNode, codes.PodRejected, report.Likely, "the kubelet of node %s rejects it (%s): %s", p.Spec.NodeName, reason, plain.OneLine(p.Status.Message))
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
	if d := model.Condition(p.Pod, corev1.DisruptionTarget); d != nil && d.Status == corev1.ConditionTrue {
		c := e.Cause(p, model.StageRun, codes.PodDisrupted, report.Transient, "it was removed from outside (%s): %s", d.Reason, plain.OneLine(d.Message))
		c.Key = d.Reason
		return c.Since(d.LastTransitionTime.Time).By(plain.Evidence("Pod "+p.Name, "status.conditions[DisruptionTarget]", d.Reason, d.LastTransitionTime.Time)).Then(describe)
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

// nodeCause: a pod on a node that does not report says nothing about the application.
func nodeCause(e *model.Evaluation, w *model.Workload, p *model.Pod) *model.Cause {
	askNode(e, p.Spec.NodeName)
	if e.Node(p.Spec.NodeName) == nil {
		return nodeAbsent(e, w, p)
	}
	t := troubleOf(e, p.Spec.NodeName)
	if t == nil {
		return nil
	}
	found := e.Cause(p, model.StageNode, codes.NodeNotReady, report.Transient, "its node %s %s%s", p.Spec.NodeName, t.text, t.detail)
	return found.WithKey(p.Spec.NodeName).Since(t.since).By(t.evidence).Then(e.NextCluster(finding.Read, "why the node is not ready", "nodeinfo", p.Spec.NodeName))
}

// nodeTrouble is why a node cannot be relied on.
type nodeTrouble struct {
	text     string // "is not ready (KubeletNotReady)"
	detail   string // what the kubelet says: ": container runtime is down"
	evidence finding.Evidence
	since    time.Time
}

// troubleOf gives nil for a node that is not known, or well. Only with its lease is a dead node known whose Ready nobody
// has taken back; a table of many goes by Ready alone, because a lease for each node is too much to ask.
func troubleOf(e *model.Evaluation, name string) *nodeTrouble {
	askNode(e, name)
	n := e.Node(name)
	if n == nil {
		return nil
	}
	r := nodefact.ReadinessOf(n, nodeLease(e, name), e.Now, nodefact.Patience)
	c := r.Condition
	switch {
	case c == nil, r.State == nodefact.Ready:
		return nil
	case r.State == nodefact.Silent && c.Status != corev1.ConditionUnknown:
		quiet := plain.Age(r.Heartbeat.Age)
		return &nodeTrouble{
			text:     fmt.Sprintf("has not reported for %s, and its Ready is still %s", quiet, c.Status),
			evidence: plain.Evidence("Lease "+corev1.NamespaceNodeLease+"/"+name, "spec.renewTime", "renewed "+quiet+" ago", r.Heartbeat.Received),
			since:    r.Heartbeat.Received,
		}
	}
	return &nodeTrouble{
		text: fmt.Sprintf("is not ready (%s)", c.Reason), detail: ": " + plain.OneLine(c.Message), since: c.LastTransitionTime.Time,
		evidence: plain.Evidence("Node "+name, "status.conditions[Ready]", string(c.Status)+" "+c.Reason, c.LastTransitionTime.Time),
	}
}

// nodeLease is the heartbeat of a node, nil where it is not known.
func nodeLease(e *model.Evaluation, name string) *coordinationv1.Lease {
	if e.Opts.Wide || !e.Asks.Have(model.Need{Kind: model.NeedLease, Namespace: corev1.NamespaceNodeLease, Name: name}) {
		return nil
	}
	for i := range e.In.Leases {
		if l := &e.In.Leases[i]; l.Namespace == corev1.NamespaceNodeLease && l.Name == name {
			return l
		}
	}
	return nil
}

// nodeAbsent: a pod that is bound to a node that does not exist, as by a slip in the template's nodeName. Such pods are
// removed within a minute and made again, so that none of them ever looks old.
func nodeAbsent(e *model.Evaluation, w *model.Workload, p *model.Pod) *model.Cause {
	state := e.In.Sources.Get("nodes").State
	read := e.Asks.Made(model.Need{Kind: model.NeedNode, Name: p.Spec.NodeName}) || e.Asks.Made(model.Need{Kind: model.NeedNodes})
	if !read || state != source.OK && state != source.Absent {
		return nil
	}
	c := e.Cause(p, model.StageNode, codes.NodeNotReady, report.Transient, "it is bound to node %s, which does not exist", p.Spec.NodeName).WithKey(p.Spec.NodeName).Since(p.CreationTimestamp.Time).
		By(plain.Evidence("Pod "+p.Name, "spec.nodeName", p.Spec.NodeName, p.CreationTimestamp.Time))
	if w.Template != nil && w.Template.Spec.NodeName == p.Spec.NodeName {
		c.Class, c.Severity, c.Heals = report.Likely, finding.Critical, "no"
		c.Message += "; the template sets nodeName, which goes past the scheduler"
	}
	return c.Then(e.NextCluster(finding.Read, "the nodes that there are", "get", "nodes"))
}

// notStarted explains a scheduled pod of which no container has run yet.
func notStarted(e *model.Evaluation, w *model.Workload, p *model.Pod) *model.Cause {
	if c := hookPending(e, w, p); c != nil {
		return c
	}
	for _, s := range append(slices.Clone(p.Status.InitContainerStatuses), p.Status.ContainerStatuses...) {
		if s.State.Running != nil || s.State.Terminated != nil || s.LastTerminationState.Terminated != nil {
			return nil
		}
	}
	events := e.PodEvents(p)
	if !sandboxReady(p) {
		if c := beforeSandbox(e, w, p, events); c != nil {
			return c
		}
	}
	if ev := eventfact.Newest(events, "Pulling"); ev != nil && eventfact.Newest(events, "Pulled") == nil {
		return e.Cause(p, model.StageImage, codes.ImagePulling, report.Transient, "it is pulling its image, for %s", plain.Age(e.Now.Sub(ev.First))).ByEvent(ev).Healing().
			Then(e.Next(w, finding.Read, "what the kubelet does", "describe", "pod", p.Name))
	}
	waited := e.Now.Sub(p.CreationTimestamp.Time)
	if len(p.Status.ContainerStatuses) == 0 && waited > 30*time.Second {
		return e.Cause(p, model.StageNode, codes.KubeletSilent, report.Transient, "node %s has not taken it up for %s, and %s", p.Spec.NodeName, plain.Age(waited), e.Silence("left no event")).
			Since(p.CreationTimestamp.Time).WithKey(p.Spec.NodeName).
			By(plain.Evidence("Pod "+p.Name, "status.containerStatuses", "none", p.CreationTimestamp.Time)).
			Then(e.NextCluster(finding.Read, "is its kubelet alive", "nodeinfo", p.Spec.NodeName))
	}
	return nil
}

// beforeSandbox finds what a pod lacks until its sandbox is there: devices, volumes, the sandbox itself. Events that are
// older than the sandbox are history.
func beforeSandbox(e *model.Evaluation, w *model.Workload, p *model.Pod, events []eventfact.Event) *model.Cause {
	if c := volumeCause(e, w, p, events); c != nil {
		return c
	}
	if ev := eventfact.Newest(events, "FailedCreatePodSandBox"); ev != nil {
		if m := handlerAbsent.FindStringSubmatch(ev.Message); m != nil {
			return e.Cause(p, model.StageSandbox, codes.SandboxFailed, report.Likely, "node %s has no runtime handler %q, which RuntimeClass %q names", p.Spec.NodeName, m[1], plain.Or(p.Spec.RuntimeClassName, "")).
				ByEvent(ev).WithKey(m[1]).Then(e.NextCluster(finding.Read, "the handler and the nodes that the RuntimeClass names", "get", "runtimeclass", plain.Or(p.Spec.RuntimeClassName, ""), "-o", "yaml"))
		}
		return e.Cause(p, model.StageSandbox, codes.SandboxFailed, report.Transient, "its sandbox cannot be made on node %s: %s", p.Spec.NodeName, plain.Innermost(ev.Message)).
			ByEvent(ev).WithKey(p.Spec.NodeName).Then(
			e.NextCluster(finding.Read, "the node: network plugin, runtime, free addresses", "nodeinfo", p.Spec.NodeName))
	}
	if ev := eventfact.Newest(events, "FailedPrepareDynamicResources"); ev != nil {
		return e.Cause(p, model.StageVolume, codes.DynamicResources, report.Transient, "its dynamic resources cannot be prepared: %s", plain.OneLine(ev.Message)).ByEvent(ev).
			Then(e.Next(w, finding.Read, "the claims of the pod", "get", "resourceclaims"))
	}
	return nil
}

var handlerAbsent = regexp.MustCompile(`no runtime for "([^"]+)" is configured`)

func sandboxReady(p *model.Pod) bool {
	c := model.Condition(p.Pod, corev1.PodReadyToStartContainers)
	return c != nil && c.Status == corev1.ConditionTrue
}

// attachLog adds the last lines of a container, and asks for them.
func attachLog(e *model.Evaluation, p *model.Pod, container string, previous bool, c *model.Cause) {
	if e.Opts.LogLines <= 0 || e.Opts.Wide {
		return
	}
	e.Asks.Have(model.Need{Kind: model.NeedLog, Namespace: p.Namespace, Name: p.Name, UID: string(p.UID), Container: container, Previous: previous})
	for _, l := range e.In.Logs {
		if l.UID != string(p.UID) || l.Container != container || l.Previous != previous || len(l.Lines) == 0 || len(l.Lines) == 1 && logGone(l.Lines[0]) {
			continue
		}
		lines := mask.Lines(l.Lines)
		if len(lines) > e.Opts.LogLines {
			lines = lines[len(lines)-e.Opts.LogLines:]
		}
		kept := make([]string, 0, len(lines))
		for _, line := range lines {
			kept = append(kept, plain.OneLine(line))
		}
		c.Log = &report.Log{Pod: p.Name, Container: container, Previous: previous, Lines: kept}
		return
	}
}

// logGone tells the kubelet's answer for a log that it has already removed from the application's own words.
func logGone(line string) bool {
	return strings.HasPrefix(line, "failed to try resolving symlinks in path ") || strings.HasPrefix(line, "unable to retrieve container logs for ") || strings.HasPrefix(line, "failed to open log file ")
}

// describeMeaning puts an exit code into words.
func exitMeaning(code, signal int32) string {
	if signal == 0 && code > 128 && code < 160 {
		signal = code - 128
	}
	names := map[int32]string{2: "SIGINT", 3: "SIGQUIT", 4: "SIGILL", 6: "SIGABRT", 7: "SIGBUS", 8: "SIGFPE", 9: "SIGKILL", 11: "SIGSEGV", 13: "SIGPIPE", 15: "SIGTERM"}
	if n := names[signal]; n != "" {
		return fmt.Sprintf("%d (%s)", code, n)
	}
	switch code {
	case 126:
		return "126 (found, but cannot be executed)"
	case 127:
		return "127 (command not found)"
	}
	return fmt.Sprint(code)
}
