package model

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	podfact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/pod"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/sorting"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/source"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/plain"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/report"
)

const KindArgo = "Rollout"

// Root gives the root cause, once the findings are ranked; nil: there is none.
func (w *Workload) Root() *report.Finding {
	if len(w.Findings) > 0 && w.Findings[0].Role == report.RootCause {
		return &w.Findings[0]
	}
	return nil
}

// Workload is one rollout while it is being judged, whatever its kind.
type Workload struct {
	Meta     *metav1.ObjectMeta
	Kind     string
	ref      finding.ObjectRef
	Desired  int32
	Observed int64
	Template *corev1.PodTemplateSpec // with the API server's defaults
	Given    *corev1.PodTemplateSpec // as the object has it, where nobody fills in defaults; nil: Template
	MinReady int32

	Revisions []*Revision // oldest first
	Target    *Revision   // of the present template; nil: none exists (or none readable)
	Pods      []*Pod      // of this workload, by name
	Started   time.Time   // when the wanted revision began: evidence older than this is not about it
	AwaitsEnd bool        // a Job that makes no pod before the one before is gone
	Ageless   bool        // nothing tells new pods from old ones
	Begun     bool        // the wanted revision has begun (its ReplicaSet or pods exist)
	Missing   int32       // pods the controller wants and that do not exist
	MissingOf types.UID   // object that should create them
	// findOrdered is the pod that an ordered StatefulSet waits for.
	FindOrdered *Pod
	Settled     bool // the API's counters say complete
	Completed   bool // was complete before: only a later fault or scaling can make it incomplete
	Findings    []report.Finding
	Report      *report.Rollout
	// moving is set when the counters alone show that the controller acts (pods being created or ending).
	Moving string
}

// Ordered says whether a StatefulSet's pods are made one after the other.
func (w *Workload) Ordered() bool {
	return w.Report.UpdateStrategy.PodManagementPolicy == string(appsv1.OrderedReadyPodManagement)
}

// KeepsBroken says whether a broken pod stays when the template is put right, until somebody deletes it.
func (w *Workload) KeepsBroken() bool {
	b := w.Report.UpdateStrategy
	return b != nil && (b.Type == string(appsv1.OnDeleteStatefulSetStrategyType) || w.Kind == "StatefulSet" &&
		(w.Ordered() || b.MaxUnavailable != nil))
}

// NewWorkload begins a report. Replicas nil: one, as the API defaults it. MinReady is in seconds.
func (e *Evaluation) NewWorkload(kind string, meta *metav1.ObjectMeta, template *corev1.PodTemplateSpec, replicas *int32,
	minReady int32,
) *Workload {
	w := &Workload{Meta: meta, Kind: kind, Template: template, Desired: plain.Or(replicas, 1), MinReady: minReady}
	w.ref = finding.ObjectRef{Kind: kind, Namespace: meta.Namespace, Name: meta.Name}
	w.Report = &report.Rollout{
		APIVersion: report.APIVersion, Kind: report.Kind, Object: w.ref, Time: e.Now.UTC(), CreatedAt: plain.TimePtr(meta.CreationTimestamp.Time),
		Generation: meta.Generation,
	}
	w.Report.Counts.Desired = plain.Ptr(w.Desired)
	return w
}

// Slash is the workload as kubectl takes it: deployment/api.
func (w *Workload) Slash() string {
	if w.Kind == KindArgo {
		return "rollouts.argoproj.io/" + w.Meta.Name
	}
	return strings.ToLower(w.Kind) + "/" + w.Meta.Name
}

// Add adds a finding.
func (w *Workload) Add(f report.Finding) { w.Findings = append(w.Findings, f) }

// Has says whether there is a finding of a code.
func (w *Workload) Has(code finding.Code) bool {
	return slices.ContainsFunc(w.Findings, func(f report.Finding) bool { return f.Code == code })
}

// NewPods gives the pods of the wanted revision.
func (w *Workload) NewPods() []*Pod { return Select(w.Pods, func(p *Pod) bool { return p.IsNew }) }

// OldPods gives the pods of all others.
func (w *Workload) OldPods() []*Pod { return Select(w.Pods, func(p *Pod) bool { return !p.IsNew }) }

// SetCounts takes the API's own counters.
func (w *Workload) SetCounts(updated, ready, available int32) {
	w.Report.Counts.Updated, w.Report.Counts.Ready, w.Report.Counts.Available = plain.Ptr(updated), plain.Ptr(ready), plain.Ptr(available)
}

