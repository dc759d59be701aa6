package kinds

import (
	"fmt"
	"math"
	"slices"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/model"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/plain"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/pods"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/rule"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/report"
)

const JobManagedExternally finding.Code = "JobManagedExternally"

var jobRules = []rule.Rule{
	{Layer: rule.LayerNote, Entry: finding.Entry{
		Code: JobManagedExternally, Severity: finding.Info, Title: "Job is managed by another controller",
		Meaning:  "A controller other than the Job controller runs this Job. Only the status that it writes is reported.",
		Evidence: "spec.managedBy other than kubernetes.io/job-controller.",
		Next:     "Check the controller that spec.managedBy names.",
	}},
}

// job judges a Job: its end is final, and a new attempt is a new Job.
func job(e *model.Evaluation, j *batchv1.Job) *model.Workload {
	parallelism := plain.Or(j.Spec.Parallelism, 1)
	w := e.NewWorkload("Job", &j.ObjectMeta, &j.Spec.Template, &parallelism, 0)
	w.Observed = j.Generation
	w.Pods = e.PodsOf(j.UID, 0)
	for _, p := range w.Pods {
		p.IsNew = true
	}
	w.CountPods(e)
	completions := plain.Or(j.Spec.Completions, parallelism)
	w.Report.Counts.Desired, w.Report.Counts.Updated = plain.Ptr(completions), plain.Ptr(j.Status.Succeeded)
	w.Report.Counts.Ready = j.Status.Ready
	w.Report.Counts.Available = nil
	w.Started, w.Begun = j.CreationTimestamp.Time, true
	jobTimers(e, j, w)
	jobConditions(e, j, w, completions)
	done := fmt.Sprintf("%d of %d succeeded", j.Status.Succeeded, completions)
	by := plain.Or(j.Spec.ManagedBy, batchv1.JobControllerName)
	managed := by != batchv1.JobControllerName
	if w.Settled || w.Has(JobFailed) {
		return w
	}
	if managed {
		w.Add(e.Note(JobManagedExternally, "controller %s runs this Job; only the status that it writes is reported", by))
	}
	switch {
	case plain.Or(j.Spec.Suspend, false):
		jobSuspended(e, j, w, by)
	case parallelism == 0 && j.Status.Active == 0:
		jobWithoutParallelism(e, j, w)
	case managed:
		w.Moving = by + " runs the Job: " + done
	default:
		w.AwaitsEnd = len(model.CountedPods(w.Pods)) == 0 && plain.Or(j.Spec.PodReplacementPolicy, batchv1.TerminatingOrFailed) == batchv1.Failed
		if want := min(parallelism, completions-j.Status.Succeeded); len(model.CountedPods(w.Pods)) == 0 && want > 0 &&
			e.Now.Sub(w.Started) > 5*time.Second && !jobBackingOff(j, w) {
			w.Missing, w.MissingOf = want, j.UID
		}
		if up := len(model.Select(model.CountedPods(w.Pods),
			func(p *model.Pod) bool { return p.Ready })); up > 0 { // it may run for days: that is no standstill
			w.Moving = plain.Plural(up, "pod is running", "pods are running") + ", " + done
		}
		if !jobIndexFailed(e, j, w) {
			jobAttempts(e, j, w)
		}
		jobPodNotEnding(e, w)
	}
	return w
}

// jobConditions reads what the Job's controller has decided.
func jobConditions(e *model.Evaluation, j *batchv1.Job, w *model.Workload, completions int32) {
	for _, c := range j.Status.Conditions {
		if c.Status != corev1.ConditionTrue {
			continue
		}
		switch c.Type {
		case batchv1.JobComplete, batchv1.JobSuccessCriteriaMet:
			w.Settled = true
			if c.Reason == batchv1.JobReasonCompletionsReached && j.Spec.Completions != nil {
				w.Report.Counts.Updated = plain.Ptr(completions) // status.succeeded comes a moment later
			}
		case batchv1.JobFailed, batchv1.JobFailureTarget:
			jobFailed(e, j, w, c)
		}
	}
}

// jobSuspended: whoever runs the Job resumes it.
func jobSuspended(e *model.Evaluation, j *batchv1.Job, w *model.Workload, by string) {
	f := e.Finding(JobSuspended, report.PausedClass, "spec.suspend is set: no pod runs until the Job is resumed")
	f.Confidence, f.SelfHealing = "high", "no"
	f.Evidence = []finding.Evidence{plain.Evidence("Job "+j.Name, "spec.suspend", "true", plain.NoTime)}
	f.Next = []finding.Next{e.Next(w, finding.Change, "Resume the Job", "patch", w.Slash(), "-p", `{"spec":{"suspend":false}}`)}
	if by != batchv1.JobControllerName {
		f.Next = []finding.Next{e.Next(w, finding.Read, fmt.Sprintf("Show what %s, which resumes the Job, reports", by), "describe", w.Slash())}
	}
	w.Add(f)
}

// jobBackingOff says whether the Job waits before its next attempt: after a failure, also one that podFailurePolicy leaves
// uncounted, or, with podReplacementPolicy Failed, until the pod before is gone.
func jobBackingOff(j *batchv1.Job, w *model.Workload) bool {
	whole := plain.Or(j.Spec.PodReplacementPolicy, batchv1.TerminatingOrFailed) == batchv1.Failed
	return slices.ContainsFunc(w.Pods, func(p *model.Pod) bool { return p.Status.Phase == corev1.PodFailed || whole && p.Terminating })
}

