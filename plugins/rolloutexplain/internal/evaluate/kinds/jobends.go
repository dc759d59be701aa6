package kinds

import (
	"fmt"
	"strings"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"

	eventfact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/event"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/model"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/plain"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/pods"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/rule"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/report"
)

const (
	JobFailed       finding.Code = "JobFailed"
	JobPodNotEnding finding.Code = "JobPodNotEnding"
	JobSuspended    finding.Code = "JobSuspended"
)

var jobEndRules = []rule.Rule{
	{Layer: rule.LayerPod, Entry: finding.Entry{
		Code: JobFailed, Severity: finding.Critical, Title: "Job failed",
		Meaning: "The Job has failed, or one of its indexes has failed finally, so that the Job cannot succeed. Another attempt " +
			"requires a new Job.",
		Evidence: "Job condition Failed=True or FailureTarget=True; status.failedIndexes.",
		Next:     "Check how the last pod terminated.",
	}},
	{Layer: rule.LayerPod, Entry: finding.Entry{
		Code: JobPodNotEnding, Severity: finding.Warning, Title: "Container keeps the pod of a Job from ending",
		Meaning: "One container of the pod has ended with exit code 0, and another one runs on. The pod ends only when all of its " +
			"containers have ended; only sidecars (init containers with restartPolicy Always) are ended by the kubelet.",
		Evidence: "Container states of the pod of a Job: one terminated with exit code 0, another one running.",
		Next:     "End the other container by itself, or make it a sidecar.",
	}},
	{Layer: rule.LayerPod, Entry: finding.Entry{
		Code: JobSuspended, Severity: finding.Warning, Title: "Job is suspended",
		Meaning:  "spec.suspend is set or spec.parallelism is 0, so the Job controller runs no pod until that is changed.",
		Evidence: "spec.suspend true, or spec.parallelism 0.",
		Next:     "Resume the Job, or raise spec.parallelism.",
	}},
}

// jobWithoutParallelism: a Job of no pods at once is stopped by whoever set it so.
func jobWithoutParallelism(e *model.Evaluation, j *batchv1.Job, w *model.Workload) {
	w.Report.Counts.Desired = j.Spec.Completions
	f := e.Finding(JobSuspended, report.PausedClass, "spec.parallelism is 0: no pod runs until it is raised")
	f.Confidence, f.SelfHealing = "high", "no"
	f.Evidence = []finding.Evidence{plain.Evidence("Job "+j.Name, "spec.parallelism", "0", plain.NoTime)}
	f.Next = []finding.Next{e.Next(w, finding.Change, "Let one pod run at a time", "patch", w.Slash(), "-p", `{"spec":{"parallelism":1}}`)}
	w.Add(f)
}

// jobIndexFailed: a Job of which one index has failed finally fails when the others have ended, unless a success policy can
// still be met.
// https://kubernetes.io/docs/concepts/workloads/controllers/job/#backoff-limit-per-index
func jobIndexFailed(e *model.Evaluation, j *batchv1.Job, w *model.Workload) bool {
	indexes := plain.Or(j.Status.FailedIndexes, "")
	if indexes == "" || j.Spec.SuccessPolicy != nil {
		return false
	}
	f := e.Finding(JobFailed, report.Fatal, "index %s has failed finally: the Job fails when its other indexes have ended", indexes)
	f.Confidence, f.SelfHealing = "high", "no"
	failed := model.Select(w.Pods, func(p *model.Pod) bool { return p.Status.Phase == corev1.PodFailed })
	if len(failed) > 0 {
		p := newestPod(failed)
		if inner := pods.Failed(e, w, p); inner != nil {
			f.Message = fmt.Sprintf("index %s has failed finally (%s): the Job fails when its other indexes have ended", indexes, inner.Message)
			f.Evidence, f.Log, f.Container, f.Pods = inner.Evidence, inner.Log, inner.Finding.Container, []string{p.Name}
		}
		f.Next = append(f.Next, pods.ReadLog(e, w, p, "Read the log of the last attempt"))
	}
	f.Evidence = append(f.Evidence, plain.Evidence("Job "+j.Name, "status.failedIndexes", indexes, plain.NoTime))
	w.Add(f)
	return true
}

// jobPodNotEnding: a container has done its work, and another one runs on, so that the pod never ends.
// https://github.com/kubernetes/kubernetes/issues/25908
func jobPodNotEnding(e *model.Evaluation, w *model.Workload) {
	for _, p := range model.CountedPods(w.Pods) {
		var done, on []string
		var end corev1.ContainerStateTerminated
		for _, s := range p.Status.ContainerStatuses {
			switch t := s.State.Terminated; {
			case t != nil && t.ExitCode == 0:
				done = append(done, s.Name)
				if t.FinishedAt.After(end.FinishedAt.Time) {
					end = *t
				}
			case s.State.Running != nil:
				on = append(on, s.Name)
			}
		}
		if len(done) == 0 || len(on) == 0 || len(done)+len(on) < len(p.Status.ContainerStatuses) {
			continue
		}
		f := e.Finding(JobPodNotEnding, report.Transient,
			"pod %s does not end: container %s has ended (exit code 0), but %s still runs",
			p.Name, plain.List(done, 3), plain.List(on, 3))
		f.Confidence, f.SelfHealing, f.FirstSeen, f.Pods = "high", "maybe", plain.TimePtr(end.FinishedAt.Time), []string{p.Name}
		f.Evidence = []finding.Evidence{
			plain.Evidence("Pod "+p.Name, p.StatusPath(done[0])+".state.terminated", "exit code 0", end.FinishedAt.Time),
			plain.Evidence("Pod "+p.Name, p.StatusPath(on[0])+".state", "running", plain.NoTime),
		}
		f.Next = []finding.Next{e.Next(w, finding.Read, "Check whether the container still works", "logs", p.Name, "-c", on[0], "--tail=20")}
		w.Add(f)
		return
	}
}

// podsGone: a Job that has reached its limit deletes the pods that still run, and with restartPolicy OnFailure that is the
// only one. Their events outlive them.
// https://kubernetes.io/docs/concepts/workloads/controllers/job/#pod-backoff-failure-policy
func podsGone(e *model.Evaluation, j *batchv1.Job, w *model.Workload, f *report.Finding) {
	f.Message += "; its pods are deleted, and their logs with them"
	if j.Spec.Template.Spec.RestartPolicy == corev1.RestartPolicyOnFailure {
		f.Message += " (restartPolicy Never would keep failed pods)"
	}
	f.Next = []finding.Next{e.Next(w, finding.Read, "Read what the Job created and deleted", "describe", w.Slash())}
	if ev := eventfact.Newest(e.EventsOf(w.Meta), "SuccessfulCreate"); ev != nil {
		if _, name, ok := strings.Cut(ev.Message, "Created pod: "); ok {
			f.Next = []finding.Next{e.Next(w, finding.Read, "Read the events of the last pod", "get", "events", "--field-selector",
				"involvedObject.name="+name)}
		}
	}
}
