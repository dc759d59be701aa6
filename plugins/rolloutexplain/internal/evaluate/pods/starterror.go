package pods

import (
	"cmp"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	eventfact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/event"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/config"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/model"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/plain"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/rule"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/report"
)

const (
	ContainerStartError finding.Code = "ContainerStartError"
	ExecFormatError     finding.Code = "ExecFormatError"
	FailedPostStartHook finding.Code = "FailedPostStartHook"
)

var startErrorRules = []rule.Rule{
	{
		Layer: rule.LayerPod, Crashes: true, Bears: []string{".command", ".args", ".image", "workingDir", "olumeMounts", "securityContext"},
		Entry: finding.Entry{
			Code: ContainerStartError, Severity: finding.Critical, Title: "Container cannot be started",
			Meaning: "The container runtime cannot start the process of the container, such as because the command does " +
				"not exist in the image.",
			Evidence: "Container state RunContainerError, StartError or CreateContainerError.",
			Next:     "Check the command, arguments and mounts of the container.",
		},
	},
	{Layer: rule.LayerPod, Crashes: true, Bears: []string{".image", ".command", ".args", "olume"}, Entry: finding.Entry{
		Code: ExecFormatError, Severity: finding.Critical, Title: "Program cannot be executed (exec format error)",
		Meaning: "The kernel cannot execute the program: it is a script without an interpreter line (#!), or a program " +
			"for another CPU architecture than that of the node.",
		Evidence: "\"exec format error\" in the log or the status of the container.",
		Next:     "Check the first line of a script; else use an image for the CPU architecture of the node.",
	}},
	{Layer: rule.LayerPod, Crashes: true, Bears: []string{"lifecycle", ".image"}, Entry: finding.Entry{
		Code: FailedPostStartHook, Severity: finding.Critical, Title: "Container postStart hook failed",
		Meaning:  "The postStart hook of the container fails, so the kubelet kills the container.",
		Evidence: "FailedPostStartHook events, or container state PostStartHookError.",
		Next:     "Check the command of the hook.",
	}},
}

// startError: the runtime cannot run the command.
func startError(e *model.Evaluation, w *model.Workload, p *model.Pod, spec *corev1.Container, reason, message string,
	s *corev1.ContainerStatus,
) *model.Cause {
	c := startErrorText(e, w, p, spec, reason, message)
	c.Attempts = max(s.RestartCount+1, c.Attempts)
	if ev := eventfact.Newest(e.PodEvents(p), "Failed"); ev != nil {
		c.ByEvent(ev)
	}
	return c.Since(p.CreationTimestamp.Time)
}

func startErrorText(e *model.Evaluation, w *model.Workload, p *model.Pod, spec *corev1.Container, reason, message string) *model.Cause {
	mount, failed := mountFailed(spec, message)
	short := cmp.Or(failed, directoryFailed(spec, message), runtimeWords(message))
	c := e.Cause(p, model.StageRun, ContainerStartError, report.LikelyFatal, "%s cannot be started: %s", p.Called(spec.Name), short).
		WithKey(short)
	c.In(spec.Name)
	if plain.ContainsAny(message, "exec format error") {
		e.Recode(c, ExecFormatError)
		c.Message += " (a script without an interpreter line (#!), or a program for another CPU architecture)"
	}
	if plain.ContainsAny(message, "context deadline exceeded", "is reserved for container", "context canceled") {
		c.Class, c.Severity, c.SelfHealing = report.Transient, finding.Warning, "maybe"
	}
	c.WithEvidence(plain.Evidence("Pod "+p.Name, p.StatusPath(spec.Name), reason+": "+message, plain.NoTime))
	if mount != nil && strings.HasSuffix(failed, notDirectory) {
		if d := config.DirectoryAt(e, w, p, spec.Name, mount); d.Why != "" {
			return noFile(e, c, p.Called(spec.Name)+" cannot be started", mount, d)
		}
	}
	for _, part := range startParts {
		if strings.Contains(message, part.mark) && strings.Contains(short, part.says) {
			return c.WithNext(e.Next(w, finding.Read, part.why, "get", "pod", p.Name, "-o",
				p.JSONPath(spec.Name, part.path)))
		}
	}
	return c.WithNext(e.NextCluster(finding.Read, "Check the container runtime of the node", "nodeinfo", p.Spec.NodeName))
}

