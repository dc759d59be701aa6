package evaluate

import (
	"fmt"
	"math"
	"slices"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/codes"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/plain"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/report"
)

// job judges a Job: its end is final, and a new attempt is a new Job.
func (e *evaluator) job(j *batchv1.Job) *workload {
	parallelism := plain.Or(j.Spec.Parallelism, 1)
	w := e.newWorkload("Job", &j.ObjectMeta, &j.Spec.Template, &parallelism, 0)
	w.observed = j.Generation
	w.pods = e.podsOf(j.UID, 0)
	for _, p := range w.pods {
		p.isNew = true
	}
	w.countPods(e)
	completions := plain.Or(j.Spec.Completions, parallelism)
	w.rep.Counts.Desired, w.rep.Counts.Updated = plain.Ptr(completions), plain.Ptr(j.Status.Succeeded)
	w.rep.Counts.Ready = j.Status.Ready
	w.rep.Counts.Available = nil
	w.started, w.begun = j.CreationTimestamp.Time, true
	e.jobClocks(j, w)

	for _, c := range j.Status.Conditions {
		if c.Status != corev1.ConditionTrue {
			continue
		}
		switch c.Type {
		case batchv1.JobComplete, batchv1.JobSuccessCriteriaMet:
			w.settled = true
			if c.Reason == batchv1.JobReasonCompletionsReached && j.Spec.Completions != nil {
				w.rep.Counts.Updated = plain.Ptr(completions) // status.succeeded comes a moment later
			}
		case batchv1.JobFailed, batchv1.JobFailureTarget:
			e.jobFailed(j, w, c)
		}
	}
	done := fmt.Sprintf("%d of %d succeeded", j.Status.Succeeded, completions)
	by := plain.Or(j.Spec.ManagedBy, batchv1.JobControllerName)
	managed := by != batchv1.JobControllerName
	if w.settled || w.has(codes.JobFailed) {
		return w
	}
	if managed {
		w.add(e.note(codes.JobManagedElsewhere, "another controller (%s) runs this Job: only its status is reported", by))
	}
	switch {
	case plain.Or(j.Spec.Suspend, false):
		f := e.finding(codes.JobSuspended, report.HeldClass, finding.Warning, "the Job is suspended: no pod runs until it is resumed")
		f.Confidence, f.Heals = "high", "no"
		f.Evidence = []finding.Evidence{plain.Evidence("Job "+j.Name, "spec.suspend", "true", plain.NoTime)}
		f.Next = []finding.Next{e.next(w, finding.Change, "resume it", "patch", w.slash(), "-p", `{"spec":{"suspend":false}}`)}
		if managed {
			f.Next = []finding.Next{e.next(w, finding.Read, fmt.Sprintf("what %s, which resumes it, says of it", by), "describe", w.slash())}
		}
		w.add(f)
	case managed:
		w.moving = by + " runs it: " + done
	default:
		w.awaitsEnd = len(live(w.pods)) == 0 && plain.Or(j.Spec.PodReplacementPolicy, batchv1.TerminatingOrFailed) == batchv1.Failed
		if want := min(parallelism, completions-j.Status.Succeeded); len(live(w.pods)) == 0 && want > 0 && e.now.Sub(w.started) > 5*time.Second && !jobBackingOff(j, w) {
			w.missing, w.missingOf = want, j.UID
		}
		if up := len(selectPods(live(w.pods), func(p *pod) bool { return p.ready })); up > 0 { // it may run for days: that is no standstill
			w.moving = plain.Plural(up, "pod runs", "pods run") + ", " + done
		}
		e.jobAttempts(j, w)
	}
	return w
}

// jobBackingOff says whether the Job waits before its next attempt: after a failure, also one that podFailurePolicy leaves
// uncounted, or, with podReplacementPolicy Failed, until the pod before is gone.
func jobBackingOff(j *batchv1.Job, w *workload) bool {
	whole := plain.Or(j.Spec.PodReplacementPolicy, batchv1.TerminatingOrFailed) == batchv1.Failed
	return slices.ContainsFunc(w.pods, func(p *pod) bool { return p.Status.Phase == corev1.PodFailed || whole && p.terminating })
}