// AttachPods gives the workload the pods of all its revisions that own pods themselves (ReplicaSets).
func (e *Evaluation) AttachPods(w *Workload) {
	for _, r := range w.Revisions {
		for _, p := range e.PodsOf(r.UID, w.MinReady) {
			p.Revision, p.IsNew = r, r == w.Target
			w.Pods = append(w.Pods, p)
		}
	}
	sorting.Func(w.Pods, func(a, b *Pod) int { return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.UID, b.UID)) })
	w.CountPods(e)
}

// CountPods counts what the API does not: old and ending pods, restarts. Where pods cannot be read it counts nothing.
func (w *Workload) CountPods(e *Evaluation) {
	if !e.In.Sources.Get(SourcePods).Readable() {
		return
	}
	w.Report.Counts.Old = plain.Count(len(CountedPods(w.OldPods())))
	w.Report.Counts.Terminating = plain.Count(len(Select(w.Pods, func(p *Pod) bool { return p.Terminating })))
	restarts, ready := int32(0), 0
	for _, p := range CountedPods(w.NewPods()) {
		for _, s := range podfact.Containers(p.Pod) {
			restarts += s.RestartCount
		}
		ready += plain.Int(p.Ready)
	}
	w.Report.Counts.Restarts, w.Report.Counts.UpdatedReady = plain.Ptr(restarts), plain.Count(ready)
}

// RevisionsKnown reports whether the revisions could be read: a table reads ReplicaSets and ControllerRevisions under one
// name, and one of them may be forbidden; a target that was found has been read.
func (w *Workload) RevisionsKnown(e *Evaluation) bool {
	return w.Target != nil || e.In.Sources.Get(SourceRevisions).Readable()
}

// Unread says what was not read and could hold a cause; nothing: no check lacked anything. Without pods, events and revisions no
// check has looked at the whole; of the rest, a source is listed only if a check asked for it.
func (w *Workload) Unread(e *Evaluation) string {
	gaps := w.unreadLists(e)
	for _, s := range e.In.Sources {
		if lookups[s.Name] && (s.State == source.Forbidden || s.State == source.Unreachable) {
			gaps = append(gaps, s)
		}
	}
	gaps.Sort()
	switch len(gaps) {
	case 0:
		return ""
	case 1:
		return fmt.Sprintf("%s cannot be read (%s)", gaps[0].Name, gaps[0].Reason())
	}
	return gapNames(gaps) + " cannot be read"
}

// UnreadOfSettled says what of a rollout whose counters say complete was not looked at for what speaks against that.
func (w *Workload) UnreadOfSettled(e *Evaluation) string { return gapNames(w.unreadLists(e)) }

func (w *Workload) unreadLists(e *Evaluation) source.List {
	names := []string{SourceEvents, SourcePods}
	if w.Kind != "Job" && w.Kind != "Pod" && !w.RevisionsKnown(e) { // these two have none
		names = append(names, SourceRevisions)
	}
	var gaps source.List
	for _, name := range names {
		if s := e.In.Sources.Get(name); !s.Readable() {
			gaps = append(gaps, s)
		}
	}
	return gaps
}

func gapNames(gaps source.List) string {
	names := make([]string, 0, len(gaps))
	for _, s := range gaps {
		names = append(names, s.Name)
	}
	return strings.Join(names, ", ")
}

// ReplicasWriter is who wrote spec.replicas last, by managedFields; nil: they do not tell. What was written through the scale subresource
// has no time there (seen of v1.37).
func (w *Workload) ReplicasWriter() *metav1.ManagedFieldsEntry {
	var last *metav1.ManagedFieldsEntry
	for i := range w.Meta.ManagedFields {
		f := &w.Meta.ManagedFields[i]
		if ownsReplicas(f) && (last == nil || last.Time.Before(f.Time)) {
			last = f
		}
	}
	return last
}

// Autoscaled reports whether a HorizontalPodAutoscaler set the number of pods: whoever sets another number takes the field from it. Its
// controller is part of kube-controller-manager, of which no other controller writes through the scale subresource.
// https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale/#how-does-a-horizontalpodautoscaler-work
func (w *Workload) Autoscaled() bool {
	return slices.ContainsFunc(w.Meta.ManagedFields, func(f metav1.ManagedFieldsEntry) bool {
		return ownsReplicas(&f) && f.Manager == "kube-controller-manager" && f.Subresource == "scale"
	})
}

func ownsReplicas(f *metav1.ManagedFieldsEntry) bool {
	return f.FieldsV1 != nil && f.Subresource != "status" && strings.Contains(string(f.FieldsV1.GetRawBytes()), `"f:replicas"`)
}