// startParts are the parts of a container that runc's errors are about, by its words:
// https://github.com/opencontainers/runc/blob/v1.3.0/libcontainer/rootfs_linux.go and init_linux.go beside it.
// Says is what our own words say of it, too.
var startParts = []struct{ mark, says, why, path string }{
	{
		"error mounting ", notDirectory,
		"Read the volume mounts of the container: a directory cannot replace a file of the image, nor a file (subPath) a directory",
		".volumeMounts",
	},
	{"error mounting ", "", "Read the volume mounts of the container", ".volumeMounts"},
	{"", workingDirectory, "Read the working directory of the container", ".workingDir"},
	{"exec", "", "Read the command and the arguments of the container", "['command','args']"},
}

const (
	workingDirectory = "its working directory "
	notDirectory     = "not a directory"
)

var (
	chdir = regexp.MustCompile(`chdir to cwd \("([^"]+)"\) .*: ([a-z -]+)$`)
	mkdir = regexp.MustCompile(`error during container init: mkdir (/\S*): ([a-z -]+)$`)
)

// directoryFailed says which working directory cannot be entered, or made where the image has none; empty: the error speaks of
// something else.
func directoryFailed(spec *corev1.Container, message string) string {
	message = strings.TrimSuffix(message, ": unknown")
	if parts := chdir.FindStringSubmatch(message); parts != nil {
		return fmt.Sprintf(workingDirectory+"%s cannot be entered: %s", plain.OneLine(parts[1]), parts[2])
	}
	parts := mkdir.FindStringSubmatch(message)
	if dir := path.Clean(spec.WorkingDir); parts == nil || spec.WorkingDir == "" || dir != parts[1] && !strings.HasPrefix(dir, parts[1]+"/") {
		return ""
	}
	return fmt.Sprintf(workingDirectory+"%s cannot be made: %s: %s", plain.OneLine(path.Clean(spec.WorkingDir)), plain.OneLine(parts[1]),
		parts[2])
}

var mountedAt = regexp.MustCompile(`error mounting ".*" to rootfs at "([^"]+)": .*: ([a-z ]+)$`)

// mountFailed says which volume cannot be mounted where, of the runtime's error; nil: it speaks of something else.
func mountFailed(spec *corev1.Container, message string) (*corev1.VolumeMount, string) {
	parts := mountedAt.FindStringSubmatch(strings.TrimSuffix(message, ": unknown"))
	if parts == nil {
		return nil, ""
	}
	at := slices.IndexFunc(spec.VolumeMounts, func(m corev1.VolumeMount) bool { return path.Clean(m.MountPath) == parts[1] })
	if at < 0 {
		return nil, ""
	}
	m := &spec.VolumeMounts[at]
	return m, fmt.Sprintf("volume %q cannot be mounted at %s: %s", m.Name, plain.OneLine(parts[1]), parts[2])
}

// noFile says of a container that fails with a directory in a file's place why there is none.
func noFile(e *model.Evaluation, c *model.Cause, fails string, mount *corev1.VolumeMount, d config.Directory) *model.Cause {
	if d.Code != "" {
		e.Recode(c, d.Code)
	}
	c.Message = fmt.Sprintf("%s: no file to mount at %s: %s", fails, path.Clean(mount.MountPath), d.Why)
	return c.WithKey(c.Message).WithNext(d.Next)
}

// runtimeWords keeps the part of a runtime's error that names the file or the reason.
func runtimeWords(text string) string {
	text = plain.Innermost(text)
	for _, mark := range []string{
		"unable to start container process: ", "error during container init: ", "OCI runtime create failed: ",
		"failed to create containerd task: ", "failed to create containerd container: ",
	} {
		if i := strings.LastIndex(text, mark); i >= 0 {
			text = text[i+len(mark):]
		}
	}
	return strings.TrimSuffix(text, ": unknown")
}

func postStart(e *model.Evaluation, w *model.Workload, p *model.Pod, spec *corev1.Container, message string,
	s *corev1.ContainerStatus,
) *model.Cause {
	c := e.Cause(p, model.StageRun, FailedPostStartHook, report.LikelyFatal, "the kubelet kills %s because its postStart hook fails: %s",
		p.Called(spec.Name), plain.OneLine(message))
	c.In(spec.Name).WithEvidence(plain.Evidence("Pod "+p.Name, p.StatusPath(spec.Name)+".state.waiting", message, plain.NoTime))
	c.ByEvent(eventfact.Newest(e.PodEvents(p), "FailedPostStartHook"))
	c.Attempts = max(c.Attempts, s.RestartCount+1)
	return c.Since(p.CreationTimestamp.Time).
		WithNext(e.Next(w, finding.Read, "Read the lifecycle hooks of the container", "get", "pod", p.Name, "-o",
			p.JSONPath(spec.Name, ".lifecycle")))
}
