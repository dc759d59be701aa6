package pods

import (
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	eventfact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/event"
	podfact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/pod"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/codes"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/model"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/plain"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/report"
)

// crash judges a container that ended. The waiting reason CrashLoopBackOff can be absent through the whole back-off (a
// container that exits at once shows terminated), so restarts and the last end are what counts.
func crash(e *model.Evaluation, w *model.Workload, p *model.Pod, spec *corev1.Container, s *corev1.ContainerStatus, init,
	sidecar bool,
) *model.Cause {
	end, running := podfact.End(s), s.State.Running != nil
	if end == nil {
		return nil
	}
	again := podfact.StartsAgain(p.Pod, spec.Name, end.ExitCode)
	if end.ExitCode == 0 && !again {
		return nil
	}
	if running && isPast(e, p, s, end) {
		return nil
	}
	exits := s.RestartCount
	if !running {
		exits++
	}
	c := crashCause(e, w, p, spec, end, sidecar)
	c.In(spec.Name)
	if init {
		c.Stage = model.StageInit
		if c.Code == codes.ContainerCrashing && !sidecar {
			c.Recode(codes.InitContainerFailing)
		}
	}
	c.Attempts = max(c.Attempts, exits)
	c.Message += fmt.Sprintf(" (%s)", plain.Plural(int(exits), "time", "times"))
	c.Since(firstEnd(p, end, exits))
	if len(c.Evidence) == 0 || c.Code != codes.ContainerStartError {
		quoteEnd(p, spec.Name, s, end, c)
	}
	if !running && again {
		if at, ok := podfact.NextStart(s); ok && at.After(e.Now) {
			c.RetryAt = plain.TimePtr(at)
		}
	}
	if !podfact.NeverRan(end) {
		readLog(e, w, p, spec.Name, running, c)
	}
	return c
}

// isPast says whether the end of a container that runs again is behind it.
func isPast(e *model.Evaluation, p *model.Pod, s *corev1.ContainerStatus, end *corev1.ContainerStateTerminated) bool {
	return e.Now.Sub(end.FinishedAt.Time) > podfact.BackOffMemory || s.RestartCount < 1 ||
		p.Available && !podfact.Looping(p.Pod, s, e.Now)
}

// quoteEnd puts a container's last end beside the cause.
func quoteEnd(p *model.Pod, name string, s *corev1.ContainerStatus, end *corev1.ContainerStateTerminated, c *model.Cause) {
	where := "state"
	if s.State.Terminated == nil {
		where = "lastState"
	}
	c.WithEvidence(plain.Evidence("Pod "+p.Name, p.StatusPath(name)+"."+where+".terminated",
		strings.TrimSpace(fmt.Sprintf("exit code %d, reason %s, ran %s, %s", end.ExitCode, end.Reason, plain.Age(podfact.Ran(end)),
			plain.Plural(int(s.RestartCount), "restart", "restarts"))), end.FinishedAt.Time))
}

// readLog adds the log of the run that ended, where it may say more than the end does.
func readLog(e *model.Evaluation, w *model.Workload, p *model.Pod, name string, previous bool, c *model.Cause) {
	attachLog(e, p, name, previous, c)
	if c.Log != nil && c.Code == codes.ContainerCrashing && plain.ContainsAny(strings.Join(c.Log.Lines, " "), "exec format error") {
		c.Recode(codes.ExecFormatError)
		c.Message = fmt.Sprintf("exec format error: the program of %s is a script without #!, or is for another CPU architecture "+
			"than node %s", p.Called(name), p.Spec.NodeName)
	}
	args := []string{"logs", p.Name, "-c", name}
	if previous {
		args = append(args, "--previous")
	}
	c.WithNext(e.Next(w, finding.Read, "Read the log of the previous run", args...))
}

// limitRanger is the annotation in which the API server notes what LimitRanges have set.
// https://github.com/kubernetes/kubernetes/blob/v1.36.3/plugin/pkg/admission/limitranger/admission.go (limitRangerAnnotation)
const limitRanger = "kubernetes.io/limit-ranger"

// firstEnd is when the failing began, as well as one status tells: the ends before the last are reckoned back by its run
// and the back-off. A run that outlasts the back-off's memory came after whatever had been before.
func firstEnd(p *model.Pod, end *corev1.ContainerStateTerminated, exits int32) time.Time {
	ran, first := podfact.Ran(end), end.FinishedAt.Time
	if ran > podfact.BackOffMemory {
		return first
	}
	for i := int32(1); i < exits; i++ {
		first = first.Add(-ran - podfact.BackOffAt(i))
	}
	if start := p.Status.StartTime; start != nil && exits > 1 && first.Before(start.Time) {
		return start.Time
	}
	return first
}

// crashCause names the kind of end.
func crashCause(e *model.Evaluation, w *model.Workload, p *model.Pod, spec *corev1.Container, end *corev1.ContainerStateTerminated,
	sidecar bool,
) *model.Cause {
	events := e.PodEvents(p)
	switch {
	case podfact.NeverRan(end):
		return startErrorText(e, w, p, spec, end.Reason, end.Message)
	case end.Reason == "OOMKilled":
		limit := "no memory limit: the node ran out of memory"
		if q, ok := spec.Resources.Limits[corev1.ResourceMemory]; ok {
			limit = "memory limit " + q.String()
			if strings.Contains(p.Annotations[limitRanger], "memory limit for container "+spec.Name) {
				limit += ", a default of a LimitRange"
			}
		}
		return e.Cause(p, model.StageRun, codes.OOMKilled, report.LikelyFatal, "%s was OOM killed (%s)", p.Called(spec.Name),
			limit).
			WithEvidence(plain.Evidence("Pod "+p.Name, p.SpecPath(spec.Name)+".resources.limits.memory", limit, plain.NoTime))
	}
	if kill := probeKill(e, p, spec.Name, end); kill != nil {
		return probeKilled(e, w, p, spec, kill, end, events)
	}
	if hook := eventfact.Newest(events, "FailedPostStartHook"); hook != nil &&
		strings.Contains(hook.About.FieldPath+hook.Message, spec.Name) && near(hook.Last, end.FinishedAt.Time) {
		return e.Cause(p, model.StageRun, codes.FailedPostStartHook, report.LikelyFatal,
			"the kubelet kills %s because its postStart hook fails: %s", p.Called(spec.Name), plain.OneLine(hook.Message)).ByEvent(hook)
	}
	ran := podfact.Ran(end)
	if end.ExitCode == 0 && !sidecar {
		return e.Cause(p, model.StageRun, codes.ContainerCompleted, report.LikelyFatal,
			"%s exits with code 0 after %s, but the containers of a %s must keep running", p.Called(spec.Name),
			plain.Age(ran), w.Kind)
	}
	return e.Cause(p, model.StageRun, codes.ContainerCrashing, report.LikelyFatal, "%s crashes: exit code %s after %s", p.Called(spec.Name),
		exitMeaning(end.ExitCode, end.Signal), plain.Age(ran)).
		WithKey(fmt.Sprint(end.ExitCode))
}
