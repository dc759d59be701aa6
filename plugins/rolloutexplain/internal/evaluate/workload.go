package evaluate

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	eventfact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/event"
	nodefact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/node"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/codes"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/plain"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/report"
)

func (e *evaluator) newWorkload(kind string, meta *metav1.ObjectMeta, template *corev1.PodTemplateSpec, replicas *int32, minReady int32) *workload {
	w := &workload{meta: meta, kind: kind, template: template, desired: plain.Or(replicas, 1), minReady: minReady}
	w.ref = finding.ObjectRef{Kind: kind, Namespace: meta.Namespace, Name: meta.Name}
	w.rep = &report.Rollout{
		APIVersion: report.APIVersion, Kind: report.Kind, Object: w.ref, Time: e.now.UTC(), CreatedAt: plain.TimePtr(meta.CreationTimestamp.Time),
		Generation: meta.Generation,
	}
	w.rep.Counts.Desired = plain.Ptr(w.desired)
	return w
}

// slash is the workload as kubectl takes it: deployment/api.
func (w *workload) slash() string {
	if w.kind == kindArgo {
		return "rollouts.argoproj.io/" + w.meta.Name
	}
	return strings.ToLower(w.kind) + "/" + w.meta.Name
}

func (w *workload) add(f report.Finding) { w.findings = append(w.findings, f) }

func (w *workload) has(code string) bool {
	return slices.ContainsFunc(w.findings, func(f report.Finding) bool { return f.Code == code })
}

func (w *workload) newPods() []*pod { return selectPods(w.pods, func(p *pod) bool { return p.isNew }) }

func (w *workload) oldPods() []*pod { return selectPods(w.pods, func(p *pod) bool { return !p.isNew }) }

func (w *workload) setCounts(updated, ready, available int32) {
	w.rep.Counts.Updated, w.rep.Counts.Ready, w.rep.Counts.Available = plain.Ptr(updated), plain.Ptr(ready), plain.Ptr(available)
}

// attachPods gives the workload the pods of all its revisions that own pods themselves (ReplicaSets).
func (e *evaluator) attachPods(w *workload) {
	for _, r := range w.revisions {
		for _, p := range e.podsOf(r.uid, w.minReady) {
			p.rev, p.isNew = r, r == w.target
			w.pods = append(w.pods, p)
		}
	}
	slices.SortFunc(w.pods, func(a, b *pod) int { return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.UID, b.UID)) })
	w.countPods(e)
}

func (w *workload) countPods(e *evaluator) {
	if !e.in.Sources.Get(SourcePods).Readable() {
		return
	}
	w.rep.Counts.Old = plain.Count(len(live(w.oldPods())))
	w.rep.Counts.Terminating = plain.Count(len(selectPods(w.pods, func(p *pod) bool { return p.terminating })))
	restarts, ready := int32(0), 0
	for _, p := range live(w.newPods()) {
		for _, s := range append(slices.Clone(p.Status.InitContainerStatuses), p.Status.ContainerStatuses...) {
			restarts += s.RestartCount
		}
		ready += plain.Int(p.ready)
	}
	w.rep.Counts.Restarts, w.rep.Counts.UpdatedReady = plain.Ptr(restarts), plain.Count(ready)
}

// revisionsKnown: a table reads ReplicaSets and ControllerRevisions under one name, and one of them may be refused; a
// target that was found has been read.
func (w *workload) revisionsKnown(e *evaluator) bool {
	return w.target != nil || e.in.Sources.Get(SourceRevisions).Readable()
}

// undated takes every pod for one that the rollout waits for, where nothing tells which of them are old.
func (w *workload) undated() {
	for _, p := range w.pods {
		p.isNew = true
	}
	w.rep.Counts.Old, w.rep.Counts.UpdatedReady, w.ageless = nil, nil, true
}

// startOfRevision dates the rollout: evidence that is older than this is not about it. A ReplicaSet that a rollback uses
// again is older than its rollout; then the workload's own record of writes tells.
func (w *workload) startOfRevision() {
	switch {
	case w.target == nil:
		w.started = templateWritten(w.meta)
	case w.target.number > 0 && w.target != w.revisions[len(w.revisions)-1]:
		w.started = templateWritten(w.meta)
	default:
		w.started = w.target.created
	}
	if w.started.IsZero() {
		w.started = w.meta.CreationTimestamp.Time
	}
}

// templateWritten is when spec.template was written last, by managedFields; zero when they do not tell.
func templateWritten(meta *metav1.ObjectMeta) time.Time {
	var at time.Time
	for _, f := range meta.ManagedFields {
		if f.Time != nil && f.FieldsV1 != nil && f.Subresource == "" && strings.Contains(string(f.FieldsV1.GetRawBytes()), `"f:template"`) && f.Time.After(at) {
			at = f.Time.Time
		}
	}
	return at
}

// eventsOf gives the events of the workload itself and asks for them.
func (e *evaluator) eventsOf(meta *metav1.ObjectMeta) []eventfact.Event {
	return e.eventsOfUID(meta.Namespace, string(meta.UID))
}

