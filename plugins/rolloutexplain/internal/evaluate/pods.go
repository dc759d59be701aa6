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
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/plain"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/report"
)

// The stages of a pod's life: of several causes in one pod the earliest is the one that the others wait for.
const (
	stageCreate = iota
	stageSchedule
	stageNode
	stageVolume
	stageSandbox
	stageImage
	stageConfig
	stageInit
	stageRun
	stageReady
	stageAvailable
	stageEnd
)

// cause is why one pod is not where it should be.
type cause struct {
	report.Finding
	stage int
	key   string // causes with equal code, container and key are one
	pod   *pod
	// target is the only node that may take the pod, which the message names.
	target string
}

func (e *evaluator) cause(p *pod, stage int, code string, class report.Class, format string, args ...any) *cause {
	severity := finding.Critical
	if class == report.Transient || class == report.HeldClass {
		severity = finding.Warning
	}
	c := &cause{Finding: e.finding(code, class, severity, format, args...), stage: stage, pod: p}
	c.Confidence, c.Heals = "high", healsOf(class)
	return c
}

func healsOf(c report.Class) string {
	switch c {
	case report.Transient:
		return "maybe"
	case report.Note:
		return "yes"
	}
	return "no"
}

func (c *cause) container(name string) *cause { c.Finding.Container = name; return c }

func (c *cause) by(ev finding.Evidence) *cause { c.Evidence = append(c.Evidence, ev); return c }

func (c *cause) then(next ...finding.Next) *cause { c.Next = append(c.Next, next...); return c }

func (c *cause) since(t time.Time) *cause { c.FirstSeen = plain.TimePtr(t); return c }

// byEvent quotes an event and takes its count as attempts.
func (c *cause) byEvent(ev *eventfact.Event) *cause {
	if ev == nil {
		return c
	}
	c.Attempts = max(c.Attempts, ev.Count)
	if c.FirstSeen == nil {
		c.FirstSeen = plain.TimePtr(ev.First)
	}
	return c.by(plain.Evidence("Event", ev.Reason, ev.Message, ev.Last))
}

// diagnose finds why a pod is not available; nil when nothing is wrong or it only needs time that nobody can name.
func (e *evaluator) diagnose(w *workload, p *pod) *cause {
	switch {
	case p.terminating:
		return e.ending(w, p)
	case p.dead:
		return e.deadPod(w, p)
	case p.Spec.NodeName == "":
		return e.unscheduled(w, p)
	}
	if c := e.containerCause(w, p); c != nil {
		return c
	}
	if p.available {
		return nil
	}
	if c := e.nodeCause(w, p); c != nil {
		return c
	}
	if c := e.notStarted(w, p); c != nil {
		return c
	}
	return e.notReady(w, p)
}

// podEvents asks for a pod's events; only the evidence of this pod (by UID) counts: a StatefulSet's pod has the name of
// the one before it.
func (e *evaluator) podEvents(p *pod) []eventfact.Event {
	e.asks.Have(Need{Kind: NeedEvents, Namespace: p.Namespace, UID: string(p.UID)})
	return p.events
}

// needNormal asks, for a table of many, which has read only warnings, for events of one normal reason: of the namespace.
func (e *evaluator) needNormal(p *pod, reason string) {
	if e.opts.Wide {
		e.asks.Have(Need{Kind: NeedEvents, Namespace: p.Namespace, Name: reason})
	}
}

// silence is what the absence of an event means: nothing, where events cannot be read.
func (e *evaluator) silence(absent string) string {
	if e.in.Sources.Get(SourceEvents).Readable() {
		return absent
	}
	return "its events, which would say why, cannot be read"
}

