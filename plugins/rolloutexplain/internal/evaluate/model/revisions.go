package model

import (
	"fmt"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/mask"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/sorting"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/plain"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/report"
)

// Revision is one pod template of a workload.
type Revision struct {
	Number    int64
	Name      string
	UID       types.UID
	Hash      string // value of the label that its pods carry
	Created   time.Time
	Template  *corev1.PodTemplateSpec
	Set       *appsv1.ReplicaSet // Deployments and Argo Rollouts
	ChangeLog string             // kubernetes.io/change-cause
}

// byNumber gives the revisions newest first. ControllerRevisions and ReplicaSets are renumbered by a rollback, so the
// name stands beside the number everywhere.
func (w *Workload) byNumber() []*Revision {
	sorted := slices.Clone(w.Revisions)
	sorting.Stable(sorted, func(a, b *Revision) int { return int(b.Number - a.Number) })
	return sorted
}

// Describe is a revision as it is reported: its images, its pods, whether any of them works now.
func (w *Workload) Describe(r *Revision) report.Revision {
	out := report.Revision{Number: r.Number, Name: r.Name, CreatedAt: plain.TimePtr(r.Created), Role: "old"}
	out.Cause = mask.Short(r.ChangeLog, mask.Longest)
	if r == w.Target {
		out.Role = "updated"
	}
	if r.Template != nil {
		for _, c := range r.Template.Spec.Containers {
			out.Images = append(out.Images, c.Image)
		}
		slices.Sort(out.Images)
	}
	mine := Select(CountedPods(w.Pods), func(p *Pod) bool { return p.Revision == r })
	available := Select(mine, func(p *Pod) bool { return p.Available })
	out.Pods, out.Available = plain.Count(len(mine)), plain.Count(len(available))
	if r.Set != nil {
		out.Pods, out.Available = plain.Ptr(r.Set.Status.Replicas), plain.Ptr(r.Set.Status.AvailableReplicas)
	}
	if *out.Available > 0 {
		out.KnownGood, out.KnownGoodReason = plain.Ptr(true),
			fmt.Sprintf("%s available now", plain.Plural(int(*out.Available), "pod is", "pods are"))
	}
	return out
}

// History lists the revisions, newest first. All annotations of a Deployment are copied to each new ReplicaSet, so a
// change-cause that nobody rewrote labels later revisions with an old reason.
func (w *Workload) History() []report.Revision {
	sorted := w.byNumber()
	list := make([]report.Revision, 0, len(sorted))
	for i, r := range sorted {
		d := w.Describe(r)
		d.CauseStale = r.ChangeLog != "" && i+1 < len(sorted) && sorted[i+1].ChangeLog == r.ChangeLog
		list = append(list, d)
	}
	return list
}

// Previous is the revision before the wanted one.
func (w *Workload) Previous() *Revision {
	for _, r := range w.byNumber() {
		if r != w.Target && (w.Target == nil || r.Number < w.Target.Number) && r.Template != nil {
			return r
		}
	}
	return nil
}

// RevisionNumber gives the revision of a number; nil: there is none.
func (w *Workload) RevisionNumber(n int64) *Revision {
	for _, r := range w.Revisions {
		if r.Number == n {
			return r
		}
	}
	return nil
}

// Label is a revision in a sentence.
func Label(r *Revision) string {
	if r == nil {
		return "the current template"
	}
	return fmt.Sprintf("revision %d (%s)", r.Number, r.Name)
}

// RollbackTarget is the revision to go back to: the newest older one of which pods are available now. The revision before
// may be a rollout that failed as well. Where none is available, it is the one before.
func (w *Workload) RollbackTarget() *Revision {
	for _, r := range w.byNumber() {
		if r != w.Target && (w.Target == nil || r.Number < w.Target.Number) && r.Template != nil && *w.Describe(r).Available > 0 {
			return r
		}
	}
	return w.Previous()
}

// AllBroken says that a revision has pods, and none of them is ready now.
func (w *Workload) AllBroken(r *Revision) bool {
	pods := Select(CountedPods(w.Pods), func(p *Pod) bool { return p.Revision == r })
	return len(pods) > 0 && !slices.ContainsFunc(pods, func(p *Pod) bool { return p.Ready || p.Available })
}
