package pods

import (
	"fmt"
	"regexp"
	"strings"

	corev1 "k8s.io/api/core/v1"

	eventfact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/event"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/lookup"
	podfact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/pod"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/config"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/model"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/plain"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/rule"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/report"
)

const (
	ContainerCrashing    finding.Code = "ContainerCrashing"
	OOMKilled            finding.Code = "OOMKilled"
	ContainerCompleted   finding.Code = "ContainerCompleted"
	InitContainerFailing finding.Code = "InitContainerFailing"
)

var crashRules = []rule.Rule{
	{Layer: rule.LayerPod, Crashes: true, Bears: []string{""}, Entry: finding.Entry{
		Code: ContainerCrashing, Severity: finding.Critical, Title: "Container crashes",
		Meaning:  "The program of the container exits with an error each time the kubelet starts it.",
		Evidence: "Exit code in state.terminated or lastState.terminated, restartCount, and the log of the last run.",
		Next:     "Read the log of the previous run.",
	}},
	{Layer: rule.LayerPod, Crashes: true, Bears: []string{".resources", ".image", ".env", ".args", ".command"}, Entry: finding.Entry{
		Code: OOMKilled, Severity: finding.Critical, Title: "Container was OOM killed",
		Meaning: "The kernel killed the container because its memory limit was reached, or because the node ran out of " +
			"memory.",
		Evidence: "Reason OOMKilled in state.terminated or lastState.terminated.",
		Next:     "Raise the memory limit, or check what changed the memory use.",
	}},
	{Layer: rule.LayerPod, Crashes: true, Bears: []string{".command", ".args", ".image"}, Entry: finding.Entry{
		Code: ContainerCompleted, Severity: finding.Critical, Title: "Container exits with code 0",
		Meaning: "The program of the container exits with code 0, but the workload requires a container that keeps " +
			"running.",
		Evidence: "Exit code 0 in state.terminated or lastState.terminated.",
		Next:     "Check the command of the container, or use a Job instead.",
	}},
	{Layer: rule.LayerPod, Crashes: true, Bears: []string{""}, Entry: finding.Entry{
		Code: InitContainerFailing, Severity: finding.Critical, Title: "Init container fails",
		Meaning:  "An init container exits with an error. The containers after it do not start until it succeeds.",
		Evidence: "Exit code and restartCount of the init container, and the log of its last run.",
		Next:     "Read the log of the previous run.",
	}},
}

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
	exits := podfact.Ends(s)
	c := crashCause(e, w, p, spec, end, sidecar)
	c.In(spec.Name)
	if init {
		c.Stage = model.StageInit
		if c.Code == ContainerCrashing && !sidecar {
			e.Recode(c, InitContainerFailing)
		}
	}
	c.Attempts = max(c.Attempts, exits)
	c.Message += fmt.Sprintf(" (%s)", plain.Plural(int(exits), "time", "times"))
	c.Since(podfact.FirstEnd(p.Pod, end, exits))
	if len(c.Evidence) == 0 || c.Code != ContainerStartError {
		quoteEnd(p, spec.Name, s, end, c)
	}
	if !running && again {
		if at, ok := podfact.NextStart(s); ok && at.After(e.Now) {
			c.RetryAt = plain.TimePtr(at)
		}
	}
	if !podfact.NeverRan(end) {
		readLog(e, w, p, spec, running, c)
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
func readLog(e *model.Evaluation, w *model.Workload, p *model.Pod, spec *corev1.Container, previous bool, c *model.Cause) {
	name := spec.Name
	none := attachLog(e, p, name, previous, c)
	if c.Log != nil && (c.Code == ContainerCrashing || c.Code == InitContainerFailing) {
		readFormat(e, p, name, c)
		readDirectory(e, w, p, spec, c)
	}
	if c.Log != nil && lookup.In(c.Log.Lines...).Failed() {
		c.WithNext(e.NextCluster(finding.Read, "The log tells of a name that was not resolved: check cluster DNS", "dns", "check"))
	}
	if none { // kubectl logs would get no more
		c.WithEvidence(plain.Evidence("Pod "+p.Name, "log of "+p.Called(name), "nothing to read: empty, removed or forbidden", plain.NoTime)).
			WithNext(e.Next(w, finding.Read, "Check the command, the mounts and the events of the pod", "describe", "pod", p.Name))
		return
	}
	args := []string{"logs", p.Name, "-c", name}
	if podfact.PreviousLog(p.Pod, name) {
		args = append(args, "--previous")
	}
	c.WithNext(e.Next(w, finding.Read, "Read the log of the previous run", args...))
}

// execFailed is runc's line for the program of a container; other lines are about programs that this one executes.
var execFailed = regexp.MustCompile(`(?i)^exec \S+: exec format error$|exec user process caused.*exec format error`)

// readFormat recognizes a program that the kernel cannot execute, by the last line of a log.
func readFormat(e *model.Evaluation, p *model.Pod, name string, c *model.Cause) {
	last := c.Log.Lines[len(c.Log.Lines)-1]
	switch {
	case execFailed.MatchString(last):
		c.Message = fmt.Sprintf("exec format error: the program of %s is a script without #!, or is for another CPU architecture "+
			"than node %s", p.Called(name), p.Spec.NodeName)
	case plain.ContainsAny(last, "exec format error"):
		c.Message += ": " + last
		c.Confidence = "medium"
	default:
		return
	}
	e.Recode(c, ExecFormatError)
}

// readDirectory says of a program that ends because a file is a directory which one it is, and why.
func readDirectory(e *model.Evaluation, w *model.Workload, p *model.Pod, spec *corev1.Container, c *model.Cause) {
	mounts, named := config.ReadAsFile(spec.VolumeMounts, c.Log.Lines)
	for i := range mounts {
		if d := config.DirectoryAt(e, w, p, spec.Name, &mounts[i]); d.Why != "" && (named || d.Code != "") {
			noFile(e, c, c.Message, &mounts[i], d)
			c.Confidence = "medium"
			return
		}
	}
}

// limitRanger is the annotation in which the API server notes what LimitRanges have set.
// https://github.com/kubernetes/kubernetes/blob/v1.36.3/plugin/pkg/admission/limitranger/admission.go (limitRangerAnnotation)
const limitRanger = "kubernetes.io/limit-ranger"

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
		return e.Cause(p, model.StageRun, OOMKilled, report.LikelyFatal, "%s was OOM killed (%s)", p.Called(spec.Name),
			limit).
			WithEvidence(plain.Evidence("Pod "+p.Name, p.SpecPath(spec.Name)+".resources.limits.memory", limit, plain.NoTime))
	}
	if kill := probeKill(e, p, spec.Name, end); kill != nil {
		return probeKilled(e, w, p, spec, kill, end, events)
	}
	if hook := eventfact.Newest(events, "FailedPostStartHook"); hook != nil &&
		strings.Contains(hook.About.FieldPath+hook.Message, spec.Name) && near(hook.Last, end.FinishedAt.Time) {
		return e.Cause(p, model.StageRun, FailedPostStartHook, report.LikelyFatal,
			"the kubelet kills %s because its postStart hook fails: %s", p.Called(spec.Name), plain.OneLine(hook.Message)).ByEvent(hook)
	}
	ran := podfact.Ran(end)
	if end.ExitCode == 0 && !sidecar {
		return e.Cause(p, model.StageRun, ContainerCompleted, report.LikelyFatal,
			"%s exits with code 0 after %s, but the containers of a %s must keep running", p.Called(spec.Name),
			plain.Age(ran), w.Kind)
	}
	c := e.Cause(p, model.StageRun, ContainerCrashing, report.LikelyFatal, "%s crashes: exit code %s after %s", p.Called(spec.Name),
		exitMeaning(end.ExitCode, end.Signal), plain.Age(ran)).
		WithKey(fmt.Sprint(end.ExitCode))
	if mayBeKilled(spec, end) && e.MissingEventText("") != "" {
		c.Message = fmt.Sprintf("%s ends: exit code %s after %s; unknown whether a probe fails: Events cannot be read",
			p.Called(spec.Name), exitMeaning(end.ExitCode, end.Signal), plain.Age(ran))
	}
	return c
}