// deadPod explains a pod in phase Failed.
func (e *evaluator) deadPod(w *workload, p *pod) *cause {
	if p.Status.Phase != corev1.PodFailed {
		return nil
	}
	describe := e.next(w, finding.Read, "what the kubelet said", "describe", "pod", p.Name)
	when := endOf(p)
	switch reason := p.Status.Reason; {
	case reason == "Evicted":
		c := e.cause(p, stageRun, codes.Evicted, report.Likely, "the kubelet evicted it: %s", plain.OneLine(p.Status.Message))
		c.key, c.Attempts = plain.FirstWords(p.Status.Message, 8), 0
		return c.since(when).by(plain.Evidence("Pod "+p.Name, "status.message", p.Status.Message, when)).then(describe,
			e.cluster(finding.Read, "pressure on that node", "describe", "node", p.Spec.NodeName))
	case reason != "" && reason != "NodeShutdown" && reason != "Terminated" && len(p.Status.ContainerStatuses) == 0,
		strings.HasPrefix(p.Status.Message, "Pod was rejected"):
		c := e.cause(p, stageNode, codes.PodRejected, report.Likely, "the kubelet of node %s rejects it (%s): %s", p.Spec.NodeName, reason, plain.OneLine(p.Status.Message))
		c.key = reason
		if w.template != nil && w.template.Spec.NodeName != "" {
			c.Message += "; the template sets nodeName, which goes past the scheduler"
		}
		c.since(when).by(plain.Evidence("Pod "+p.Name, "status.reason", reason, when))
		if strings.HasPrefix(reason, "OutOf") {
			return c.then(e.cluster(finding.Read, "what that node has left", "describe", "node", p.Spec.NodeName))
		}
		return c.then(describe)
	}
	if d := podCondition(p.Pod, corev1.DisruptionTarget); d != nil && d.Status == corev1.ConditionTrue {
		c := e.cause(p, stageRun, codes.PodDisrupted, report.Transient, "it was removed from outside (%s): %s", d.Reason, plain.OneLine(d.Message))
		c.key = d.Reason
		return c.since(d.LastTransitionTime.Time).by(plain.Evidence("Pod "+p.Name, "status.conditions[DisruptionTarget]", d.Reason, d.LastTransitionTime.Time)).then(describe)
	}
	return nil
}

func endOf(p *pod) time.Time {
	at := p.CreationTimestamp.Time
	for _, c := range p.Status.Conditions {
		if c.LastTransitionTime.After(at) {
			at = c.LastTransitionTime.Time
		}
	}
	return at
}

// nodeCause: a pod on a node that does not report says nothing about the application.
func (e *evaluator) nodeCause(w *workload, p *pod) *cause {
	e.askNode(p.Spec.NodeName)
	if e.node(p.Spec.NodeName) == nil {
		return e.nodeAbsent(w, p)
	}
	t := e.nodeTrouble(p.Spec.NodeName)
	if t == nil {
		return nil
	}
	found := e.cause(p, stageNode, codes.NodeNotReady, report.Transient, "its node %s %s%s", p.Spec.NodeName, t.text, t.detail)
	return found.withKey(p.Spec.NodeName).since(t.since).by(t.evidence).then(e.cluster(finding.Read, "why the node is not ready", "nodeinfo", p.Spec.NodeName))
}

// nodeTrouble is why a node cannot be relied on.
type nodeTrouble struct {
	text     string // "is not ready (KubeletNotReady)"
	detail   string // what the kubelet says: ": container runtime is down"
	evidence finding.Evidence
	since    time.Time
}