func (e *evaluator) eventsOfUID(namespace, uid string) []eventfact.Event {
	e.asks.Have(Need{Kind: NeedEvents, Namespace: namespace, UID: uid})
	for id, list := range e.events {
		if string(id) == uid {
			return list
		}
	}
	return nil
}

// finding makes a cause of a catalogued code.
func (e *evaluator) finding(code string, class report.Class, severity finding.Severity, format string, args ...any) report.Finding {
	return report.Finding{
		Finding: finding.Finding{Code: code, Severity: severity, Title: codes.Title(code), Message: fmt.Sprintf(format, args...)},
		Role:    report.Root, Class: class,
	}
}

// note makes a remark that explains and blocks nothing.
func (e *evaluator) note(code, format string, args ...any) report.Finding {
	f := e.finding(code, report.Note, finding.Info, format, args...)
	f.Role = report.Unrelated
	return f
}

func (e *evaluator) next(w *workload, risk finding.Risk, why string, args ...string) finding.Next {
	return finding.Next{Command: e.kubectl.Command(w.meta.Namespace, args...), Why: why, Risk: risk}
}

// cluster is next for objects without a namespace.
func (e *evaluator) cluster(risk finding.Risk, why string, args ...string) finding.Next {
	return finding.Next{Command: e.kubectl.Command("", args...), Why: why, Risk: risk}
}

// notObserving asks why the controller has not acted on the newest change.
func (e *evaluator) notObserving(w *workload, what string) {
	since := e.now.Sub(templateWritten(w.meta))
	if templateWritten(w.meta).IsZero() {
		since = e.now.Sub(w.meta.CreationTimestamp.Time)
	}
	if since < 5*time.Second {
		w.moving = "the controller has not seen the newest change yet"
		return
	}
	f := e.finding(codes.ControllerNotObserving, report.Transient, finding.Critical, "the controller has not acted: %s", what)
	f.Heals, f.Confidence, f.FirstSeen = "maybe", "medium", plain.TimePtr(e.now.Add(-since))
	f.Evidence = []finding.Evidence{plain.Evidence(w.kind+" "+w.meta.Name, "metadata.generation", what, templateWritten(w.meta))}
	if e.namespaceTerminating(w) {
		return
	}
	text, lease := e.controllerLease("kube-controller-manager")
	if text != "" {
		f.Message += "; " + text
		f.Evidence = append(f.Evidence, lease)
		f.Confidence = "high"
	}
	f.Next = []finding.Next{
		{Command: e.kubectl.Command("kube-system", "get", "lease", "kube-controller-manager", "-o", "yaml"), Why: "is the controller-manager alive: renewTime must be seconds old", Risk: finding.Read},
		e.next(w, finding.Read, "does the object itself fail: look at its events", "describe", w.slash()),
	}
	w.add(f)
}

// controllerLease says so when a control-plane component has stopped renewing its lease.
func (e *evaluator) controllerLease(name string) (string, finding.Evidence) {
	e.asks.Have(Need{Kind: NeedLease, Namespace: "kube-system", Name: name})
	for i := range e.in.Leases {
		l := &e.in.Leases[i]
		if !nodefact.LeaseOfComponent(l, name) {
			continue
		}
		if leader := nodefact.LeaderOf(l, e.now); leader.Expired {
			return fmt.Sprintf("%s is down: its lease was renewed %s ago", name, plain.Age(leader.Age)),
				plain.Evidence("Lease kube-system/"+name, "spec.renewTime", leader.Renewed.UTC().Format(time.RFC3339), leader.Renewed)
		}
	}
	return "", finding.Evidence{}
}

// namespaceTerminating reports a namespace that is being deleted: controllers swallow the refusals that follow.
func (e *evaluator) namespaceTerminating(w *workload) bool {
	e.asks.Have(Need{Kind: NeedNamespace, Name: w.meta.Namespace})
	for i := range e.in.Namespaces {
		ns := &e.in.Namespaces[i]
		if ns.Name != w.meta.Namespace || ns.Status.Phase != corev1.NamespaceTerminating {
			continue
		}
		if w.has(codes.NamespaceTerminating) {
			return true
		}
		f := e.finding(codes.NamespaceTerminating, report.Fatal, finding.Critical, "the namespace %q is being deleted: nothing new can be created in it", ns.Name)
		f.Heals, f.Confidence = "no", "high"
		if ns.DeletionTimestamp != nil {
			f.FirstSeen = plain.TimePtr(ns.DeletionTimestamp.Time)
		}
		f.Evidence = []finding.Evidence{plain.Evidence("Namespace "+ns.Name, "status.phase", "Terminating", plain.Or(f.FirstSeen, time.Time{}))}
		for _, c := range ns.Status.Conditions {
			if c.Status == corev1.ConditionTrue {
				f.Evidence = append(f.Evidence, plain.Evidence("Namespace "+ns.Name, "status.conditions["+string(c.Type)+"]", c.Message, c.LastTransitionTime.Time))
			}
		}
		f.Next = []finding.Next{e.cluster(finding.Read, "what the deletion still waits for", "get", "namespace", ns.Name, "-o", "jsonpath={.status.conditions}")}
		w.add(f)
		return true
	}
	return false
}