// jobAttempts explains pods that failed while the Job may still try again. While another attempt runs they are the past.
func (e *evaluator) jobAttempts(j *batchv1.Job, w *workload) {
	failed := selectPods(w.pods, func(p *pod) bool { return p.Status.Phase == corev1.PodFailed })
	if len(failed) == 0 {
		return
	}
	c := e.jobPodCause(w, newestPod(failed))
	if c == nil {
		return
	}
	count := failedAttempts(j, len(failed))
	c.Message += "; " + count
	c.Class, c.Severity, c.Heals, c.Pods, c.Attempts = report.Transient, finding.Warning, "maybe", podNames(failed), j.Status.Failed
	if w.moving != "" {
		w.moving += "; " + count
		c.Role, c.Heals = report.Unrelated, "yes"
	}
	w.add(c.Finding)
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

func newestPod(pods []*pod) *pod {
	return slices.MaxFunc(pods, func(a, b *pod) int { return a.CreationTimestamp.Compare(b.CreationTimestamp.Time) })
}

// jobPodCause is why a Job's pod failed.
func (e *evaluator) jobPodCause(w *workload, p *pod) *cause {
	if c := e.deadPod(w, p); c != nil {
		return c
	}
	return e.containerCause(w, p)
}

func (e *evaluator) jobFailed(j *batchv1.Job, w *workload, c batchv1.JobCondition) {
	if w.has(codes.JobFailed) {
		return
	}
	f := e.finding(codes.JobFailed, report.Fatal, finding.Critical, "the Job has failed (%s): %s", c.Reason, plain.OneLine(c.Message))
	f.Confidence, f.Heals, f.FirstSeen = "high", "no", plain.TimePtr(c.LastTransitionTime.Time)
	f.Evidence = []finding.Evidence{plain.Evidence("Job "+j.Name, "status.conditions["+string(c.Type)+"]", c.Reason+": "+c.Message, c.LastTransitionTime.Time)}
	failed := selectPods(w.pods, func(p *pod) bool { return p.Status.Phase == corev1.PodFailed || p.terminating })
	f.Next = []finding.Next{e.next(w, finding.Read, "its pods and their ends", "get", "pods", "-l", "batch.kubernetes.io/job-name="+j.Name)}
	if len(failed) > 0 {
		p := newestPod(failed)
		if inner := e.jobPodCause(w, p); inner != nil {
			f.Message += ": " + inner.Message
			f.Evidence = append(f.Evidence, inner.Evidence...)
			f.Log, f.Container, f.Pods = inner.Log, inner.Finding.Container, []string{p.Name}
		}
		f.Next = append(f.Next, e.next(w, finding.Read, "the last attempt's log", "logs", p.Name, "--all-containers"))
	}
	if j.Status.FailedIndexes != nil && *j.Status.FailedIndexes != "" {
		f.Evidence = append(f.Evidence, plain.Evidence("Job "+j.Name, "status.failedIndexes", *j.Status.FailedIndexes, plain.NoTime))
	}
	w.add(f)
}

func (e *evaluator) jobClocks(j *batchv1.Job, w *workload) {
	if j.Spec.ActiveDeadlineSeconds == nil || j.Status.StartTime == nil || j.Status.CompletionTime != nil {
		return
	}
	ends := j.Status.StartTime.Add(plain.Seconds(*j.Spec.ActiveDeadlineSeconds))
	c := report.Clock{Name: "active deadline", Ends: plain.TimePtr(ends), State: report.ClockRunning, Message: fmt.Sprintf("%ds from its start: the Job fails in %s", *j.Spec.ActiveDeadlineSeconds, plain.Age(ends.Sub(e.now)))}
	if !ends.After(e.now) {
		c.State, c.Message = report.ClockExpired, fmt.Sprintf("expired %s ago", plain.Age(e.now.Sub(ends)))
	}
	w.rep.Clocks = append(w.rep.Clocks, c)
}