// mayBeKilled says whether the kubelet may have ended a container by a signal because a probe failed: only an event tells.
func mayBeKilled(spec *corev1.Container, end *corev1.ContainerStateTerminated) bool {
	return (spec.LivenessProbe != nil || spec.StartupProbe != nil) && (end.ExitCode == 128+9 || end.ExitCode == 128+15)
}

// crashBears is what bears on a crash whose own words say its kind; nil: they do not. An added variable has nothing to do with
// a program that is not there, nor, unless it names a port, with a port in use.
func crashBears(f *report.Finding) []string {
	if f.Code != ContainerCrashing && f.Code != InitContainerFailing {
		return nil
	}
	text := f.Message
	if f.Log != nil {
		text += " " + strings.Join(f.Log.Lines, " ")
	}
	text = strings.ToLower(text)
	switch {
	case strings.Contains(text, "address already in use"):
		return []string{".ports", ".command", ".args", ".image", "hostNetwork", "PORT", "ADDR", "LISTEN"}
	case strings.Contains(text, "no file to mount at"):
		return []string{"olume"}
	case strings.Contains(text, "exit code 127"), strings.Contains(text, "exit code 126"):
		return []string{".command", ".args", ".image", "olume", "workingDir", "env[PATH]"}
	}
	return nil
}