// jobAttempts explains pods that failed while the Job may still try again. While another attempt runs they are the past.
func jobAttempts(e *model.Evaluation, j *batchv1.Job, w *model.Workload) {
	failed := model.Select(w.Pods, func(p *model.Pod) bool { return p.Status.Phase == corev1.PodFailed })
	if len(failed) == 0 {
		return
	}
	c := pods.Failed(e, w, newestPod(failed))
	if c == nil {
		return
	}
	count := failedAttempts(j, len(failed))
	c.Message += "; " + count
	c.Class, c.Severity, c.SelfHealing, c.Pods, c.Attempts = report.Transient, finding.Warning, "maybe", model.Names(failed), j.Status.Failed
	if w.Moving != "" {
		w.Moving += "; " + count
		c.Stance, c.SelfHealing = finding.Beside, "yes"
		c.Severity = finding.Info
	}
	w.Add(c.Finding)
}

// failedAttempts counts what has failed, against what may. A limit per index makes the one of the Job boundless.
func failedAttempts(j *batchv1.Job, pods int) string {
	counted, limit, perIndex := int64(j.Status.Failed), int64(plain.Or(j.Spec.BackoffLimit, 6)), j.Spec.BackoffLimitPerIndex
	words := fmt.Sprintf("%d of %d attempts have failed", counted, limit+1)
	if limit == math.MaxInt32 {
		words = plain.Plural(int(counted), "attempt has", "attempts have") + " failed"
	}
	if perIndex != nil {
		words += fmt.Sprintf(" (per index, up to %d)", int64(*perIndex)+1)
	}
	ignores := j.Spec.PodFailurePolicy != nil && slices.ContainsFunc(j.Spec.PodFailurePolicy.Rules, func(r batchv1.PodFailurePolicyRule) bool {
		return r.Action == batchv1.PodFailurePolicyActionIgnore
	})
	if ignored := int64(pods) - counted; ignores && ignored > 0 {
		words += "; " + plain.Plural(int(ignored), "failed pod is", "failed pods are") + " ignored by podFailurePolicy"
	}
	return words
}

func newestPod(pods []*model.Pod) *model.Pod {
	return slices.MaxFunc(pods, func(a, b *model.Pod) int { return a.CreationTimestamp.Compare(b.CreationTimestamp.Time) })
}

func jobFailed(e *model.Evaluation, j *batchv1.Job, w *model.Workload, c batchv1.JobCondition) {
	if w.Has(JobFailed) {
		return
	}
	f := e.Finding(JobFailed, report.Fatal, "the Job failed with %s: %s", c.Reason, plain.OneLine(c.Message))
	f.Confidence, f.SelfHealing, f.FirstSeen = "high", "no", plain.TimePtr(c.LastTransitionTime.Time)
	f.Evidence = []finding.Evidence{plain.Evidence("Job "+j.Name, "status.conditions["+string(c.Type)+"]", c.Reason+": "+c.Message,
		c.LastTransitionTime.Time)}
	failed := model.Select(w.Pods, func(p *model.Pod) bool { return p.Status.Phase == corev1.PodFailed || p.Terminating })
	f.Next = []finding.Next{e.Next(w, finding.Read, "List the pods of the Job and how they terminated",
		"get", "pods", "-l", "batch.kubernetes.io/job-name="+j.Name)}
	if len(failed) == 0 && e.In.Sources.Get(model.SourcePods).Readable() {
		podsGone(e, j, w, &f)
	}
	if len(failed) > 0 {
		p := newestPod(failed)
		if inner := pods.Failed(e, w, p); inner != nil {
			f.Message = fmt.Sprintf("the Job failed with %s: %s", c.Reason, inner.Message)
			f.Evidence = append(f.Evidence, inner.Evidence...)
			f.Log, f.Container, f.Pods = inner.Log, inner.Finding.Container, []string{p.Name}
		}
		f.Next = append(f.Next, pods.ReadLog(e, w, p, "Read the log of the last attempt"))
	}
	if j.Status.FailedIndexes != nil && *j.Status.FailedIndexes != "" {
		f.Evidence = append(f.Evidence, plain.Evidence("Job "+j.Name, "status.failedIndexes", *j.Status.FailedIndexes, plain.NoTime))
	}
	w.Add(f)
}

func jobTimers(e *model.Evaluation, j *batchv1.Job, w *model.Workload) {
	if j.Spec.ActiveDeadlineSeconds == nil || j.Status.StartTime == nil || j.Status.CompletionTime != nil {
		return
	}
	ends := j.Status.StartTime.Add(plain.Seconds(*j.Spec.ActiveDeadlineSeconds))
	c := report.Timer{
		Name: "active deadline", Ends: plain.TimePtr(ends), State: report.TimerRunning,
		Message: fmt.Sprintf("%ds, ends in %s; the Job then fails", *j.Spec.ActiveDeadlineSeconds, plain.Age(ends.Sub(e.Now))),
	}
	if !ends.After(e.Now) {
		c.State, c.Message = report.TimerExpired, fmt.Sprintf("expired %s ago", plain.Age(e.Now.Sub(ends)))
	}
	w.Report.Timers = append(w.Report.Timers, c)
}