// nodeTrouble gives nil for a node that is not known, or well. Only with its lease is a dead node known whose Ready nobody
// has taken back; a table of many goes by Ready alone, because a lease for each node is too much to ask.
func (e *evaluator) nodeTrouble(name string) *nodeTrouble {
	e.askNode(name)
	n := e.node(name)
	if n == nil {
		return nil
	}
	r := nodefact.ReadinessOf(n, e.nodeLease(name), e.now, nodefact.Patience)
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
func (e *evaluator) nodeLease(name string) *coordinationv1.Lease {
	if e.opts.Wide || !e.asks.Have(Need{Kind: NeedLease, Namespace: corev1.NamespaceNodeLease, Name: name}) {
		return nil
	}
	for i := range e.in.Leases {
		if l := &e.in.Leases[i]; l.Namespace == corev1.NamespaceNodeLease && l.Name == name {
			return l
		}
	}
	return nil
}

// nodeAbsent: a pod that is bound to a node that does not exist, as by a slip in the template's nodeName. Such pods are
// removed within a minute and made again, so that none of them ever looks old.
func (e *evaluator) nodeAbsent(w *workload, p *pod) *cause {
	state := e.in.Sources.Get("nodes").State
	read := e.asks.Made(Need{Kind: NeedNode, Name: p.Spec.NodeName}) || e.asks.Made(Need{Kind: NeedNodes})
	if !read || state != source.OK && state != source.Absent {
		return nil
	}
	c := e.cause(p, stageNode, codes.NodeNotReady, report.Transient, "it is bound to node %s, which does not exist", p.Spec.NodeName).withKey(p.Spec.NodeName).since(p.CreationTimestamp.Time).
		by(plain.Evidence("Pod "+p.Name, "spec.nodeName", p.Spec.NodeName, p.CreationTimestamp.Time))
	if w.template != nil && w.template.Spec.NodeName == p.Spec.NodeName {
		c.Class, c.Severity, c.Heals = report.Likely, finding.Critical, "no"
		c.Message += "; the template sets nodeName, which goes past the scheduler"
	}
	return c.then(e.cluster(finding.Read, "the nodes that there are", "get", "nodes"))
}

// notStarted explains a scheduled pod of which no container has run yet.
func (e *evaluator) notStarted(w *workload, p *pod) *cause {
	if c := e.hookPending(w, p); c != nil {
		return c
	}
	for _, s := range append(slices.Clone(p.Status.InitContainerStatuses), p.Status.ContainerStatuses...) {
		if s.State.Running != nil || s.State.Terminated != nil || s.LastTerminationState.Terminated != nil {
			return nil
		}
	}
	events := e.podEvents(p)
	if !sandboxReady(p) {
		if c := e.beforeSandbox(w, p, events); c != nil {
			return c
		}
	}
	if ev := eventfact.Newest(events, "Pulling"); ev != nil && eventfact.Newest(events, "Pulled") == nil {
		return e.cause(p, stageImage, codes.ImagePulling, report.Transient, "it is pulling its image, for %s", plain.Age(e.now.Sub(ev.First))).byEvent(ev).healing().
			then(e.next(w, finding.Read, "what the kubelet does", "describe", "pod", p.Name))
	}
	waited := e.now.Sub(p.CreationTimestamp.Time)
	if len(p.Status.ContainerStatuses) == 0 && waited > 30*time.Second {
		return e.cause(p, stageNode, codes.KubeletSilent, report.Transient, "node %s has not taken it up for %s, and %s", p.Spec.NodeName, plain.Age(waited), e.silence("left no event")).
			since(p.CreationTimestamp.Time).withKey(p.Spec.NodeName).
			by(plain.Evidence("Pod "+p.Name, "status.containerStatuses", "none", p.CreationTimestamp.Time)).
			then(e.cluster(finding.Read, "is its kubelet alive", "nodeinfo", p.Spec.NodeName))
	}
	return nil
}

// beforeSandbox finds what a pod lacks until its sandbox is there: devices, volumes, the sandbox itself. Events that are
// older than the sandbox are history.
func (e *evaluator) beforeSandbox(w *workload, p *pod, events []eventfact.Event) *cause {
	if c := e.volumeCause(w, p, events); c != nil {
		return c
	}
	if ev := eventfact.Newest(events, "FailedCreatePodSandBox"); ev != nil {
		if m := handlerAbsent.FindStringSubmatch(ev.Message); m != nil {
			return e.cause(p, stageSandbox, codes.SandboxFailed, report.Likely, "node %s has no runtime handler %q, which RuntimeClass %q names", p.Spec.NodeName, m[1], plain.Or(p.Spec.RuntimeClassName, "")).
				byEvent(ev).withKey(m[1]).then(e.cluster(finding.Read, "the handler and the nodes that the RuntimeClass names", "get", "runtimeclass", plain.Or(p.Spec.RuntimeClassName, ""), "-o", "yaml"))
		}
		return e.cause(p, stageSandbox, codes.SandboxFailed, report.Transient, "its sandbox cannot be made on node %s: %s", p.Spec.NodeName, plain.Innermost(ev.Message)).
			byEvent(ev).withKey(p.Spec.NodeName).then(
			e.cluster(finding.Read, "the node: network plugin, runtime, free addresses", "nodeinfo", p.Spec.NodeName))
	}
	if ev := eventfact.Newest(events, "FailedPrepareDynamicResources"); ev != nil {
		return e.cause(p, stageVolume, codes.DynamicResources, report.Transient, "its dynamic resources cannot be prepared: %s", plain.OneLine(ev.Message)).byEvent(ev).
			then(e.next(w, finding.Read, "the claims of the pod", "get", "resourceclaims"))
	}
	return nil
}

var handlerAbsent = regexp.MustCompile(`no runtime for "([^"]+)" is configured`)

func (c *cause) withKey(key string) *cause { c.key = key; return c }

func (c *cause) healing() *cause { c.Heals = "yes"; return c }

func sandboxReady(p *pod) bool {
	c := podCondition(p.Pod, corev1.PodReadyToStartContainers)
	return c != nil && c.Status == corev1.ConditionTrue
}

// attachLog adds the last lines of a container, and asks for them.
func (e *evaluator) attachLog(p *pod, container string, previous bool, c *cause) {
	if e.opts.LogLines <= 0 || e.opts.Wide {
		return
	}
	e.asks.Have(Need{Kind: NeedLog, Namespace: p.Namespace, Name: p.Name, UID: string(p.UID), Container: container, Previous: previous})
	for _, l := range e.in.Logs {
		if l.UID != string(p.UID) || l.Container != container || l.Previous != previous || len(l.Lines) == 0 || len(l.Lines) == 1 && logGone(l.Lines[0]) {
			continue
		}
		lines := mask.Lines(l.Lines)
		if len(lines) > e.opts.LogLines {
			lines = lines[len(lines)-e.opts.LogLines:]
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
